"""Describe why a command on a board failed, and how to fix the cause.

    error = describe_failure("pi4 cannot create an environment", output, device="pi4", python="python3", hint=fallback)

The cause follows from the exit code and the messages of the command. ``hint`` applies only to an unknown cause.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.fleet.command_output import CommandOutput

__all__ = ["Cause", "describe_failure", "missing_program"]

LONGEST_MESSAGE = 300
# Exit codes of a shell for a program that cannot be run, or does not exist.
NOT_RUNNABLE, NOT_FOUND = 126, 127
# A shell reports a signal as 128 plus its number: SIGILL, SIGABRT, SIGBUS, SIGKILL, SIGSEGV.
ILLEGAL_INSTRUCTION, KILLED, CRASHES = 132, 137, {134: "SIGABRT", 135: "SIGBUS", 139: "SIGSEGV"}
# Paths of edgefer on a board whose user has not set $XDG_DATA_HOME or $XDG_CACHE_HOME.
DEFAULT_FOLDERS = ("/.local", "/.cache")


@dataclass(frozen=True)
class Cause:
    """A reason for the failure of a command.

    Attributes:
        pattern: regular expression for a line of the command's output.
        hint: the fix; {device} is the name of the board, {python} its interpreter, and {1} the first group.
        error: class of the error.
    """

    pattern: str
    hint: str
    error: type[EdgeferError] = EdgeferError


CAUSES = (
    # The message of Debian's venv contains the name of the missing package.
    Cause(r"apt(?:-get)? install (python[\w.-]+)", "on the board: sudo apt install {1}"),
    Cause(r"No module named '?(?:ensurepip|venv)\b", "on the board: sudo apt install python3-venv"),
    Cause(
        r"No space left on device|Disk quota exceeded",
        "edgefer devices clean {device}, or free space on the board: df -h", DataError,
    ),
    Cause(r"CERTIFICATE_VERIFY_FAILED|certificate is not yet valid", "on the board: sudo timedatectl set-ntp true"),
    Cause(r"Exec format error", "edgefer devices add NAME ADDRESS --python PATH", IncompatibleError),
    Cause(r"MemoryError|Cannot allocate memory|std::bad_alloc", "on the board, end other programs: free -m"),
)  # fmt: skip
UNWRITABLE = re.compile(
    r"(Read-only file system|Permission denied|Operation not permitted|No such file or directory|Not a directory|"
    r"File exists)"
    r": '(/[^']*)'"
)


def describe_failure(
    what: str,
    output: CommandOutput,
    *,
    device: str,
    python: str,
    hint: str,
    folder: str = "",
    causes: Sequence[Cause] = (),
) -> EdgeferError:
    """Return the error for a command that failed on a board.

    Args:
        what: one clause: what failed.
        output: of the command.
        device: name of the board.
        python: the program of the command.
        hint: the fix if the cause is unknown.
        folder: the folder that the command writes; empty if its messages contain the path.
        causes: causes of this command, before the general ones.
    """
    lines = f"{output.stdout.decode(errors='replace')}\n{output.stderr}".strip().splitlines()
    last_line = lines[-1].strip()[:LONGEST_MESSAGE] if lines else ""
    if output.exit_code in (NOT_RUNNABLE, NOT_FOUND):
        return missing_program(device, python, why=last_line)
    if output.exit_code == KILLED:
        why = "it was killed, probably because the memory ran out"
        return EdgeferError(what, why=why, hint="on the board, end other programs or add swap space: free -m")
    if output.exit_code == ILLEGAL_INSTRUCTION:
        why = "SIGILL: the program was built for a newer processor"
        return IncompatibleError(what, why=why, hint="edgefer devices add NAME ADDRESS --python PATH")
    if output.exit_code in CRASHES:
        why = f"{python} crashed with {CRASHES[output.exit_code]}"
        return EdgeferError(what, why=why, hint="edgefer devices add NAME ADDRESS --python PATH")
    for cause in (*causes, *CAUSES):
        for line in reversed(lines):
            if match := re.search(cause.pattern, line):
                fix = cause.hint.format(match[0], *match.groups(), device=device, python=python)
                return cause.error(what, why=line.strip()[:LONGEST_MESSAGE], hint=fix)
    for line in reversed(lines):
        if (match := UNWRITABLE.search(line)) and (fix := _writable_hint(match, folder or line)):
            return EdgeferError(what, why=line.strip()[:LONGEST_MESSAGE], hint=fix)
    return EdgeferError(what, why=last_line or f"exit code {output.exit_code} without a message", hint=hint)


def missing_program(device: str, python: str, *, why: str) -> IncompatibleError:
    """Return the error for an interpreter that does not exist on a board, or cannot be run there.

    Args:
        device: name of the board.
        python: path or name of the interpreter.
        why: message of the shell.
    """
    home = str(Path.home())
    if "edgefer/venv-" in python:
        hint = f"edgefer devices clean {device} --all, then: edgefer devices setup {device}"
    elif python.startswith(f"{home}/"):
        # The shell of this machine has expanded the tilde.
        hint = f"edgefer devices add NAME ADDRESS --python '~{python.removeprefix(home)}'"
    elif "/" in python:
        hint = "edgefer devices add NAME ADDRESS --python PATH, with a path that exists on the board"
    else:
        hint = "on the board: sudo apt install python3 python3-venv"
    return IncompatibleError(f"{device} has no {python}", why=why, hint=hint)


def _writable_hint(message: re.Match[str], folder: str) -> str:
    """Return the fix for a path that cannot be written, or an empty string if it has nothing to do with ``folder``."""
    reason, path = message.groups()
    if not (path in folder or f"{path}/".startswith(f"{folder}/")):
        return ""
    if reason in ("Not a directory", "File exists"):
        return f"on the board, rename the file in place of a folder: {path}"
    if not any(f"{default}/" in f"{path}/" for default in DEFAULT_FOLDERS):
        variable = "XDG_CACHE_HOME" if "/pushed" in folder else "XDG_DATA_HOME"
        return f"on the board, set ${variable} to a writable folder, or unset it"
    # The message contains the file or folder that cannot be created in its parent.
    parent = shlex.quote(str(PurePosixPath(path).parent))
    if reason == "Read-only file system":
        return f"on the board: sudo mount -o remount,rw $(stat -c %m {parent})"
    return f'on the board: sudo chown -R "$USER" {parent}'
