"""Report readiness, liveness and shutdown of a service to systemd, by the sd_notify(3) protocol.

    HeartbeatSink(disconnects=lambda: live.disconnects)     # does nothing outside a systemd service
    notify("READY=1")

A message is a datagram of lines to the socket in NOTIFY_SOCKET. systemd restarts a service that sends no WATCHDOG=1
within WATCHDOG_USEC.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable

from edgefer.data.naming import counted
from edgefer.live.frame_result import FrameResult

__all__ = ["HeartbeatSink", "notify"]

# Interval between heartbeats, as a fraction of the watchdog timeout.
HEARTBEAT_FRACTION = 1 / 4


def notify(*lines: str) -> bool:
    """Send ``lines`` to systemd; return False if NOTIFY_SOCKET is not set."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        # An unresponsive service manager must not stop the service.
        with contextlib.suppress(OSError):
            client.sendto("\n".join(lines).encode(), address)
    return True


class HeartbeatSink:
    """Sink that sends heartbeats while results arrive, or while a lost camera is being reopened."""

    def __init__(self, *, disconnects: Callable[[], int] = lambda: 0) -> None:
        """Start the heartbeat thread if systemd runs a watchdog; the first message follows the first result.

        Args:
            disconnects: returns how often the camera was lost. An increase since the last result means that results
                are missing because there is no camera, which a restart would not fix.
        """
        self._disconnects, self._disconnects_at_publish = disconnects, 0
        self._latest: FrameResult | None = None
        self._reported: FrameResult | None = None
        self._stopping = threading.Event()
        watchdog_s = float(os.environ.get("WATCHDOG_USEC") or 0) / 1e6
        self._thread: threading.Thread | None = None
        if os.environ.get("NOTIFY_SOCKET") and watchdog_s:
            interval_s = watchdog_s * HEARTBEAT_FRACTION
            self._thread = threading.Thread(target=self._run, args=(interval_s,), name="heartbeat", daemon=True)
            self._thread.start()

    def publish(self, result: FrameResult) -> None:
        """Record the result, and report readiness with the first one."""
        if self._latest is None:
            notify("READY=1", _status(result))
        self._latest, self._disconnects_at_publish = result, self._disconnects()

    def close(self) -> None:
        """Report the shutdown and end the heartbeat thread."""
        notify("STOPPING=1")
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, interval_s: float) -> None:
        while not self._stopping.wait(interval_s):
            latest = self._latest
            if latest is not None and latest is not self._reported:
                notify("WATCHDOG=1", _status(latest))
            elif self._disconnects() > self._disconnects_at_publish:
                notify("WATCHDOG=1", "STATUS=camera disconnected; reconnecting")
            self._reported = latest


def _status(result: FrameResult) -> str:
    fps = "" if result.timing.fps is None else f"{result.timing.fps:.1f} fps, "
    return f"STATUS={fps}{counted(len(result.faces), 'face')}"
