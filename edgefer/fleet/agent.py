"""Run the agent script on a board and read its reply.

    output = run_agent(connection, "probe", timeout_s=60.0)
    with invalid_reply_errors(connection.name):
        fields = Fields(read_reply(output))

The board needs only Python. Replies are validated, because any program on the board may have written them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from edgefer.errors import DataError, DeviceUnreachable, EdgeferError, IncompatibleError
from edgefer.fleet.agent_script import BUSY, DAMAGED, DISK_FULL, MARK, SCRIPT, TOO_OLD, UNWRITABLE
from edgefer.fleet.board_errors import describe_failure
from edgefer.fleet.command_output import CommandOutput
from edgefer.fleet.connection import Connection
from edgefer.results.schema import parse_json

__all__ = ["invalid_reply_errors", "read_reply", "run_agent"]

ANOTHER_PYTHON = "edgefer devices add NAME ADDRESS --python"


def run_agent(
    connection: Connection, verb: str, *arguments: str, stdin: bytes = b"", timeout_s: float, accepted: int = 0
) -> CommandOutput:
    """Run the agent script on a device.

    Args:
        connection: to the device.
        verb: "probe", "put" or "clean".
        arguments: arguments of the verb.
        stdin: bytes that the script reads from its standard input.
        timeout_s: time limit in seconds.
        accepted: exit code besides 0 that is not an error.

    Raises:
        DeviceUnreachable: the device does not answer, an upload was damaged on the way, or a benchmark prevents the
            removal of files.
        IncompatibleError: the device has no Python, or one older than 3.7.
        DataError: the disk of the device is full.
    """
    output = connection.run([connection.python, "-c", SCRIPT, verb, *arguments], stdin=stdin, timeout_s=timeout_s)
    if output.exit_code in (0, accepted):
        return output
    raise _describe_failure(output, connection)


def read_reply(output: CommandOutput) -> Any:
    """Parse the line behind the mark of the agent script; other output is ignored.

    Raises:
        DataError: there is no such line, or it is not valid JSON.
    """
    mark = MARK.encode()
    replies = [line.partition(mark)[2] for line in output.stdout.splitlines() if mark in line]
    if not replies:
        raise DataError("the reply is missing", why="the interpreter did not run the script of edgefer")
    return parse_json(replies[-1])


@contextlib.contextmanager
def invalid_reply_errors(name: str) -> Iterator[None]:
    """Name the device in the error for an invalid reply."""
    try:
        yield
    except DataError as error:
        hint = f"{ANOTHER_PYTHON} /path/to/another/python3"
        raise DataError(f"{name} sent an invalid reply", why=f"{error.what}: {error.why}", hint=hint) from error


def _describe_failure(output: CommandOutput, connection: Connection) -> EdgeferError:
    last_line = (output.stderr.strip().splitlines() or [""])[-1][:300]
    name, python = connection.name, connection.python
    if output.exit_code == TOO_OLD:
        hint = f"{ANOTHER_PYTHON} /path/to/python3.11"
        what = f"{python} on {name} is too old: {last_line}"
        return IncompatibleError(what, why="edgefer needs Python 3.10 to 3.13", hint=hint)
    if output.exit_code == BUSY:
        hint = "wait until it has ended, and run the command again"
        return DeviceUnreachable(f"another benchmark is running on {name}", why=last_line, hint=hint)
    if output.exit_code == DISK_FULL:
        return DataError(f"the disk of {name} is full", why=last_line, hint=f"edgefer devices clean {name}")
    if output.exit_code == DAMAGED:
        return DeviceUnreachable(f"an upload to {name} was damaged", why=last_line, hint="run the same command again")
    what = f"{python} on {name} ended with exit code {output.exit_code}"
    if output.exit_code == UNWRITABLE:
        what = f"{name} cannot store the upload"
    return describe_failure(what, output, device=name, python=python, hint=f"{ANOTHER_PYTHON} /path/to/another/python3")
