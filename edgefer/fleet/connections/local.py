"""Connection to this machine, whose commands are local processes.

It exercises provisioning, uploads and remote benchmarks without a board.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from edgefer.errors import IncompatibleError
from edgefer.fleet.connection import CommandOutput, Stream, run_process, start_process
from edgefer.fleet.registry import Device

__all__ = ["LocalConnection", "connect"]


class LocalConnection:
    """A Connection to this machine."""

    def __init__(self, device: Device) -> None:
        self.name, self.python = device.name, device.python or sys.executable

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """Run a command and wait for it.

        Raises:
            DeviceUnreachable: the command is still running after ``timeout_s`` seconds.
            IncompatibleError: the program does not exist.
        """
        with self._missing_program_errors(arguments):
            output = run_process(arguments, stdin=stdin, timeout_s=timeout_s, name=self.name)
        # A shell reports a signal as 128 plus its number.
        exit_code = output.exit_code if output.exit_code >= 0 else 128 - output.exit_code
        return CommandOutput(exit_code, output.stdout, output.stderr)

    @contextlib.contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[Stream]:
        """Start a command; leaving the block ends it.

        Raises:
            IncompatibleError: the program does not exist.
        """
        with self._missing_program_errors(arguments), start_process(arguments) as stream:
            yield stream

    def close(self) -> None:
        """Do nothing; a local connection has no resources."""

    @contextlib.contextmanager
    def _missing_program_errors(self, arguments: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            what = f"{arguments[0]} does not exist on this machine"
            hint = "edgefer devices add NAME ADDRESS --python PATH"
            raise IncompatibleError(what, hint=hint) from error


def connect(device: Device) -> LocalConnection:
    """Create a connection to this machine."""
    return LocalConnection(device)
