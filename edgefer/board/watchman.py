"""How the device is, asked now and then in a thread of its own: a board's firmware takes longer than a frame to answer.

    with Watchman() as watchman:
        watchman.health                             # Health
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from edgefer.board import platform
from edgefer.board.scene import Health

__all__ = ["Watchman"]

EVERY_S = 5.0


class Watchman:
    """Looks at the device.

    Attributes:
        health: how it was when he last looked.
    """

    def __init__(self, *, every_s: float = EVERY_S, told: Callable[[], dict[str, Any]] = platform.told) -> None:
        self.health = Health()
        self._every_s, self._told = every_s, told
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchman", daemon=True)

    def __enter__(self) -> Watchman:
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stopping.set()
        self._thread.join(self._every_s)

    def _run(self) -> None:
        while True:
            told = self._told()
            self.health = Health(told.get("temperature_c"), told.get("throttled"))
            if self._stopping.wait(self._every_s):
                return
