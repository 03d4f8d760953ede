"""What systemd wants to know of a service that it started: that it is ready, that it still works, that it ends.

    Heartbeat(losses=lambda: live.grabber.losses)   # an outlet; where systemd has not started it, it does nothing
    notify("READY=1")

The protocol is that of sd_notify(3): a datagram of lines to the socket that NOTIFY_SOCKET names. A service from which
nothing comes for the time in WATCHDOG_USEC is started anew.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable

from edgefer.live.frame_result import FrameResult

__all__ = ["Heartbeat", "notify"]

# Of the time after which systemd gives up.
BEAT = 1 / 4


def notify(*lines: str) -> bool:
    """Tell systemd; whether there is one that wants to know."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    if address.startswith("@"):  # the abstract namespace
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
        teller.setblocking(False)
        # A manager that does not listen is no reason to stop.
        with contextlib.suppress(OSError):
            teller.sendto("\n".join(lines).encode(), address)
    return True


class Heartbeat:
    """Beats for as long as scenes come, and while a camera that is gone is being waited for."""

    def __init__(self, *, losses: Callable[[], int] = lambda: 0) -> None:
        """Nothing is told before the first scene.

        Args:
            losses: how often the camera was gone. Where that was once more since the last scene, none comes because
                there is no camera, and starting anew would not mend that.
        """
        self._losses, self._losses_then = losses, 0
        self._newest: FrameResult | None = None
        self._told: FrameResult | None = None
        self._stopping = threading.Event()
        watched_s = float(os.environ.get("WATCHDOG_USEC") or 0) / 1e6
        self._thread: threading.Thread | None = None
        if os.environ.get("NOTIFY_SOCKET") and watched_s:
            self._thread = threading.Thread(target=self._beat, args=(watched_s * BEAT,), name="heartbeat", daemon=True)
            self._thread.start()

    def publish(self, scene: FrameResult) -> None:
        """As Sink.publish()."""
        if self._newest is None:
            notify("READY=1", _status(scene))
        self._newest, self._losses_then = scene, self._losses()

    def close(self) -> None:
        """As Sink.close()."""
        notify("STOPPING=1")
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _beat(self, every_s: float) -> None:
        while not self._stopping.wait(every_s):
            newest = self._newest
            if newest is not None and newest is not self._told:
                notify("WATCHDOG=1", _status(newest))
            elif self._losses() > self._losses_then:
                notify("WATCHDOG=1", "STATUS=the camera is gone; trying to open it again")
            self._told = newest


def _status(scene: FrameResult) -> str:
    fps = "" if scene.budget.fps is None else f"{scene.budget.fps:.1f} fps, "
    return f"STATUS={fps}{len(scene.faces)} {'face' if len(scene.faces) == 1 else 'faces'}"
