"""What the stages of a frame take, over the last frames: a Budget.

    watch = Stopwatch()
    with watch.stage("detect"):
        ...
    watch.frame(dropped=0)                          # the frame is done
    watch.budget

How the device is, asked now and then in a thread of its own: a board's firmware takes longer than a frame to answer.

    with Watchman() as watchman:
        watchman.health                             # Health
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from edgefer.device import platform
from edgefer.live.frame_result import STAGES, FrameTiming, Health, Stage
from edgefer.statistics import percentile

__all__ = ["DeviceMonitor", "StageProfiler"]

FRAMES = 150
# Percentiles cost as much as a small network; people read no faster than this.
REFRESH_NS = 250_000_000


class StageProfiler:
    """Times stages; it belongs to one thread.

    Attributes:
        budget: as it was up to a quarter of a second ago.
    """

    def __init__(self) -> None:
        self.budget = FrameTiming()
        self._now: dict[str, int] = {}
        self._past = deque[dict[str, int]](maxlen=FRAMES)
        self._ends = deque[int](maxlen=FRAMES)
        self._computed_ns = 0

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block as ``name``, one of STAGES; a second time in the same frame is added to the first."""
        begin = time.perf_counter_ns()
        yield
        self.add(name, time.perf_counter_ns() - begin)

    def add(self, name: str, elapsed_ns: int) -> None:
        """As stage(), for what was timed elsewhere."""
        self._now[name] = self._now.get(name, 0) + elapsed_ns

    def frame(self, *, dropped: int) -> None:
        """The frame is done; ``dropped`` were passed over since the start."""
        self._past.append(self._now)
        self._now = {}
        now_ns = time.perf_counter_ns()
        self._ends.append(now_ns)
        if now_ns - self._computed_ns > REFRESH_NS:
            self.budget, self._computed_ns = self.refreshed(dropped=dropped), now_ns

    def refreshed(self, *, dropped: int) -> FrameTiming:
        """The budget as it is now."""
        whole = sum(sum(each.values()) for each in self._past)
        stages = {}
        for name in STAGES:
            taken = np.array([each[name] for each in self._past if name in each], np.int64)
            if len(taken):
                p50, p90 = (float(percentile(taken, percent)) / 1e6 for percent in (50, 90))
                stages[name] = Stage(p50, p90, float(taken.sum()) / whole if whole else 0.0)
        spent_s = (self._ends[-1] - self._ends[0]) / 1e9 if self._ends else 0.0
        fps = (len(self._ends) - 1) / spent_s if spent_s else None
        return FrameTiming(**stages, fps=fps, dropped=dropped)


EVERY_S = 5.0


class DeviceMonitor:
    """Looks at the device.

    Attributes:
        health: how it was when he last looked.
    """

    def __init__(self, *, every_s: float = EVERY_S, told: Callable[[], dict[str, Any]] = platform.read_state) -> None:
        self.health = Health()
        self._every_s, self._told = every_s, told
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchman", daemon=True)

    def __enter__(self) -> DeviceMonitor:
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
