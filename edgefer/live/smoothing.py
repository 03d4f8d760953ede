"""Smooth the logits of each tracked face over time, so that labels do not flicker.

    smoother = LogitSmoother(time_constant_s=0.5)
    smoother.smooth(track_id, logits, timestamp_ns=now)     # float32 (classes,)

The exponential smoothing runs in seconds, not frames, so a label settles equally fast at 5 and at 60 frames per second:
63 % of a change has arrived after one time constant, 95 % after three. Logits are averaged, not probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edgefer.errors import UsageError

__all__ = ["LogitSmoother"]


class LogitSmoother:
    """Exponential smoother with separate state for each track."""

    def __init__(self, *, time_constant_s: float) -> None:
        """Set the time constant, seconds; 0 disables smoothing.

        Raises:
            UsageError: the time constant is negative or not finite.
        """
        if not 0 <= time_constant_s < math.inf:
            what = f"time constant of {time_constant_s:g} s"
            raise UsageError(what, why="expected 0 or more seconds", hint="--smooth 0.5")
        self.time_constant_s = time_constant_s
        self._states: dict[int, tuple[npt.NDArray[np.float32], int]] = {}

    def smooth(
        self, track_id: int, logits: npt.NDArray[np.float32], *, timestamp_ns: int
    ) -> npt.NDArray[np.float32]:
        """Add the logits of a face at ``timestamp_ns`` and return the smoothed ones.

        Args:
            track_id: the face.
            logits: float32 (classes,).
            timestamp_ns: capture time of the frame, nanoseconds.

        Returns:
            float32 (classes,); the first logits of a track are returned unchanged.
        """
        previous, previous_ns = self._states.get(track_id, (logits, timestamp_ns))
        elapsed_s = max(0, timestamp_ns - previous_ns) / 1e9
        weight = -math.expm1(-elapsed_s / self.time_constant_s) if self.time_constant_s else 1.0
        smoothed = np.asarray(previous + np.float32(weight) * (logits - previous), np.float32)
        self._states[track_id] = (smoothed, timestamp_ns)
        return smoothed

    def retain(self, track_ids: Iterable[int]) -> None:
        """Drop the state of all other tracks."""
        retained = set(track_ids)
        self._states = {track_id: state for track_id, state in self._states.items() if track_id in retained}
