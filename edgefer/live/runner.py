"""Run a live session and publish each frame to its sinks.

    with Live(pipeline, source) as live, stop_on_signals(live.stop):
        summary = run_live(live, [JsonLinesSink(sys.stdout)], frames=1000)
    summary.to_json()
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

__all__ = ["LiveSummary", "run_live", "stop_on_signals"]

# A bounded history: a session may run for months.
AGE_HISTORY_FRAMES = 10_000


@dataclass(frozen=True)
class LiveSummary:
    """Statistics of a finished run.

    Attributes:
        frames: number of processed frames.
        elapsed_s: time from the first to the last frame.
        frames_with_faces: number of frames with at least one face.
        tracks: number of tracks; a face that is lost and detected again counts twice.
        age_ms: p50 and p90 of the frame age after publishing, milliseconds; None without frames.
        max_age_in_frames: highest frame age in frame times, where a frame time is the longer of the processing and the
            capture interval. None if every frame is processed, and for fewer than two frames.
        disconnects: number of times the camera was lost.
        timing: time per stage over the last frames.
        health: temperature and throttling at the end.
    """

    frames: int
    elapsed_s: float
    frames_with_faces: int
    tracks: int
    age_ms: tuple[float, float] | None
    max_age_in_frames: float | None
    disconnects: int
    timing: FrameTiming
    health: Health

    @property
    def fps(self) -> float | None:
        """Frames per second from the first to the last frame; None for fewer than two."""
        return (self.frames - 1) / self.elapsed_s if self.elapsed_s else None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "frames": self.frames,
            "elapsed_s": self.elapsed_s,
            "fps": self.fps,
            "frames_with_faces": self.frames_with_faces,
            "tracks": self.tracks,
            "age_p50_ms": self.age_ms and self.age_ms[0],
            "age_p90_ms": self.age_ms and self.age_ms[1],
            "oldest_frame_times": self.max_age_in_frames,
            "losses": self.disconnects,
            "budget": self.timing.to_json(),
            "health": self.health.to_json(),
        }


def run_live(
    live: Live, sinks: Sequence[Sink], *, frames: int | None = None, seconds: float | None = None
) -> LiveSummary:
    """Publish frames until the video ends, live.stop() is called, or a limit is reached; then close the sinks.

    Args:
        live: the entered session.
        sinks: receive every result, in this order.
        frames: maximum number of frames.
        seconds: maximum time from the first frame.

    Raises:
        EdgeferError: the source failed and cannot be reopened.
    """
    ages_ms, max_age_in_frames = deque[float](maxlen=AGE_HISTORY_FRAMES), None
    count = frames_with_faces = tracks = 0
    begin_s = previous_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        for sink in sinks:
            stack.callback(sink.close)
        for result in live:
            for sink in sinks:
                sink.publish(result)
            now_s = time.monotonic()
            age_s = now_s - result.captured_ns / 1e9
            ages_ms.append(1000 * age_s)
            if count and not live.every_frame:
                frame_time_s = max(now_s - previous_s, live.frame_interval_s or 0.0)
                max_age_in_frames = max(max_age_in_frames or 0.0, age_s / frame_time_s)
            begin_s = begin_s if count else now_s
            count, previous_s = count + 1, now_s
            frames_with_faces += bool(result.faces)
            tracks = max([tracks, *(face.track + 1 for face in result.faces)])
            if count == frames or now_s - begin_s >= (seconds or math.inf):
                live.stop()
    ages = np.array(ages_ms)
    return LiveSummary(
        frames=count,
        elapsed_s=previous_s - begin_s if count else 0.0,
        frames_with_faces=frames_with_faces,
        tracks=tracks,
        age_ms=(float(percentile(ages, 50)), float(percentile(ages, 90))) if count else None,
        max_age_in_frames=max_age_in_frames,
        disconnects=live.disconnects,
        timing=live.timing,
        health=live.health,
    )


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call ``stop`` on the first SIGINT or SIGTERM within the block; a second signal has its default effect.

    Outside the main thread, which alone may install signal handlers, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(number, previous[signal.Signals(number)])
        stop()

    for number in previous:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
