"""Run a live session and publish each frame to its sinks.

    with Live(pipeline, source) as live, stop_on_signals(live.stop) as received:
        summary = run_live(live, [JsonLinesSink(sys.stdout)], frames=1000)
    summary.to_json()
    received.error                                  # None, or an error with exit code 143 after SIGTERM
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import numpy as np

from edgefer.errors import EdgeferError
from edgefer.live.frame_result import FrameTiming, Health
from edgefer.live.session import Live
from edgefer.live.sinks import Sink
from edgefer.statistics import percentile

__all__ = ["LiveSummary", "ReceivedSignal", "run_live", "stop_on_signals"]

# A bounded history: a session may run for months.
AGE_HISTORY_FRAMES = 10_000
# A camera may take seconds to deliver its first frame.
FIRST_FRAME_S = 10.0


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
        seconds: maximum time from the first frame, and at least FIRST_FRAME_S until it. It ends a session without
            frames too, such as that of a camera that was disconnected.

    Raises:
        EdgeferError: the source failed and cannot be reopened.
    """
    ages_ms, max_age_in_frames = deque[float](maxlen=AGE_HISTORY_FRAMES), None
    count = frames_with_faces = tracks = 0
    begin_s = previous_s = time.monotonic()
    with contextlib.ExitStack() as stack, _Limit(live.stop) as limit:
        for sink in sinks:
            stack.callback(sink.close)
        limit.start(None if seconds is None else max(seconds, FIRST_FRAME_S))
        for result in live:
            if not count:
                limit.start(seconds)
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
            if count == frames:
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


class _Limit:
    """Timer that stops a session, also while it waits for a frame."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._timer: threading.Timer | None = None

    def start(self, seconds: float | None) -> None:
        """Replace the limit; None is no limit."""
        self._cancel()
        if seconds is not None:
            # TIMEOUT_MAX is centuries.
            self._timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), self._stop)
            self._timer.daemon = True
            self._timer.start()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def __enter__(self) -> _Limit:
        return self

    def __exit__(self, *exception: object) -> None:
        self._cancel()


@dataclass
class ReceivedSignal:
    """The signal that stopped a session.

    Attributes:
        number: number of the signal; None if no signal was received.
    """

    number: int | None = None

    @property
    def error(self) -> EdgeferError | None:
        """The error to raise after the cleanup, with exit code 128 + number; None after SIGINT or without a signal."""
        if self.number is None or self.number == signal.SIGINT:
            return None
        error = EdgeferError(f"stopped by {signal.Signals(self.number).name}")
        error.exit_code = 128 + self.number
        return error


@contextlib.contextmanager
def stop_on_signals(stop: Callable[[], None]) -> Iterator[ReceivedSignal]:
    """Call ``stop`` on the first SIGINT, SIGTERM or SIGHUP within the block; a second one has its former effect.

    A signal that is ignored, as under nohup, stays ignored. After SIGHUP, output to the terminal that was closed is
    discarded. Outside the main thread, which alone may install signal handlers, this does nothing.
    """
    received = ReceivedSignal()
    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    handlers = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def handle(number: int, frame: FrameType | None) -> None:
        for other, handler in handlers.items():
            signal.signal(other, handler)
        received.number = number
        stop()

    for number in handlers:
        signal.signal(number, handle)
    try:
        yield received
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if received.number == signal.SIGHUP:
            _discard_output_to_closed_terminal()


def _discard_output_to_closed_terminal() -> None:
    """Redirect stdout and stderr to /dev/null if they are a closed terminal, which every write would fail on."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        poll = select.poll()
        poll.register(descriptor, 0)
        if any(events & (select.POLLHUP | select.POLLERR) for _, events in poll.poll(0)):
            os.dup2(null, descriptor)
    os.close(null)
