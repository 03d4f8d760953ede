"""Play a video file in real time, even if its container has no usable frame rate or timestamps.

    schedule = PlaybackSchedule(fps=camera.fps)
    due_s = schedule.next_due_s(frame.position_s, now_s=time.monotonic())

A container may state a rate of 0, 1000 (milliseconds) or 90000 (the time base of MPEG), or a rate that its timestamps
contradict, as in screen recordings. The schedule follows the timestamps if they are plausible, otherwise the stated
rate if that is plausible, otherwise DEFAULT_FPS.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

__all__ = ["DEFAULT_FPS", "MAX_FPS", "MIN_FPS", "PlaybackSchedule", "plausible_fps"]

# Slower videos exist, such as time lapses, but a live session should not wait longer than this for a frame.
MIN_FPS, MAX_FPS = 0.5, 240.0
DEFAULT_FPS = 30.0
HISTORY = 15
# After a longer delay, such as a suspended computer, the schedule starts again instead of catching up.
MAX_DELAY_S = 1.0


def plausible_fps(fps: float) -> float | None:
    """Return ``fps`` if it can be the frame rate of a video, otherwise None."""
    return fps if math.isfinite(fps) and MIN_FPS <= fps <= MAX_FPS else None


class PlaybackSchedule:
    """Schedule of the frames of a video file in real time."""

    def __init__(self, *, fps: float | None) -> None:
        """Start a schedule; ``fps`` is the stated frame rate, None if it is missing or implausible."""
        self._interval_s = 1 / (fps or DEFAULT_FPS)
        self._position_s: float | None = None
        self._steps_s = deque[float](maxlen=HISTORY)
        self._due_s: float | None = None

    def next_due_s(self, position_s: float | None, *, now_s: float) -> float:
        """Return the time at which the next frame is due, on the clock of ``now_s``.

        Args:
            position_s: timestamp of the frame in the file, seconds; None if the file has none.
            now_s: current time, seconds.
        """
        step_s = self._step_s(position_s)
        if self._due_s is None or now_s - self._due_s - step_s > MAX_DELAY_S:
            self._due_s = now_s
        else:
            self._due_s += step_s
        return self._due_s

    def _step_s(self, position_s: float | None) -> float:
        """Return the time between the previous frame and this one."""
        previous_s, self._position_s = self._position_s, position_s
        if position_s is None or previous_s is None or not math.isfinite(position_s - previous_s):
            return self._interval_s
        step_s = position_s - previous_s
        self._steps_s.append(step_s)
        # Single steps may be short or long; only a typical one shows that all timestamps are wrong.
        if not 1 / MAX_FPS <= median(self._steps_s) <= 1 / MIN_FPS:
            return self._interval_s
        return min(max(step_s, 0.0), 1 / MIN_FPS)
