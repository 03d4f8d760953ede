"""How a workstation talks to a device: commands there, with bytes in and out.

    with contextlib.closing(connect(device)) as connection:
        ended = connection.run(["python3", "-c", "print(1)"])
        with connection.stream(["python3", "edgefer.pyz", "job"]) as stream: ...

A kind of connection is a file in ``devices/`` that has what ConnectionModule asks for.
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

__all__ = ["CommandOutput", "Connection", "ConnectionModule", "Stream", "connect", "finish", "started"]

DEVICES = "edgefer.fleet.connections"
LONGEST_QUOTE = 400
# A command that was told to end, or whose link is gone, is given this long.
END_S = 10.0


@dataclass(frozen=True)
class CommandOutput:
    """What a command came to.

    Attributes:
        exit_code: its own; 128 and the signal's number where a signal ended it.
        stdout: what it wrote.
        stderr: the same there, as text.
    """

    exit_code: int
    stdout: bytes
    stderr: str


class Connection(Protocol):
    """A device that answers."""

    @property
    def name(self) -> str:
        """The device's name."""

    @property
    def python(self) -> str:
        """The interpreter that runs what is asked of the device itself."""

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """Run a command there and wait for it.

        Raises:
            DeviceUnreachable: the device does not answer, or not within ``timeout_s``.
        """

    def stream(self, arguments: Sequence[str]) -> contextlib.AbstractContextManager[Stream]:
        """Start a command there; leaving the block ends it."""

    def close(self) -> None:
        """End what the connection itself keeps open."""


class ConnectionModule(Protocol):
    """What a file in ``devices/`` defines."""

    def connect(self, device: Device) -> Connection:
        """Make a connection to ``device``; that it answers shows with the first command."""


class Stream:
    """A command that runs on a device.

    Attributes:
        stdin, stdout: its ends, binary and blocking; stdout gives lines.
    """

    def __init__(self, process: subprocess.Popen[bytes], stderr: BinaryIO) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("a process without pipes")
        self._process, self._stderr = process, stderr
        self.stdin, self.stdout = process.stdin, process.stdout

    def wait(self, timeout_s: float | None = None) -> int | None:
        """The exit code, or None where it does not end within ``timeout_s``."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Have it end, with what it started here; on a device it notices that its stdin ended."""
        self._signal(signal.SIGTERM)

    def end(self) -> None:
        """Close its stdin, which is what a well-behaved command ends with, and do not wait for any other for long."""
        with contextlib.suppress(OSError):
            self.stdin.close()
        if self.wait(END_S) is None:
            self._signal(signal.SIGKILL)
        self.wait()

    def _signal(self, number: signal.Signals) -> None:
        # It leads a session of its own. Once it was waited for, its number may be another's.
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def stderr_tail(self) -> str:
        """The last line that it wrote there, cut off; empty if there is none."""
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return (lines or [""])[-1][:LONGEST_QUOTE]


def connect(device: Device) -> Connection:
    """A connection to ``device``, of its kind.

    Raises:
        UsageError: there is no such kind.
    """
    return cast("ConnectionModule", plugins.load(DEVICES, device.kind)).connect(device)


@contextlib.contextmanager
def started(command: Sequence[str], *, environment: Mapping[str, str] | None = None) -> Iterator[Stream]:
    """A Stream of a process on this machine; it is ended with the block, if it has not."""
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


def finish(command: Sequence[str], *, stdin: bytes, timeout_s: float | None, name: str) -> CommandOutput:
    """Run a process on this machine to its end.

    Raises:
        DeviceUnreachable: it did not end within ``timeout_s``.
    """
    begin = time.monotonic()
    try:
        ended = subprocess.run(
            command, input=stdin, capture_output=True, timeout=timeout_s, check=False, start_new_session=True
        )
    except subprocess.TimeoutExpired as error:
        seconds = time.monotonic() - begin
        raise DeviceUnreachable(
            f"{name} did not answer within {seconds:.0f} s", why="it hangs, or the link to it does", hint="try again"
        ) from error
    return CommandOutput(ended.returncode, ended.stdout, ended.stderr.decode(errors="replace"))
