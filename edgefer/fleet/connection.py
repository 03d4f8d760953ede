"""Connection to a device: run commands there, with bytes in and out.

    with contextlib.closing(connect(device)) as connection:
        output = connection.run(["python3", "-c", "print(1)"])
        with connection.stream(["python3", "edgefer.pyz", "job"]) as stream: ...

A kind of connection is a file in ``connections/`` that defines the members of ConnectionModule.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from edgefer import plugins
from edgefer.errors import DeviceUnreachable
from edgefer.fleet.registry import Device

__all__ = ["CommandOutput", "Connection", "ConnectionModule", "Stream", "connect", "run_process", "start_process"]

CONNECTIONS = "edgefer.fleet.connections"
STDERR_CHARACTERS = 400
# Time for a command to end after its stdin was closed.
END_S = 10.0


@dataclass(frozen=True)
class CommandOutput:
    """Output of a command on a device.

    Attributes:
        exit_code: exit code of the command; 128 plus the signal number if a signal ended it.
        stdout: bytes on its standard output.
        stderr: text on its standard error.
    """

    exit_code: int
    stdout: bytes
    stderr: str


class Connection(Protocol):
    """An open connection to a device."""

    @property
    def name(self) -> str:
        """Name of the device."""

    @property
    def python(self) -> str:
        """Interpreter on the device that runs the agent script."""

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """Run a command on the device and wait for it.

        Raises:
            DeviceUnreachable: the device does not answer, or not within ``timeout_s`` seconds.
        """

    def stream(self, arguments: Sequence[str]) -> contextlib.AbstractContextManager[Stream]:
        """Start a command on the device; leaving the block ends it."""

    def close(self) -> None:
        """Release the resources of the connection."""


class ConnectionModule(Protocol):
    """Members of a file in ``connections/``."""

    def connect(self, device: Device) -> Connection:
        """Create a connection to ``device``; an unreachable device raises an error at the first command."""


class Stream:
    """A running command.

    Attributes:
        stdin, stdout: its pipes, binary and blocking; iterating over stdout yields lines.
    """

    def __init__(self, process: subprocess.Popen[bytes], stderr: BinaryIO) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process has no pipes")
        self._process, self._stderr = process, stderr
        self.stdin, self.stdout = process.stdin, process.stdout

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit code, or None if the command is still running after ``timeout_s`` seconds."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Terminate the local process group; a remote command ends because its stdin closes."""
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Close stdin, which ends a well-behaved command, and kill it if it is still running after END_S seconds."""
        with contextlib.suppress(OSError):
            self.stdin.close()
        if self.wait(END_S) is None:
            self._signal(signal.SIGKILL)
        self.wait()

    def _signal(self, number: signal.Signals) -> None:
        # The process leads its own group. After it has been waited for, another process may have its ID.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def stderr_tail(self) -> str:
        """Return the last line on standard error, shortened, or an empty string."""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return (lines or [""])[-1][:STDERR_CHARACTERS]


def connect(device: Device) -> Connection:
    """Create a connection of the device's kind.

    Raises:
        UsageError: unknown kind of connection.
    """
    return cast("ConnectionModule", plugins.load(CONNECTIONS, device.kind)).connect(device)


@contextlib.contextmanager
def start_process(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Iterator[Stream]:
    """Start a process on this machine; leaving the block ends it."""
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        stream = Stream(process, stderr)
        try:
            yield stream
        finally:
            stream.end()


def run_process(command: Sequence[str], *, stdin: bytes, timeout_s: float | None, name: str) -> CommandOutput:
    """Run a process on this machine and wait for it.

    Args:
        command: program and arguments.
        stdin: bytes for its standard input.
        timeout_s: maximum duration in seconds, or None.
        name: name of the device, for the error message.

    Raises:
        DeviceUnreachable: the process is still running after ``timeout_s`` seconds.
    """
    begin = time.monotonic()
    try:
        ended = subprocess.run(
            command, input=stdin, capture_output=True, timeout=timeout_s, check=False, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        seconds = time.monotonic() - begin
        why, hint = "the device or the connection is not responding", "run the same command again"
        raise DeviceUnreachable(f"{name} did not answer within {seconds:.0f} s", why=why, hint=hint) from error
    return CommandOutput(ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))
