from __future__ import annotations

import numpy as np
import pytest

from edgefer.errors import UsageError
from edgefer.live.smoothing import LogitSmoother

BEFORE, AFTER = np.array([2.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


@pytest.mark.parametrize("fps", [5, 30, 60])
def test_after_the_time_constant_63_percent_of_a_change_have_arrived_at_any_rate(fps: int) -> None:
    steady = LogitSmoother(time_constant_s=0.8)
    steady.smooth(1, BEFORE, at_ns=0)
    frames = round(0.8 * fps)
    for frame in range(1, frames + 1):
        smoothed = steady.smooth(1, AFTER, at_ns=round(frame * 1e9 / fps))
    np.testing.assert_allclose(smoothed, BEFORE + (1 - np.exp(-1)) * (AFTER - BEFORE), rtol=1e-4)


def test_a_single_odd_frame_does_not_change_the_label() -> None:
    steady = LogitSmoother(time_constant_s=0.5)
    for frame in range(30):
        logits = AFTER * 3 if frame == 20 else BEFORE
        assert steady.smooth(1, logits, at_ns=frame * 33_000_000).argmax() == 0


def test_the_first_logits_are_taken_as_they_are_and_faces_do_not_mix() -> None:
    steady = LogitSmoother(time_constant_s=0.5)
    np.testing.assert_array_equal(steady.smooth(1, BEFORE, at_ns=0), BEFORE)
    np.testing.assert_array_equal(steady.smooth(2, AFTER, at_ns=10_000_000), AFTER)


def test_who_is_not_kept_starts_again() -> None:
    steady = LogitSmoother(time_constant_s=0.5)
    for track in (1, 2):
        steady.smooth(track, BEFORE, at_ns=0)
    steady.keep([2])
    np.testing.assert_array_equal(steady.smooth(1, AFTER, at_ns=1_000_000), AFTER)
    assert steady.smooth(2, AFTER, at_ns=1_000_000).argmax() == 0


def test_without_a_time_constant_nothing_is_smoothed() -> None:
    steady = LogitSmoother(time_constant_s=0)
    steady.smooth(1, BEFORE, at_ns=0)
    np.testing.assert_array_equal(steady.smooth(1, AFTER, at_ns=1), AFTER)


@pytest.mark.parametrize("seconds", [-0.1, float("inf"), float("nan")])
def test_odd_time_constants_are_refused(seconds: float) -> None:
    with pytest.raises(UsageError, match="time constant"):
        LogitSmoother(time_constant_s=seconds)
