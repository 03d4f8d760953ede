"""What the stages of a frame take, over the last frames: a Budget.

    watch = Stopwatch()
    with watch.stage("detect"):
        ...
    watch.frame(dropped=0)                          # the frame is done
    watch.budget
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Iterator

import numpy as np

from edgefer.board.scene import STAGES, Budget, Stage
from edgefer.statistics import percentile

__all__ = ["Stopwatch"]

FRAMES = 150
# Percentiles cost as much as a small network; people read no faster than this.
REFRESH_NS = 250_000_000


class Stopwatch:
    """Times stages; it belongs to one thread.

    Attributes:
        budget: as it was up to a quarter of a second ago.
    """

    def __init__(self) -> None:
        self.budget = Budget()
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

    def refreshed(self, *, dropped: int) -> Budget:
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
        return Budget(**stages, fps=fps, dropped=dropped)
