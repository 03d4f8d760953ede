"""Profile a live session: time per stage, and the state of the device in the background.

    profiler = StageProfiler()
    with DeviceMonitor() as monitor:
        with profiler.measure("detect"):
            ...
        profiler.end_frame(dropped=0)
        profiler.timing                             # FrameTiming, refreshed four times a second
        monitor.health                              # Health, refreshed every five seconds

StageProfiler runs in the thread that processes frames. DeviceMonitor has its own thread, because querying a board's
firmware takes longer than a frame.
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
from edgefer.live.frame_result import STAGES, FrameTiming, Health, StageTiming
from edgefer.statistics import percentile

__all__ = ["DeviceMonitor", "StageProfiler"]

HISTORY_FRAMES = 150
# Computing the percentiles costs as much as a small network, and a display needs no faster updates.
REFRESH_NS = 250_000_000
MONITOR_INTERVAL_S = 5.0


class StageProfiler:
    """Stage timer for a single thread, with a history of 150 frames.

    Attributes:
        timing: the latest FrameTiming, up to a quarter of a second old.
    """

    def __init__(self) -> None:
        self.timing = FrameTiming()
        self._current: dict[str, int] = {}
        self._history = deque[dict[str, int]](maxlen=HISTORY_FRAMES)
        self._end_times_ns = deque[int](maxlen=HISTORY_FRAMES)
        self._refreshed_ns = 0

    @contextlib.contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the block as ``stage``, one of STAGES; repeated stages of a frame add up."""
        begin = time.perf_counter_ns()
        yield
        self.add(stage, time.perf_counter_ns() - begin)

    def add(self, stage: str, elapsed_ns: int) -> None:
        """Add ``elapsed_ns`` to a stage of the current frame."""
        self._current[stage] = self._current.get(stage, 0) + elapsed_ns

    def end_frame(self, *, dropped: int) -> None:
        """End the current frame; ``dropped`` is the number of frames skipped since the start."""
        self._history.append(self._current)
        self._current = {}
        now_ns = time.perf_counter_ns()
        self._end_times_ns.append(now_ns)
        if now_ns - self._refreshed_ns > REFRESH_NS:
            self.timing, self._refreshed_ns = self.compute(dropped=dropped), now_ns

    def compute(self, *, dropped: int) -> FrameTiming:
        """Compute the timing from the current history."""
        total_ns = sum(sum(frame.values()) for frame in self._history)
        stages = {}
        for name in STAGES:
            times_ns = np.array([frame[name] for frame in self._history if name in frame], np.int64)
            if len(times_ns):
                p50_ms, p90_ms = (float(percentile(times_ns, percent)) / 1e6 for percent in (50, 90))
                stages[name] = StageTiming(p50_ms, p90_ms, float(times_ns.sum()) / total_ns if total_ns else 0.0)
        elapsed_s = (self._end_times_ns[-1] - self._end_times_ns[0]) / 1e9 if self._end_times_ns else 0.0
        fps = (len(self._end_times_ns) - 1) / elapsed_s if elapsed_s else None
        return FrameTiming(**stages, fps=fps, dropped=dropped)


class DeviceMonitor:
    """Background thread that samples temperature and throttling.

    Attributes:
        health: the latest sample.
    """

    def __init__(
        self,
        *,
        interval_s: float = MONITOR_INTERVAL_S,
        read_state: Callable[[], dict[str, Any]] = platform.read_state,
    ) -> None:
        """Configure the monitor; entering the context starts it.

        Args:
            interval_s: time between two samples.
            read_state: returns the device state, with the optional keys temperature_c and throttled.
        """
        self.health = Health()
        self._interval_s, self._read_state = interval_s, read_state
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="device-monitor", daemon=True)

    def __enter__(self) -> DeviceMonitor:
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._stopping.set()
        self._thread.join(self._interval_s)

    def _run(self) -> None:
        while True:
            state = self._read_state()
            self.health = Health(state.get("temperature_c"), state.get("throttled"))
            if self._stopping.wait(self._interval_s):
                return
