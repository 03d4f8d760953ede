from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgefer.benchmark import session
from edgefer.benchmark.isolation import measure_in_subprocess
from edgefer.benchmark.session import run_benchmark
from edgefer.contract.artifact import Artifact
from edgefer.errors import DataError, MeasurementInvalid
from edgefer.inference.evaluation import test_set as make_test_set
from edgefer.models import shipped
from edgefer.results.benchmark import BenchmarkCase, BenchmarkPlan, BenchmarkResult
from edgefer.results.device_state import DeviceState
from edgefer.results.measurement import BenchRequest, Measurement

# The quickest of those that ship: what is tested here is not the model.
NANO = shipped()["nano"]

FEW = {"runs": 20, "seconds": 0.0}


def quiet_device(elapsed_s: float) -> DeviceState:
    return DeviceState(elapsed_s, temperature_c=50.0)


def test_rounds_are_pooled_and_the_p50_is_the_median_of_theirs() -> None:
    told: list[float] = []
    job = BenchmarkPlan((BenchmarkCase(str(NANO)),), rounds=3, runs=30, seconds=0.0, samples=True)
    benched = run_benchmark(job, look=quiet_device, on_measurement=lambda each: told.append(each.p50_us))
    (measurement,) = benched.measurements
    assert measurement.invoke.runs == 30
    assert len(measurement.rounds_p50_ns) == 3
    assert measurement.invoke.p50_ns == sorted(measurement.rounds_p50_ns)[1]
    assert told == [measurement.p50_us]
    assert len(measurement.conditions) == 4
    assert measurement.samples is not None
    assert measurement.samples.set_ns.shape == (30,)


def test_what_is_compared_takes_turns_and_the_interval_holds_the_ratio() -> None:
    entry = BenchmarkCase(str(NANO))
    benched = run_benchmark(BenchmarkPlan((entry, replace(entry, kernels="reference")), rounds=3, **FEW), look=quiet_device)
    (comparison,) = benched.comparisons
    assert (comparison.first, comparison.second) == (0, 1)
    # Plain loops take dozens of times as long as XNNPACK.
    assert comparison.ratio > 3
    assert comparison.interval[0] <= comparison.ratio <= comparison.interval[1]
    again = BenchmarkResult.from_json(benched.to_json())
    assert again.comparisons == benched.comparisons
    assert again.measurements[1].rounds_p50_ns == benched.measurements[1].rounds_p50_ns


