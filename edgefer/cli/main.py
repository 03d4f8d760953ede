"""The command line: lists commands/, adds the options that all commands have, and turns errors into exit codes, once.

Exit codes: 0 ok, 1 failure, 2 usage, 3 gate not met, 4 device unreachable, 5 incompatible model or runtime,
6 measurement invalid, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from edgefer import __version__, plugins
from edgefer.errors import EdgeferError
from edgefer.text_table import Result

__all__ = ["app", "main", "run"]

COMMANDS = "edgefer.cli.commands"
INTERRUPTED = 130


@dataclass
class Common:
    """What the options that every command has were set to."""

    as_json: bool = False
    out: Path | None = None
    debug: bool = False


def _common_options() -> list[click.Option]:
    def keep(context: click.Context, parameter: click.Parameter, value: Any) -> None:
        # Without a value the option may still have been given before the command's name.
        if value:
            setattr(context.ensure_object(Common), str(parameter.name), value)

    shared: dict[str, Any] = {"expose_value": False, "callback": keep}
    return [
        click.Option(["--json", "as_json"], is_flag=True, help="Print the result as JSON.", **shared),
        click.Option(
            ["--out"],
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write that JSON to a file too.",
            **shared,
        ),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error.", **shared),
    ]


class Commands(click.Group):
    """Commands by file name in commands/; a module is imported when its command is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the files."""
        return list(plugins.names(COMMANDS))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The ``command`` of the file ``cmd_name``, with the common options added to it and what is below it."""
        if cmd_name not in plugins.names(COMMANDS):
            return None
        command: click.Command = plugins.load(COMMANDS, cmd_name).command
        _add_common_options(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, with a suggestion for a name that does not exist; click would only look at loaded ones."""
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], known, n=1)
            hint = f"Did you mean {close[0]!r}?" if close else f"There are {', '.join(known)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)


def _add_common_options(command: click.Command) -> None:
    if isinstance(command, click.Group):
        for below in command.commands.values():
            _add_common_options(below)
    elif not any(parameter.name == "as_json" for parameter in command.params):
        command.params.extend(_common_options())


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgefer")
def app() -> None:
    """Facial-expression recognition, from a workstation to an embedded board.

    Train a compact network, quantize it to int8, and measure on the board what it does and how long it takes:

    \b
        edgefer train
        edgefer quantize --int8
        edgefer bench --device
    """


app.params.append(next(option for option in _common_options() if option.name == "debug"))


@app.result_callback()
@click.pass_context
def _print_result(context: click.Context, result: Result) -> None:
    import json

    common = context.ensure_object(Common)
    text = json.dumps(result.record, indent=1, allow_nan=False)
    if common.out is not None:
        from edgefer import files

        files.write_text(common.out, text + "\n")
    if common.as_json or result.text:
        click.echo(text if common.as_json else result.text)
    if result.failure is not None:
        raise result.failure


def run(arguments: list[str] | None = None) -> int:
    """Run one command line (default: the process's own) and return its exit code; errors are written to stderr."""
    common = Common()
    try:
        with _errors_as_sentences(common):
            # Without standalone mode click returns the code of --help and --version, and the callback's None.
            return app.main(arguments, prog_name="edgefer", standalone_mode=False, obj=common) or 0
    except _Ended as ended:
        return ended.code


class _Ended(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@contextlib.contextmanager
def _errors_as_sentences(common: Common) -> Iterator[None]:
    try:
        yield
    except click.ClickException as error:
        error.show()
        raise _Ended(error.exit_code) from error
    except (KeyboardInterrupt, click.Abort) as error:
        click.echo("edgefer: interrupted", err=True)
        raise _Ended(INTERRUPTED) from error
    except BrokenPipeError as error:
        # The reader of a pipe has left; point stdout elsewhere so that Python's last flush does not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise _Ended(1) from error
    except Exception as error:
        if common.debug:
            traceback.print_exc()
        elif isinstance(error, EdgeferError):
            click.echo(f"edgefer: {error}", err=True)
        elif isinstance(error, OSError) and error.strerror:
            # A full disk, a folder that is not ours: the user's to mend, wherever it comes to light.
            place = f"{error.filename}: " if error.filename else ""
            hint = "another place, or make room and the right to write there"
            click.echo(f"edgefer: {place}{error.strerror}\n  try: {hint}", err=True)
        elif isinstance(error, ModuleNotFoundError) and str(error.name).startswith("edgefer."):
            click.echo(f"edgefer: a bundle has no {error.name}\n  try: the same where edgefer is installed", err=True)
        else:
            click.echo(f"edgefer: {type(error).__name__}: {error}\n  try: the same command with --debug", err=True)
        raise _Ended(error.exit_code if isinstance(error, EdgeferError) else 1) from error


def main() -> NoReturn:
    """The entry point of the ``edgefer`` script."""
    sys.exit(run())
