"""Connection to a device: run commands there, with bytes in and out.

    with contextlib.closing(connect(device)) as connection:
        output = connection.run(["python3", "-c", "print(1)"])
        with connection.stream(["python3", "edgefer.pyz", "job"]) as stream: ...

A kind of connection is a file in ``connections/`` that defines the members of ConnectionModule.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Protocol, cast

from edgefer import plugins
from edgefer.fleet.command_output import CommandOutput
from edgefer.fleet.local_process import Stream
from edgefer.fleet.registry import Device

__all__ = ["Connection", "ConnectionModule", "connect"]

CONNECTIONS = "edgefer.fleet.connections"


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
            DeviceUnreachable: the device does not answer, or not within ``timeout_s`` seconds; or the connection was
                aborted.
        """

    def stream(self, arguments: Sequence[str]) -> contextlib.AbstractContextManager[Stream]:
        """Start a command on the device; leaving the block ends it.

        Raises:
            DeviceUnreachable: the device does not answer.
        """

    def close(self) -> None:
        """Release the resources of the connection."""


class ConnectionModule(Protocol):
    """Members of a file in ``connections/``."""

    def connect(self, device: Device, *, stop: threading.Event | None = None) -> Connection:
        """Create a connection to ``device``; an unreachable device raises an error at the first command.

        Args:
            device: the device.
            stop: setting it ends the running command, and each later one; None if nothing stops them.
        """


def connect(device: Device, *, stop: threading.Event | None = None) -> Connection:
    """Create a connection of the device's kind.

    Args:
        device: the device.
        stop: setting it ends the running command with DeviceUnreachable, and each later one.

    Raises:
        UsageError: unknown kind of connection, or invalid address.
    """
    module = cast("ConnectionModule", plugins.load(CONNECTIONS, device.kind))
    return module.connect(device, stop=stop)