@pytest.fixture
def labelled(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    faces, labels = rng.integers(0, 256, (40, 48, 48), np.uint8), rng.integers(0, 7, 40)
    buffer = io.BytesIO()
    np.savez(buffer, **make_test_set(faces, labels, labels == 0, split="PublicTest", data="noise"))  # type: ignore[arg-type]
    path = tmp_path / "faces.npz"
    path.write_bytes(buffer.getvalue())
    return str(path)


def test_accuracy_is_taken_once_for_each_model_and_of_as_many_faces_as_were_asked_for(labelled: str) -> None:
    entries = (BenchmarkCase(str(NANO)), BenchmarkCase(str(NANO), threads=2))
    benched = run_benchmark(BenchmarkPlan(entries, faces=labelled, accuracy=10, rounds=1, **FEW), look=quiet_device)
    (evaluation,) = benched.evaluations
    assert (evaluation.n, evaluation.split, evaluation.data) == (10, "PublicTest", "noise")
    whole = run_benchmark(BenchmarkPlan(entries[:1], faces=labelled, accuracy=0, **FEW), look=quiet_device).evaluations[0]
    assert whole.n == 40
    assert whole.unseen is not None
    assert whole.unseen.n < 40


def test_faces_without_labels_are_refused_for_accuracy(tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", faces=np.zeros((2, 48, 48), np.uint8))
    job = BenchmarkPlan((BenchmarkCase(str(NANO)),), faces=str(tmp_path / "faces.npz"), accuracy=0, **FEW)
    with pytest.raises(DataError, match="test set"):
        run_benchmark(job, look=quiet_device)


def test_a_throttled_run_is_invalid() -> None:
    def hot(elapsed_s: float) -> DeviceState:
        return DeviceState(elapsed_s, throttled=("throttled",) if elapsed_s else ())

    benched = run_benchmark(BenchmarkPlan((BenchmarkCase(str(NANO)),), **FEW), look=hot)
    assert "held back" in benched.invalid()[0]
    assert any("held back" in doubt for doubt in benched.measurements[0].doubts())


def test_the_device_is_looked_at_while_a_model_runs_and_its_power_becomes_energy() -> None:
    def powered(elapsed_s: float) -> DeviceState:
        return DeviceState(elapsed_s, power_w=2.0)

    (measurement,) = run_benchmark(BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=20, seconds=3.0), look=powered).measurements
    assert [each.running for each in measurement.conditions][:2] == [False, True]
    assert measurement.conditions[-1].running is False
    # Watts times nanoseconds are nanojoules.
    assert measurement.energy_mj == pytest.approx(2.0 * measurement.invoke.p50_ns * 1e-6)
    again = Measurement.from_json(measurement.to_json())
    assert again.energy_mj == pytest.approx(measurement.energy_mj, rel=1e-3)
    idle = replace(measurement, conditions=(powered(0.0),))
    assert idle.energy_mj is None


def test_a_second_thread_is_tried_where_int8_is_no_faster() -> None:
    artifact = Artifact.load(NANO)
    entry = BenchmarkCase(str(NANO))
    measured = measure_in_subprocess(BenchRequest(str(NANO), minimum_runs=20, minimum_seconds=0.0))
    plain = replace(measured, subject={**measured.subject, "scheme": "float32"})
    tried: list[Measurement] = []
    original = session._other_threads

    def counting(*arguments: Any) -> Measurement | None:
        found = original(*arguments)
        tried.extend([found] if found else [])
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_other_threads", counting)
        found = session._causes(BenchmarkPlan((entry, entry)), [plain, measured])
    assert found
    if int(measured.device["cores"]) > 1:
        assert [each.threads for each in tried] == [2]
        assert tried[0].invoke.runs > 100
    assert artifact.scheme.startswith("int8")


def test_a_soak_records_latency_and_heat_over_time() -> None:
    benched = run_benchmark(BenchmarkPlan((BenchmarkCase(str(NANO)),), soak_s=1.0, **FEW), look=quiet_device)
    assert benched.soak
    assert all(row.p50_us > 0 and row.conditions.temperature_c == 50.0 for row in benched.soak)


def test_a_device_without_a_thermometer_cannot_be_waited_for() -> None:
    with pytest.raises(MeasurementInvalid, match="no temperature"):
        run_benchmark(BenchmarkPlan((BenchmarkCase(str(NANO)),), cooldown_c=40.0, **FEW), look=lambda elapsed_s: DeviceState(elapsed_s))


def test_a_cool_device_is_not_waited_for_and_a_warm_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    heat = iter([70.0, 70.0, 45.0, *[44.0] * 9])
    monkeypatch.setattr("edgefer.benchmark.session.time.sleep", waited.append)
    run_benchmark(
        BenchmarkPlan((BenchmarkCase(str(NANO)),), cooldown_c=60.0, **FEW), look=lambda elapsed_s: DeviceState(elapsed_s, next(heat))
    )
    assert len(waited) == 1


def test_the_harness_costs_less_than_three_microseconds(model_path: Path) -> None:
    # A model of some microseconds: in the scatter of one of milliseconds the harness would be lost.
    benched = run_benchmark(BenchmarkPlan((BenchmarkCase(str(model_path)),), runs=2000, seconds=0.0), look=quiet_device)
    measurement = benched.measurements[0]
    assert (measurement.set_to_get.p50_ns - measurement.invoke.p50_ns) / 1000 < 3
