from __future__ import annotations

import numpy as np
import pytest

from edgefer.errors import UsageError
from edgefer.live.smoothing import LogitSmoother

BEFORE, AFTER = np.array([2.0, 0.0], np.float32), np.array([0.0, 1.0], np.float32)


@pytest.mark.parametrize("fps", [5, 30, 60])
def test_63_percent_of_a_change_arrive_within_the_time_constant_at_any_frame_rate(fps: int) -> None:
    smoother = LogitSmoother(time_constant_s=0.8)
    smoother.smooth(1, BEFORE, timestamp_ns=0)
    frames = round(0.8 * fps)
    for frame in range(1, frames + 1):
        smoothed = smoother.smooth(1, AFTER, timestamp_ns=round(frame * 1e9 / fps))
    np.testing.assert_allclose(smoothed, BEFORE + (1 - np.exp(-1)) * (AFTER - BEFORE), rtol=1e-4)


def test_a_single_outlier_does_not_change_the_label() -> None:
    smoother = LogitSmoother(time_constant_s=0.5)
    for frame in range(30):
        logits = AFTER * 3 if frame == 20 else BEFORE
        assert smoother.smooth(1, logits, timestamp_ns=frame * 33_000_000).argmax() == 0


def test_the_first_logits_of_each_track_are_unchanged() -> None:
    smoother = LogitSmoother(time_constant_s=0.5)
    np.testing.assert_array_equal(smoother.smooth(1, BEFORE, timestamp_ns=0), BEFORE)
    np.testing.assert_array_equal(smoother.smooth(2, AFTER, timestamp_ns=10_000_000), AFTER)


def test_retain_drops_the_state_of_other_tracks() -> None:
    smoother = LogitSmoother(time_constant_s=0.5)
    for track_id in (1, 2):
        smoother.smooth(track_id, BEFORE, timestamp_ns=0)
    smoother.retain([2])
    np.testing.assert_array_equal(smoother.smooth(1, AFTER, timestamp_ns=1_000_000), AFTER)
    assert smoother.smooth(2, AFTER, timestamp_ns=1_000_000).argmax() == 0


def test_a_time_constant_of_zero_disables_smoothing() -> None:
    smoother = LogitSmoother(time_constant_s=0)
    smoother.smooth(1, BEFORE, timestamp_ns=0)
    np.testing.assert_array_equal(smoother.smooth(1, AFTER, timestamp_ns=1), AFTER)


@pytest.mark.parametrize("seconds", [-0.1, float("inf"), float("nan")])
def test_an_invalid_time_constant_is_rejected(seconds: float) -> None:
    with pytest.raises(UsageError, match="time constant"):
        LogitSmoother(time_constant_s=seconds)
