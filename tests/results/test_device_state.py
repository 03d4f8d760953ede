from __future__ import annotations

import pytest

from edgefer.results.device_state import DeviceState, warnings_for

COOL = DeviceState(0.0, temperature_c=48.0, clock_mhz=1800.0, governor="performance", load_average=0.1)


def at(**changes: object) -> DeviceState:
    return DeviceState(**{**COOL.to_json(), "throttled": (), "throttled_since_boot": (), **changes})  # type: ignore[arg-type]


def test_unchanged_device_has_no_warnings() -> None:
    assert warnings_for([COOL, at(elapsed_s=3.0, temperature_c=61.0)]) == ()
    assert warnings_for([]) == ()


def test_throttling_during_the_run_is_a_warning() -> None:
    (warning,) = warnings_for([COOL, at(throttled=("under-voltage",)), COOL])
    assert "under-voltage" in warning


def test_throttling_between_samples_is_a_warning_and_earlier_throttling_is_not() -> None:
    assert warnings_for([at(throttled_since_boot=("throttled",)), at(throttled_since_boot=("throttled",))]) == ()
    (warning,) = warnings_for([COOL, at(throttled_since_boot=("throttled",))])
    assert "between two samples" in warning


@pytest.mark.parametrize(("governor", "count"), [("performance", 1), ("ondemand", 0)])
def test_falling_clock_is_a_warning_under_the_performance_governor(governor: str, count: int) -> None:
    assert len(warnings_for([at(governor=governor), at(governor=governor, clock_mhz=1500.0)])) == count


@pytest.mark.parametrize(("capacity", "count"), [(4, 0), (2, 1), (None, 0)])
def test_load_above_the_capacity_is_a_warning(capacity: int | None, count: int) -> None:
    assert len(warnings_for([COOL, at(load_average=3.2)], capacity=capacity)) == count


def test_json_round_trip() -> None:
    sample = at(throttled=("throttled",), throttled_since_boot=("throttled", "under-voltage"), power_w=3.5)
    assert DeviceState.from_json(sample.to_json()) == sample
