"""Labels that do not flicker: each face's logits, smoothed over time.

    steady = LogitSmoother(time_constant_s=0.5)
    steady.smooth(track, logits, at_ns=now)         # float32 (classes,)

It is exponential smoothing in seconds and not in frames, so that a label settles as fast at 5 frames a second as at
60: after the time constant 63 % of a change has arrived, after three times as long 95 %. What is averaged are logits,
which become probabilities once, at the end.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from edgefer.errors import UsageError

__all__ = ["LogitSmoother"]


class LogitSmoother:
    """The smoothed logits of each face, by the number of its track."""

    def __init__(self, *, time_constant_s: float) -> None:
        """A time constant of 0 smooths nothing.

        Raises:
            UsageError: a negative one.
        """
        if not 0 <= time_constant_s < math.inf:
            what = f"a time constant of {time_constant_s:g} s"
            raise UsageError(what, why="0 or more seconds were expected", hint="--smooth 0.5")
        self.time_constant_s = time_constant_s
        self._known: dict[int, tuple[npt.NDArray[np.float32], int]] = {}

    def smooth(self, track: int, logits: npt.NDArray[np.float32], *, at_ns: int) -> npt.NDArray[np.float32]:
        """Add the ``logits`` (classes,) of the time ``at_ns``; the smoothed ones."""
        before, before_ns = self._known.get(track, (logits, at_ns))
        elapsed_s = max(0, at_ns - before_ns) / 1e9
        weight = -math.expm1(-elapsed_s / self.time_constant_s) if self.time_constant_s else 1.0
        now = np.asarray(before + np.float32(weight) * (logits - before), np.float32)
        self._known[track] = (now, at_ns)
        return now

    def keep(self, tracks: Iterable[int]) -> None:
        """Forget all faces but these."""
        kept = set(tracks)
        self._known = {track: known for track, known in self._known.items() if track in kept}
