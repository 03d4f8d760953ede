"""Connection to this machine, whose commands are local processes.

It exercises provisioning, uploads and remote benchmarks without a board.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgefer.child_start import child_environment
from edgefer.fleet.board_errors import missing_program
from edgefer.fleet.command_output import CommandOutput
from edgefer.fleet.local_process import Stream, run_process, start_process
from edgefer.fleet.registry import Device

__all__ = ["LocalConnection", "connect"]


class LocalConnection:
    """A Connection to this machine."""

    def __init__(self, device: Device, *, stop: threading.Event | None = None) -> None:
        self.name, self.python = device.name, str(Path(device.python or sys.executable).expanduser())
        self._stop = stop or threading.Event()

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """Run a command and wait for it.

        Raises:
            DeviceUnreachable: the command is still running after ``timeout_s`` seconds, or was interrupted.
            IncompatibleError: the program does not exist.
        """
        with self._missing_program_errors(arguments):
            ended = run_process(
                arguments, name=self.name, stdin=stdin, timeout_s=timeout_s, stop=self._stop,
                environment=child_environment(),
            )  # fmt: skip
        # A shell reports a signal as 128 plus its number.
        exit_code = ended.exit_code if ended.exit_code >= 0 else 128 - ended.exit_code
        return CommandOutput(exit_code, ended.stdout, ended.stderr.decode(errors="replace"))

    @contextlib.contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[Stream]:
        """Start a command; leaving the block ends it.

        Raises:
            IncompatibleError: the program does not exist.
        """
        with (
            self._missing_program_errors(arguments),
            start_process(arguments, stop=self._stop, environment=child_environment()) as stream,
        ):
            yield stream

    def close(self) -> None:
        """Do nothing; a local connection has no resources."""

    @contextlib.contextmanager
    def _missing_program_errors(self, arguments: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, PermissionError) as error:
            raise missing_program(self.name, arguments[0], why=error.strerror or str(error)) from error


def connect(device: Device, *, stop: threading.Event | None = None) -> LocalConnection:
    """Create a connection to this machine."""
    return LocalConnection(device, stop=stop)
