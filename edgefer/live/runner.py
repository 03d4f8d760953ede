"""Live video until somebody has seen enough of it: each scene goes to every outlet, and a summary is left.

    with Live(pipeline, source) as live:
        shown = show(live, [Lines(sys.stdout)], frames=1000)
    shown.to_json()
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from edgefer.live.frame_result import FrameTiming, Health
from edgefer.live.session import Live
from edgefer.live.sinks import Sink
from edgefer.statistics import percentile

__all__ = ["LiveSummary", "run_live", "stopped_by_signals"]

# Of the last frames; a night's worth would fill the memory.
AGES = 10_000


@dataclass(frozen=True)
class LiveSummary:
    """What was shown.

    Attributes:
        frames: how many frames were looked at.
        elapsed_s: how long that took, from the first to the last.
        with_faces: in how many of them there was a face.
        tracks: how many faces came, one that was lost and found again counted twice.
        ages_ms: p50 and p90 of how old the frames were when they were shown; None without any.
        oldest_frame_times: how old the oldest was, in times that a frame took: between two that were shown, or between
            two that came, whichever is more. None where every frame is looked at, and for fewer than two.
        losses: how many times the camera was gone.
        budget: where the time of the last frames went.
        health: how the device was at the end.
    """

    frames: int
    elapsed_s: float
    with_faces: int
    tracks: int
    ages_ms: tuple[float, float] | None
    oldest_frame_times: float | None
    losses: int
    budget: FrameTiming
    health: Health

    @property
    def fps(self) -> float | None:
        """Frames a second, from the first to the last."""
        return (self.frames - 1) / self.elapsed_s if self.elapsed_s else None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "frames": self.frames,
            "elapsed_s": self.elapsed_s,
            "fps": self.fps,
            "frames_with_faces": self.with_faces,
            "tracks": self.tracks,
            "age_p50_ms": self.ages_ms and self.ages_ms[0],
            "age_p90_ms": self.ages_ms and self.ages_ms[1],
            "oldest_frame_times": self.oldest_frame_times,
            "losses": self.losses,
            "budget": self.budget.to_json(),
            "health": self.health.to_json(),
        }


def run_live(
    live: Live, outlets: Sequence[Sink], *, frames: int | None = None, seconds: float | None = None
) -> LiveSummary:
    """Hand on scenes until the video ends, live.stop() is called, or one of the limits is reached; close the outlets.

    Raises:
        EdgeferError: the source broke and is none that comes back.
    """
    ages, oldest = deque[float](maxlen=AGES), None
    count = with_faces = tracks = 0
    begin = before = time.monotonic()
    with contextlib.ExitStack() as stack:
        for outlet in outlets:
            stack.callback(outlet.close)
        for scene in live:
            for outlet in outlets:
                outlet.publish(scene)
            now = time.monotonic()
            age_s = now - scene.captured_ns / 1e9
            ages.append(1000 * age_s)
            if count and not live.grabber.every_frame:
                oldest = max(oldest or 0.0, age_s / max(now - before, live.grabber.interval_s or 0.0))
            begin = begin if count else now
            count, with_faces, before = count + 1, with_faces + bool(scene.faces), now
            tracks = max([tracks, *(face.track + 1 for face in scene.faces)])
            if count == frames or now - begin >= (seconds or math.inf):
                live.stop()
    known = np.array(ages)
    spread = (float(percentile(known, 50)), float(percentile(known, 90))) if count else None
    return LiveSummary(
        frames=count, elapsed_s=before - begin if count else 0.0, with_faces=with_faces, tracks=tracks, ages_ms=spread,
        oldest_frame_times=oldest, losses=live.grabber.losses, budget=live.budget, health=live.health,
    )  # fmt: skip


@contextlib.contextmanager
def stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM call ``stop`` within the block, once; a second one does what it usually does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before[signal.Signals(number)])
        stop()

    for each in before:
        signal.signal(each, handle)
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
