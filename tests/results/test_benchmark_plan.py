from __future__ import annotations

import json
import subprocess
import sys

import pytest

from edgefer.errors import IncompatibleError
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan, MeasurementPreset

ONE, TWO = BenchmarkCase("a.tflite"), BenchmarkCase("b.tflite", "litert", 4, "builtin", "/old/python")


def test_json_round_trip_keeps_the_keys_of_earlier_versions() -> None:
    plan = BenchmarkPlan(
        (ONE, TWO), faces="faces.npz", preset="mlperf", accuracy=0, cooldown_c=50.0, soak_s=600.0, samples=True
    )
    fields = json.loads(json.dumps(plan.to_json()))
    assert BenchmarkPlan.from_json(fields) == plan
    assert fields["rigour"] == "mlperf"
    assert [entry["model"] for entry in fields["entries"]] == ["a.tflite", "b.tflite"]


def test_plan_with_an_unknown_setting_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="fan_speed"):
        BenchmarkPlan.from_json({**BenchmarkPlan((ONE,)).to_json(), "fan_speed": 3})


@pytest.mark.parametrize(
    ("plan", "resolved"),
    [
        (BenchmarkPlan((ONE,)), MeasurementPreset(1024, 3.0, 1)),
        (BenchmarkPlan((ONE, TWO)), MeasurementPreset(1024, 3.0, 5)),
        (BenchmarkPlan((ONE, TWO), rounds=2), MeasurementPreset(1024, 3.0, 2)),
        (BenchmarkPlan((ONE,), preset="standard"), MeasurementPreset(1024, 10.0, 5)),
        (BenchmarkPlan((ONE,), preset="mlperf", seconds=1.5), MeasurementPreset(24576, 1.5, 1)),
        (BenchmarkPlan((ONE,), runs=1, seconds=0.0), MeasurementPreset(1, 0.0, 1)),
    ],
)
def test_preset_is_resolved_with_overrides(plan: BenchmarkPlan, resolved: MeasurementPreset) -> None:
    assert plan.resolved == resolved


def test_importing_a_plan_does_not_import_numpy() -> None:
    code = "import sys, edgefer.results.benchmark_plan; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
