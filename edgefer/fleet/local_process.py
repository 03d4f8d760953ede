"""Run the local process of a connection, such as ssh.

    ended = run_process(["ssh", ...], name="pi4", frame=frame, first_line=frame.first_line(command), timeout_s=60.0)
    with start_process(["ssh", ...], frame=frame, first_line=frame.stream_line(command)) as stream:
        for line in stream.lines(): ...

Each process leads its own process group, so that Ctrl-C in the terminal reaches only edgefer, which then ends it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from edgefer.errors import DataError, DeviceUnreachable
from edgefer.fleet.framing import Frame

__all__ = ["Ended", "Stream", "run_process", "start_process"]

STDERR_CHARACTERS = 400
CHUNK_BYTES = 2**16
# No reply and no event is longer; a longer one is a fault of the device.
MAX_OUTPUT_BYTES = 2**27
# Time for a command to end after its stdin was closed.
END_S = 10.0
# Time for ssh to end after the last mark. Background processes of an rc file keep the connection open.
CLOSE_S = 2.0
# Time to log in and to run the rc files of the login shell.
START_S = 60.0
POLL_S = 0.1


@dataclass(frozen=True)
class Ended:
    """A process that has ended.

    Attributes:
        exit_code: its exit code; negative if a signal ended it.
        stdout, stderr: its output.
    """

    exit_code: int
    stdout: bytes
    stderr: bytes


class Stream:
    """A running command.

    Attributes:
        stdin, stdout: its pipes, binary and blocking.
    """

    def __init__(self, process: subprocess.Popen[bytes], stderr: BinaryIO, frame: Frame | None = None) -> None:
        if process.stdin is None or process.stdout is None:
            raise ValueError("the process has no pipes")
        self._process, self._stderr, self._frame = process, stderr, frame
        self.stdin, self.stdout = process.stdin, process.stdout

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of stdout.

        Raises:
            DataError: a line is longer than MAX_OUTPUT_BYTES.
        """
        while line := self.stdout.readline(MAX_OUTPUT_BYTES + 1):
            if len(line) > MAX_OUTPUT_BYTES:
                raise DataError("a line of the device is too long", why=f"expected at most {MAX_OUTPUT_BYTES:,} bytes")
            yield line

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Return the exit code, or None if the command is still running after ``timeout_s`` seconds."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """Terminate the local process group; a remote command ends because its stdin closes."""
        _signal(self._process, signal.SIGTERM)

    def end(self) -> None:
        """Close stdin, which ends a well-behaved command, and kill it if it is still running after END_S seconds."""
        with contextlib.suppress(OSError):
            self.stdin.close()
        if self.wait(END_S) is None:
            _signal(self._process, signal.SIGKILL)
        self.wait()

    def stderr(self) -> bytes:
        """Return the standard error of the command so far, without that of the login shell before it."""
        self._stderr.seek(0)
        content = self._stderr.read()
        return content.rpartition(self._frame.begin)[2] if self._frame else content

    def stderr_tail(self) -> str:
        """Return the last line on standard error, shortened and printable, or an empty string."""
        lines = self.stderr().decode(errors="replace").strip().splitlines()
        return "".join(letter for letter in (lines or [""])[-1] if letter.isprintable())[:STDERR_CHARACTERS]


@contextlib.contextmanager
def _piped_process(
    command: Sequence[str], environment: Mapping[str, str] | None
) -> Iterator[tuple[subprocess.Popen[bytes], BinaryIO]]:
    """Start a process in its own session; yield it and the file of its standard error."""
    with (
        tempfile.TemporaryFile() as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=environment,
            start_new_session=True,
        ) as process,
    ):  # fmt: skip
        yield process, stderr


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    # The process leads its own group. After it has been waited for, another process may have its ID.
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


@contextlib.contextmanager
def start_process(
    command: Sequence[str],
    *,
    frame: Frame | None = None,
    first_line: bytes = b"",
    stop: threading.Event | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Stream]:
    """Start a process on this machine; leaving the block ends it.

    Args:
        command: program and arguments.
        frame: frame of the command, whose stream_line() is ``first_line``; the login shell's output is skipped. If
            the mark never comes, the stream is empty and has the standard error of the connection.
        first_line: sent after the mark.
        stop: setting it before the mark kills the process.
        environment: environment variables of the process; None for those of this one.
    """
    with _piped_process(command, environment) as (process, stderr):
        stream = Stream(process, stderr, frame)
        try:
            if frame is not None:
                _wait_for_mark(stream, frame, stop or threading.Event())
                with contextlib.suppress(BrokenPipeError):
                    stream.stdin.write(first_line)
                    stream.stdin.flush()
            yield stream
        finally:
            stream.end()


def _wait_for_mark(stream: Stream, frame: Frame, stop: threading.Event) -> None:
    ended = threading.Event()

    def watch() -> None:
        begin = time.monotonic()
        while not ended.wait(POLL_S):
            if stop.is_set() or time.monotonic() - begin > START_S:
                stream.kill()
                return

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        for line in stream.lines():
            if line.endswith(frame.begin):
                break
    finally:
        ended.set()
        watcher.join()


def run_process(
    command: Sequence[str],
    *,
    name: str,
    stdin: bytes = b"",
    timeout_s: float | None = None,
    stop: threading.Event | None = None,
    frame: Frame | None = None,
    first_line: bytes = b"",
    environment: Mapping[str, str] | None = None,
) -> Ended:
    """Run a process on this machine and wait for it.

    Args:
        command: program and arguments.
        name: name of the device, for the error message.
        stdin: bytes for its standard input.
        timeout_s: maximum duration in seconds, or None.
        stop: setting it kills the process.
        frame: frame of the command, whose first_line() is ``first_line``. Nothing is sent before its first mark, so an
            rc file cannot read it, and stdin stays open until its last mark, unless ``stdin`` has content.
        first_line: sent before ``stdin``.
        environment: environment variables of the process; None for those of this one.

    Raises:
        DeviceUnreachable: the process is still running after ``timeout_s`` seconds, or ``stop`` was set.
        DataError: the output is longer than MAX_OUTPUT_BYTES.
    """
    stop, begin = stop or threading.Event(), time.monotonic()
    with _piped_process(command, environment) as (process, stderr):
        exchange = _Exchange(process, frame, first_line + stdin, close_stdin=bool(stdin) or frame is None)
        try:
            while not exchange.completed.wait(POLL_S):
                seconds = time.monotonic() - begin
                if stop.is_set():
                    raise DeviceUnreachable(f"the command on {name} was interrupted", why="the benchmark was stopped")
                if timeout_s is not None and seconds > timeout_s:
                    why, hint = "the device or the connection is not responding", "run the same command again"
                    raise DeviceUnreachable(f"{name} did not answer within {seconds:.0f} s", why=why, hint=hint)
            if exchange.received > MAX_OUTPUT_BYTES:
                why = f"expected at most {MAX_OUTPUT_BYTES:,} bytes"
                raise DataError(f"the output of {name} is too long", why=why)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLOSE_S)
        finally:
            _signal(process, signal.SIGKILL)
            exit_code = process.wait()
            exchange.join()
        stderr.seek(0)
        return Ended(exit_code, exchange.stdout, stderr.read())


class _Exchange:
    """Threads that write to a process and read from it.

    Attributes:
        completed: set when the last mark or the end of the output has been read.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], frame: Frame | None, content: bytes, *, close_stdin: bool
    ) -> None:
        self._process, self._frame, self._content, self._close_stdin = process, frame, content, close_stdin
        self._buffer, self._started, self.completed = bytearray(), threading.Event(), threading.Event()
        if frame is None:
            self._started.set()
        self._threads = [threading.Thread(target=task, daemon=True) for task in (self._read, self._write)]
        for thread in self._threads:
            thread.start()

    @property
    def received(self) -> int:
        """Number of bytes read so far."""
        return len(self._buffer)

    @property
    def stdout(self) -> bytes:
        """The output so far."""
        return bytes(self._buffer)

    def join(self) -> None:
        """Wait for the threads, after the process has ended."""
        self._started.set()
        self.completed.set()
        for thread in self._threads:
            thread.join(END_S)

    def _read(self) -> None:
        stdout, frame, searched = self._process.stdout, self._frame, 0
        if stdout is None:
            raise ValueError("the process has no pipes")
        while len(self._buffer) <= MAX_OUTPUT_BYTES and (chunk := os.read(stdout.fileno(), CHUNK_BYTES)):
            self._buffer += chunk
            if frame is None:
                continue
            if not self._started.is_set() and frame.begin in self._buffer:
                self._started.set()
            at = self._buffer.find(frame.end, searched)
            searched = max(0, len(self._buffer) - len(frame.end))
            if at >= 0:
                searched = at
                if b"\n" in self._buffer[at:]:
                    break
        self._started.set()
        self.completed.set()

    def _write(self) -> None:
        stdin = self._process.stdin
        if stdin is None:
            raise ValueError("the process has no pipes")
        self._started.wait()
        with contextlib.suppress(OSError, ValueError):
            stdin.write(self._content)
            stdin.flush()
        if not self._close_stdin:
            self.completed.wait()
        with contextlib.suppress(OSError, ValueError):
            stdin.close()
