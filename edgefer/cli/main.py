"""Entry point of the edgefer program: find the command, run it, print its result, and return an exit code.

    main()                                          # the edgefer script
    run(["predict", "photo.jpg"])                   # the same in this process; returns the exit code

A command is a module of edgefer/cli/commands. Its file begins with the line that ``edgefer --help`` shows, and defines
``command``. There is no list of commands, and ``edgefer --help`` imports none of them.

Exit codes: 0 success, 1 failure, 2 usage error, 3 threshold not met, 4 device unreachable, 5 incompatible model or
runtime, 6 invalid measurement, 7 result printed but not written, 129 SIGHUP, 130 interrupted, 143 SIGTERM.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import pkgutil
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from edgefer import __version__, plugins
from edgefer.cli import deprecated_names, outputs
from edgefer.cli.streams import discard_unwritable, prepare_streams, write, write_json
from edgefer.errors import EdgeferError
from edgefer.escaping import printable
from edgefer.processes import allow_output_suppression
from edgefer.signals import Terminated, signals_as_exceptions
from edgefer.text_table import Result

__all__ = ["COMMANDS", "app", "common_options", "load_command", "main", "run", "summary"]

COMMANDS = "edgefer.cli.commands"
INTERRUPTED = 130
# Fixes of errors of the system, anywhere in a command.
OS_ERROR_HINTS = {
    errno.ENOSPC: "free space: df -h",
    errno.EDQUOT: "free space within your quota: quota -s",
    errno.EROFS: "another path, on a file system that can be written",
    errno.EACCES: "another path, or check its permissions: ls -ld",
    errno.EPERM: "another path, or check its permissions: ls -ld",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path: a file is in place of a folder",
    errno.EISDIR: "check the path: a folder is in place of a file",
    errno.ENAMETOOLONG: "a shorter name",
    errno.EMFILE: "a higher limit on open files: ulimit -n 4096",
    errno.ENOMEM: "close other programs, or add swap space: free -m",
    errno.EIO: "another disk: this one reports errors, see dmesg",
}
# The address of a board, which has a user and no password, as a word of its own.
SSH_ADDRESS = re.compile(r"""(?<![^\s'"<>(])(ssh://[^\s'"<>@:/?#=&]+@[^\s'"<>@/?#=&]+/?)(?![^\s'"<>,;)])""")
OTHER_OS_ERROR_HINT = "another path, or free space and check the permissions"


@dataclass
class CommonOptions:
    """Values of the options that every command has."""

    as_json: bool = False
    out: Path | None = None
    debug: bool = False


def _common_options() -> list[click.Option]:
    def store(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        # An absent option must not overwrite a value from before the command name, as in `edgefer --debug train`.
        if value:
            setattr(context.ensure_object(CommonOptions), str(parameter.name), value)

    shared: dict[str, Any] = {"expose_value": False, "callback": store}
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON.", **shared),
        click.Option(
            ["--out"], type=outputs.OUTPUT_FILE, metavar="FILE", help="Also write the JSON result to FILE.", **shared
        ),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error.", **shared),
    ]


def summary(name: str) -> str:
    """Return the first line of the module docstring of a command, without importing the module."""
    source = pkgutil.get_data(COMMANDS, f"{plugins.file_stem(name)}.py") or b""
    return source.partition(b"\n")[0].decode().strip('"')


def load_command(name: str) -> click.Command:
    """Import the command ``name`` and add the common options and the deprecated names.

    Raises:
        UsageError: there is no such command.
    """
    command: click.Command = plugins.load(COMMANDS, name).command
    command.short_help = summary(name)
    command.context_settings.update(deprecated_names.context_settings(name))
    _add_common_options(command)
    return command


def _add_common_options(command: click.Command) -> None:
    if isinstance(command, click.Group):
        for subcommand in command.commands.values():
            _add_common_options(subcommand)
    elif not any(parameter.name == "as_json" for parameter in command.params):
        command.params.extend(_common_options())
        if command.callback is not None:
            command.callback = _with_checked_outputs(command.callback)


def _with_checked_outputs(callback: Callable[..., Result]) -> Callable[..., Result]:
    """Return the callback of a command preceded by a check of the files and folders that the command writes."""

    @functools.wraps(callback)
    def checked(*args: Any, **values: Any) -> Result:
        context = click.get_current_context()
        out = context.ensure_object(CommonOptions).out
        outputs.check_outputs(context, extra={} if out is None else {"--out": out})
        return callback(*args, **values)

    return checked


class CommandGroup(click.Group):
    """The modules of edgefer/cli/commands as subcommands, each imported on first use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the command modules."""
        return list(plugins.names(COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no module of that name."""
        return load_command(cmd_name) if cmd_name in plugins.names(COMMANDS) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands with their summaries, without importing their modules."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary(name)) for name in self.list_commands(ctx)])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments start with, and suggest a similar name for an unknown one.

        click itself suggests only commands that are already imported.
        """
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            import difflib

            similar = difflib.get_close_matches(args[0], known, n=1)
            hint = f"Did you mean {similar[0]!r}?" if similar else f"Commands: {', '.join(known)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


ABOUT = """Recognize facial expressions, from training on a workstation to inference on an embedded board.

Train a compact network, quantize it to int8, and measure its accuracy and latency on the board:

\b
    edgefer train
    edgefer quantize --int8
    edgefer bench --device
"""
# A bundle has no commands that train.
ABOUT_BUNDLE = """Recognize facial expressions on an embedded board.

Classify the faces in pictures or in live video, and measure the model on this board:

\b
    edgefer predict photo.jpg
    edgefer live
    edgefer bench
"""


@click.command(
    cls=CommandGroup, help=ABOUT if "train" in plugins.names(COMMANDS) else ABOUT_BUNDLE,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip
@click.version_option(__version__, prog_name="edgefer")
def app() -> None:
    """Run the command that the arguments name."""


app.params.append(next(option for option in _common_options() if option.name == "debug"))


@app.result_callback()
@click.pass_context
def _print_result(context: click.Context, result: Result) -> None:
    common = context.ensure_object(CommonOptions)
    try:
        if common.as_json or result.text:
            write_json(_to_json(result)) if common.as_json else write(result.text)
    finally:
        # Files are written even if a reader of stdout such as head has exited; text is printed even on a full disk.
        try:
            texts = outputs.write_outputs(_writers(result, common.out))
        except EdgeferError:
            if result.failure is not None:
                write(f"edgefer: {_describe(result.failure)}", to_stderr=True)
            raise
        for text in filter(None, () if common.as_json else texts):
            write(f"\n{text}")
    if result.failure is not None:
        raise result.failure


def common_options() -> CommonOptions:
    """Return the common options of the command that is running."""
    return click.get_current_context().ensure_object(CommonOptions)


def _to_json(result: Result) -> str:
    import json

    return json.dumps(result.record, indent=1, allow_nan=False)


def _writers(result: Result, out: Path | None) -> Iterator[tuple[Path | None, Callable[[], str]]]:
    if out is not None:
        yield out, functools.partial(_write_json, out, result)
    if result.save is not None:
        yield None, result.save


def _write_json(path: Path, result: Result) -> str:
    from edgefer import files

    files.write_text(path, f"{_to_json(result)}\n")
    return ""


def run(arguments: list[str] | None = None) -> int:
    """Run one command line and return its exit code; errors go to stderr.

    Args:
        arguments: words after the program name; None takes those of this process.
    """
    common = CommonOptions()
    prepare_streams()
    try:
        # Without standalone mode click returns the exit code of --help and --version, and the callback's None.
        with signals_as_exceptions(), allow_output_suppression():
            return app.main(arguments, prog_name="edgefer", standalone_mode=False, obj=common) or 0
    except click.ClickException as error:
        error.message = _redact(printable(error.message, kept="\n"))  # type: ignore[misc]
        error.show(file=sys.stderr)
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        # click replaces a KeyboardInterrupt by an Abort.
        reason = error.__cause__ if isinstance(error, click.Abort) else error
        # The terminal may be gone.
        with contextlib.suppress(OSError):
            write(f"edgefer: {reason if isinstance(reason, Terminated) else 'interrupted'}", to_stderr=True)
        return reason.exit_code if isinstance(reason, Terminated) else INTERRUPTED
    except BrokenPipeError:
        # The reader of the pipe has exited. Redirect stdout, or Python's flush at exit would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - every failure becomes a message and an exit code
        if common.debug:
            import traceback

            write(_redact(traceback.format_exc()), to_stderr=True)
        else:
            write(f"edgefer: {_redact(_describe(error))}", to_stderr=True)
        return error.exit_code if isinstance(error, EdgeferError) else 1


def _redact(text: str) -> str:
    from edgefer.live.redaction import redact_text  # only for errors: it would take a tenth of the start of --help

    parts = SSH_ADDRESS.split(text)
    parts[::2] = map(redact_text, parts[::2])
    return "".join(parts)


def _describe(error: Exception) -> str:
    """Format an error as one line, and its hint as another."""
    if isinstance(error, EdgeferError):
        text, hint = printable(error.what, kept=""), printable(error.hint, kept="")
        # The reason may be a message of several lines from a library.
        text += f": {printable(' '.join(error.why.split()), kept='')}" if error.why else ""
        return f"{text}\n  try: {hint}" if hint else text
    if isinstance(error, OSError) and error.strerror:
        text = printable(outputs.describe_os_error(error), kept="")
        return f"{text}\n  try: {OS_ERROR_HINTS.get(error.errno or 0, OTHER_OS_ERROR_HINT)}"
    if isinstance(error, ModuleNotFoundError) and str(error.name).startswith("edgefer."):
        # A bundle omits the packages that only a workstation uses.
        return f"a bundle does not contain {error.name}\n  try: the same command where edgefer is installed"
    return f"{type(error).__name__}: {printable(str(error))}\n  try: the same command with --debug"


def main() -> NoReturn:
    """Run the command line of this process and exit with its code."""
    if sys.warnoptions:
        # $PYTHONWARNINGS=error would turn every deprecation in a library into a failure.
        warnings.resetwarnings()
        for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
    code = run()
    discard_unwritable()
    sys.exit(code)
