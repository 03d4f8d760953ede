from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgefer.results.benchmark import BenchmarkResult, Comparison, SoakInterval, compare_rounds, merge_intervals
from edgefer.results.device_state import DeviceState
from edgefer.results.latency import Latency
from edgefer.results.measurement import Measurement


def measured(*round_medians_ns: int) -> Measurement:
    latency = Latency.from_samples(np.full(2000, 100_000))
    return Measurement(
        subject={"file": "a.tflite", "sha256": "a", "scheme": "int8"}, device={"cores": 4}, runtime="litert",
        runtime_version="2.3.0", threads=1, kernels="default", started_at="2026-01-02T03:04:05", harness_version="1",
        init_ns=1, first_ns=1, warmup=latency, invoke=latency, set_to_get=latency, cpu=latency, peak_rss_bytes=None,
        load_before=0.0, load_after=0.0, rounds_p50_ns=round_medians_ns,
    )  # fmt: skip


FIVE = (measured(100, 200, 100, 100, 100), measured(150, 240, 110, 130, 140))


def test_ratio_is_compared_round_by_round_with_the_confidence_of_five_rounds() -> None:
    assert compare_rounds(FIVE) == (Comparison(0, 1, 1.3, (1.1, 1.5), 0.9375, 5),)


@pytest.mark.parametrize("rounds", [1, 2, 4])
def test_fewer_than_five_rounds_give_no_interval_of_the_ratio(rounds: int) -> None:
    (comparison,) = compare_rounds([replace(part, rounds_p50_ns=part.rounds_p50_ns[:rounds]) for part in FIVE])
    assert (comparison.interval, comparison.confidence, comparison.rounds) == (None, None, rounds)


def test_ratio_survives_json_and_the_interval_of_an_earlier_record_is_computed_again() -> None:
    result = BenchmarkResult("pi", FIVE, compare_rounds(FIVE))
    fields = json.loads(json.dumps(result.to_json()))
    assert BenchmarkResult.from_json(fields).comparisons == result.comparisons
    fields["comparisons"] = [{"first": 0, "second": 1, "ratio": 1.3, "interval": [1.29, 1.31]}]
    assert BenchmarkResult.from_json(fields).comparisons == result.comparisons
    for measurement in fields["measurements"]:
        measurement["rounds_p50_us"] = measurement["rounds_p50_us"][:1]
    assert BenchmarkResult.from_json(fields).comparisons[0].interval is None


def soaked(count: int, **fault) -> tuple[SoakInterval, ...]:
    """Make intervals of which every sixth has a fault, but not the first."""
    states = [DeviceState(5.0 * index, temperature_c=50.0, clock_mhz=1800.0) for index in range(1, count + 1)]
    states = [replace(state, **fault) if index % 6 == 5 else state for index, state in enumerate(states)]
    return tuple(SoakInterval(100.0 + index, 110.0 + index, state) for index, state in enumerate(states))


def test_a_soak_test_that_was_throttled_is_invalid() -> None:
    result = BenchmarkResult("pi", (measured(100),), soak=soaked(12, throttled=("under-voltage",)))
    assert result.invalid() == ("soak test: the device was throttled during the run: under-voltage",)
    assert result.refusal() is not None
    assert BenchmarkResult("pi", (measured(100),), soak=soaked(12)).invalid() == ()


def test_throttling_before_the_soak_test_is_not_that_of_the_soak_test() -> None:
    hot = replace(measured(100), conditions=(DeviceState(0.0), DeviceState(1.0, throttled=("too hot",))))
    assert BenchmarkResult("pi", (hot,), soak=soaked(3)).invalid() == hot.invalid()


def test_merged_intervals_keep_the_worst_states_and_the_last_time() -> None:
    merged = merge_intervals(soaked(120, throttled=("under-voltage",), temperature_c=86.0, clock_mhz=600.0), most=20)
    assert len(merged) == 20
    assert {(row.conditions.temperature_c, row.conditions.clock_mhz, *row.conditions.throttled) for row in merged} == {
        (86.0, 600.0, "under-voltage")
    }
    assert (merged[0].p50_us, merged[0].p90_us, merged[0].conditions.elapsed_s) == (102.5, 115.0, 30.0)
    assert merged[-1].conditions.elapsed_s == 600.0
    assert len(merge_intervals(soaked(39), most=20)) == 20
    assert merge_intervals(soaked(3), most=20) == soaked(3)
    assert merge_intervals((), most=20) == ()
