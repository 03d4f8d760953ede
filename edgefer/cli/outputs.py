"""Files and folders that a command writes: option types, checks before the command, and writing after its result.

    click.option("--html", type=OUTPUT_FILE)
    click.option("--pictures", type=OUTPUT_FOLDER)
    click.argument("sources", type=INPUT)           # a path among other words
    click.option("--model", type=PATH)

    check_outputs(context, extra={"--out": path})   # before the command: each can be written and replaces no input
    write_outputs([(path, write)])                  # after the result was printed
"""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from edgefer import files
from edgefer.errors import DataError, EdgeferError, OutputError, UsageError

__all__ = [
    "INPUT", "OUTPUT_FILE", "OUTPUT_FOLDER", "PATH", "OutputPath", "check_output", "check_outputs", "describe_os_error",
    "is_same_file", "record_input", "write_outputs",
]

# Large enough to fail on a full disk.
PROBE_BYTES = 4096
# Short enough that the name of the probe is within the limit of every file system.
SUFFIX_CHARACTERS = 40
# Key of click's context for the files that option types have read while they were parsed.
FILES_READ = "edgefer.files_read"


class _NonEmpty(click.ParamType):  # type: ignore[type-arg]
    """Refuse an empty text, such as an unset variable of a shell: as a path, it would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse a value."""
        if value == "":
            self.fail("the path is empty.", param, ctx)
        return super().convert(value, param, ctx)


class _Path(_NonEmpty, click.Path):
    """A path that the command reads."""


class OutputPath(_NonEmpty, click.Path):
    """A path that the command writes: a file, or a folder for several files."""

    def __init__(self, *, is_folder: bool) -> None:
        super().__init__(path_type=Path, dir_okay=is_folder)
        self.is_folder = is_folder


class InputName(_NonEmpty, click.types.StringParamType):
    """Text that may name a file to read, such as a picture, a pattern, or the name of a data set."""


OUTPUT_FILE, OUTPUT_FOLDER = OutputPath(is_folder=False), OutputPath(is_folder=True)
PATH, INPUT = _Path(path_type=Path), InputName()


def record_input(context: click.Context | None, parameter: click.Parameter | None, path: Path) -> None:
    """Record a file that the type of an option reads, so that no output replaces it."""
    if context is not None and parameter is not None:
        context.meta.setdefault(FILES_READ, []).append((_spelling(parameter), path))


def check_outputs(context: click.Context, *, extra: Mapping[str, Path]) -> None:
    """Check every output of a command line before the command starts.

    Args:
        context: context of the command, with the values of its parameters.
        extra: outputs whose values are not parameters of the command, by option.

    Raises:
        UsageError: an output is also an input or another output.
        DataError: an output cannot be written.
    """
    parameters = context.command.params
    values = {parameter: context.params.get(str(parameter.name)) for parameter in parameters}
    outputs = [
        (_spelling(parameter), value, parameter.type.is_folder)
        for parameter, value in values.items()
        if isinstance(parameter.type, OutputPath) and value is not None
    ]
    outputs += [(option, path, False) for option, path in extra.items()]
    inputs = [
        (_spelling(parameter), path)
        for parameter, value in values.items()
        if isinstance(parameter.type, (click.Path, InputName)) and not isinstance(parameter.type, OutputPath)
        for path in _paths(value)
    ]
    inputs += context.meta.get(FILES_READ, ())
    if any(parameter.name == "data" for parameter in parameters) and context.params.get("data") is None:
        inputs += [("the data set", path) for path in _paths([os.environ.get("EDGEFER_DATA"), "fer2013.csv"])]
    # A name such as "synthetic" is not a file.
    inputs = [(name, path) for name, path in inputs if os.path.lexists(path)]
    for number, (option, path, is_folder) in enumerate(outputs):
        for other, source in [*inputs, *((name, path) for name, path, _ in outputs[:number])]:
            if is_same_file(path, source):
                why = f"{other} has the same path"
                raise UsageError(f"{option} {path}", why=why, hint=f"{option} with another path")
        check_output(option, path, is_folder=is_folder)
        if not is_folder:
            files.remove_leftovers(path)


def check_output(option: str, path: Path, *, is_folder: bool) -> None:
    """Check that a file, or files in a folder, can be written; nothing is left behind.

    Args:
        option: the option or the words that name the path, for the error.
        path: file or folder, existing or not.
        is_folder: True for a folder.

    Raises:
        DataError: a folder cannot be created, rights are missing, or the disk is full.
    """
    try:
        _try_to_write(path, is_folder=is_folder)
    except OSError as error:
        hint = f"{option} with another path" if option.startswith("-") else "run the command in another folder"
        raise DataError(f"cannot write {option} {path}", why=describe_os_error(error), hint=hint) from error


def write_outputs(writers: Iterable[tuple[Path | None, Callable[[], str]]]) -> list[str]:
    """Call every writer, even after a failure, and return their texts.

    Args:
        writers: pairs of the file, or None for several, and the function that writes it.

    Raises:
        OutputError: a writer failed; the others were called.
    """
    texts, failures = [], []
    for path, write in writers:
        try:
            texts.append(write())
        except EdgeferError as error:
            failures.append(str(error).partition("\n")[0])
        except OSError as error:
            failures.append(f"{path}: {error.strerror or error}" if path else describe_os_error(error))
    if failures:
        hint = "free space or check the permissions, then run the command again"
        raise OutputError("the result was printed but not written", why="; ".join(failures), hint=hint)
    return texts


def describe_os_error(error: OSError) -> str:
    """Return the path and the message of an error, without its number."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}"


def _spelling(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name


def _paths(value: Any) -> Iterator[Path]:
    """Yield the paths in the value of a parameter: one, several, or several that commas separate."""
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _paths(item)
    elif value:
        names = [value] if isinstance(value, Path) else [value, *value.split(",")]
        yield from map(Path, dict.fromkeys(names))


def is_same_file(path: Path, other: Path) -> bool:
    """Return True if writing ``path`` would replace ``other``."""
    if os.path.realpath(path) == os.path.realpath(other):
        return not _is_stream(path)
    try:
        return path.samefile(other) and not _is_stream(path)
    except OSError:
        return False


def _is_stream(path: Path) -> bool:
    """Return True for a device or a pipe, such as /dev/stdout, that can be read and written again."""
    try:
        return path.exists() and not path.is_file() and not path.is_dir()
    except OSError:
        return False


def _try_to_write(path: Path, *, is_folder: bool) -> None:
    target = Path(os.path.realpath(path))
    # The target of a link to a pipe, such as /dev/stdout, is no path.
    if not is_folder and (_is_stream(path) or target.exists()):
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
        if _is_stream(path):
            return
    home = target if is_folder else target.parent
    nearest = next(folder for folder in (home, *home.parents) if folder.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(nearest))
    # Access rights do not cover the superuser, read-only file systems and full disks, so a file is written.
    for name in target.relative_to(nearest).parts or ("x",):
        try:
            if len(os.fsencode(name)) > os.pathconf(nearest, "PC_NAME_MAX"):
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            # A file of this name shows whether the file system accepts its characters, such as a colon on FAT.
            with tempfile.NamedTemporaryFile(prefix=".", suffix=f"-{name[-SUFFIX_CHARACTERS:]}", dir=nearest) as file:
                file.write(bytes(PROBE_BYTES))
        except FileNotFoundError as error:  # such as in /proc
            raise PermissionError(errno.EACCES, "no file can be created in this folder", str(nearest)) from error
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(nearest)) from error
