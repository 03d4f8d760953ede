from __future__ import annotations

import pytest

from edgefer.results.device_state import DeviceState, warnings_for

COOL = DeviceState(0.0, temperature_c=48.0, clock_mhz=1800.0, governor="performance", load_average=0.1)


def at(**changes: object) -> DeviceState:
    return DeviceState(**{**COOL.to_json(), "throttled": (), "throttled_since_boot": (), **changes})  # type: ignore[arg-type]


def test_nothing_speaks_against_a_device_that_stayed_as_it_was() -> None:
    assert warnings_for([COOL, at(elapsed_s=3.0, temperature_c=61.0)]) == ()
    assert warnings_for([]) == ()


def test_a_device_that_was_held_back_in_the_midst_is_told() -> None:
    (doubt,) = warnings_for([COOL, at(throttled=("under-voltage",)), COOL])
    assert "under-voltage" in doubt


def test_what_happened_between_two_looks_is_told_and_what_happened_before_is_not() -> None:
    assert warnings_for([at(throttled_since_boot=("throttled",)), at(throttled_since_boot=("throttled",))]) == ()
    (doubt,) = warnings_for([COOL, at(throttled_since_boot=("throttled",))])
    assert "between two looks" in doubt


@pytest.mark.parametrize(("governor", "count"), [("performance", 1), ("ondemand", 0)])
def test_a_clock_that_falls_counts_where_it_should_not_fall(governor: str, count: int) -> None:
    assert len(warnings_for([at(governor=governor), at(governor=governor, clock_mhz=1500.0)])) == count


@pytest.mark.parametrize(("busy", "count"), [(4, 0), (2, 1), (None, 0)])
def test_a_load_that_is_more_than_the_device_can_do_at_once_counts(busy: int | None, count: int) -> None:
    assert len(warnings_for([COOL, at(load_average=3.2)], busy=busy)) == count


def test_there_and_back() -> None:
    sample = at(throttled=("throttled",), throttled_since_boot=("throttled", "under-voltage"), power_w=3.5)
    assert DeviceState.from_json(sample.to_json()) == sample
