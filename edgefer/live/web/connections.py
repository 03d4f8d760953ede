"""Limit the connections that have not sent an admitted request, so that they cannot keep viewers out.

    connections = Connections()
    connections.open(client, close)                 # closes an older connection if there are too many
    connections.admit(client)                       # its token is valid: never closed from here
    connections.remove(client)                      # the connection was closed

A client is the (host, port) of a connection, and all calls come from the event loop.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

__all__ = ["MAX_WAITING", "Connections"]

# Enough for many simultaneous viewers, and half of the usual limit of open files per process.
MAX_WAITING = 512


class Connections:
    """The connections without an admitted request, oldest first."""

    def __init__(self, *, max_waiting: int = MAX_WAITING) -> None:
        self._waiting: dict[Any, Callable[[], None]] = {}
        self._max_waiting = max_waiting

    def open(self, client: Any, close: Callable[[], None]) -> None:
        """Add a connection; above the limit, close the oldest one of the host that has the most.

        Args:
            client: (host, port) of the connection.
            close: closes the connection.
        """
        self._waiting[client] = close
        if len(self._waiting) > self._max_waiting:
            ((busiest, _),) = Counter(map(_host, self._waiting)).most_common(1)
            oldest = next(waiting for waiting in self._waiting if _host(waiting) == busiest)
            self._waiting.pop(oldest)()

    def admit(self, client: Any) -> None:
        """Record that a request of this client was admitted."""
        self._waiting.pop(client, None)

    def remove(self, client: Any) -> None:
        """Remove a connection that was closed."""
        self._waiting.pop(client, None)


def _host(client: Any) -> Any:
    return client[0] if client else None
