"""This machine, reached as a board is: commands are processes of it.

With it all that goes to a board can be tried without one.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from edgefer.errors import IncompatibleError
from edgefer.fleet.connection import CommandOutput, Stream, finish, started
from edgefer.fleet.registry import Device

__all__ = ["LocalConnection", "connect"]


class LocalConnection:
    """A Connection to this machine."""

    def __init__(self, device: Device) -> None:
        self.name, self.python = device.name, device.python or sys.executable

    def run(self, arguments: Sequence[str], *, stdin: bytes = b"", timeout_s: float | None = None) -> CommandOutput:
        """As Connection.run()."""
        with self._as_sentences(arguments):
            said = finish(arguments, stdin=stdin, timeout_s=timeout_s, name=self.name)
        # As a shell tells a signal.
        return CommandOutput(said.exit_code if said.exit_code >= 0 else 128 - said.exit_code, said.stdout, said.stderr)

    @contextlib.contextmanager
    def stream(self, arguments: Sequence[str]) -> Iterator[Stream]:
        """As Connection.stream()."""
        with self._as_sentences(arguments), started(arguments) as stream:
            yield stream

    def close(self) -> None:
        """Nothing is kept open."""

    @contextlib.contextmanager
    def _as_sentences(self, arguments: Sequence[str]) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise IncompatibleError(f"there is no {arguments[0]} here", hint="name another Python") from error


def connect(device: Device) -> LocalConnection:
    """As ConnectionModule.connect()."""
    return LocalConnection(device)
