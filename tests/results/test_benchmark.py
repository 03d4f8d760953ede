from __future__ import annotations

import json

import pytest

from edgefer.errors import IncompatibleError
from edgefer.results.benchmark import BenchmarkCase, BenchmarkPlan, MeasurementPreset

ONE, TWO = BenchmarkCase("a.tflite"), BenchmarkCase("b.tflite", "litert", 4, "builtin", "/old/python")


def test_there_and_back() -> None:
    job = BenchmarkPlan((ONE, TWO), faces="faces.npz", rigour="mlperf", accuracy=0, cooldown_c=50.0, soak_s=600.0, samples=True)
    assert BenchmarkPlan.from_json(json.loads(json.dumps(job.to_json()))) == job


def test_a_job_of_a_later_edgefer_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="fan_speed"):
        BenchmarkPlan.from_json({**BenchmarkPlan((ONE,)).to_json(), "fan_speed": 3})


@pytest.mark.parametrize(
    ("job", "settled"),
    [
        (BenchmarkPlan((ONE,)), MeasurementPreset(1024, 3.0, 1)),
        (BenchmarkPlan((ONE, TWO)), MeasurementPreset(1024, 3.0, 5)),
        (BenchmarkPlan((ONE, TWO), rounds=2), MeasurementPreset(1024, 3.0, 2)),
        (BenchmarkPlan((ONE,), rigour="standard"), MeasurementPreset(1024, 10.0, 5)),
        (BenchmarkPlan((ONE,), rigour="mlperf", seconds=1.5), MeasurementPreset(24576, 1.5, 1)),
        (BenchmarkPlan((ONE,), runs=1, seconds=0.0), MeasurementPreset(1, 0.0, 1)),
    ],
)
def test_what_a_rigour_comes_to(job: BenchmarkPlan, settled: MeasurementPreset) -> None:
    assert job.settled == settled
