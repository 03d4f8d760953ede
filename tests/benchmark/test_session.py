from __future__ import annotations

import contextlib
import io
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.benchmark.isolation import measure_in_subprocess
from edgefer.benchmark.session import DIAGNOSIS_S, run_benchmark
from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.errors import DataError, MeasurementInvalid
from edgefer.inference.evaluation import pack_test_set
from edgefer.models import shipped
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.results.device_state import DeviceState
from edgefer.results.measurement import BenchRequest, Measurement

# The fastest bundled model; these tests do not depend on the model.
NANO = shipped()["nano"]

FEW = {"runs": 20, "seconds": 0.0}


def idle_device(elapsed_s: float) -> DeviceState:
    return DeviceState(elapsed_s, temperature_c=50.0)


def test_p50_is_the_median_over_the_rounds() -> None:
    p50s: list[float] = []
    plan = BenchmarkPlan((BenchmarkCase(str(NANO)),), rounds=3, runs=30, seconds=0.0, samples=True)
    result = run_benchmark(
        plan, read_state=idle_device, on_measurement=lambda measurement: p50s.append(measurement.p50_us)
    )
    (measurement,) = result.measurements
    assert measurement.invoke.runs == 30
    assert len(measurement.rounds_p50_ns) == 3
    assert measurement.invoke.p50_ns == sorted(measurement.rounds_p50_ns)[1]
    assert p50s == [measurement.p50_us]
    assert len(measurement.conditions) == 4
    assert measurement.samples is not None
    assert measurement.samples.set_ns.shape == (30,)


def test_comparison_has_a_ratio_within_its_interval() -> None:
    case = BenchmarkCase(str(NANO))
    plan = BenchmarkPlan((case, replace(case, kernels="reference")), **FEW)
    result = run_benchmark(plan, read_state=idle_device)
    (comparison,) = result.comparisons
    assert (comparison.first, comparison.second) == (0, 1)
    # The reference kernels take dozens of times as long as XNNPACK.
    assert comparison.ratio > 3
    assert comparison.interval is not None
    assert comparison.interval[0] <= comparison.ratio <= comparison.interval[1]
    assert (comparison.confidence, comparison.rounds) == (0.9375, 5)
    again = BenchmarkResult.from_json(result.to_json())
    assert again.comparisons == result.comparisons
    assert again.measurements[1].rounds_p50_ns == result.measurements[1].rounds_p50_ns


@pytest.fixture
def labeled(tmp_path: Path) -> str:
    rng = np.random.default_rng(0)
    faces, labels = rng.integers(0, 256, (40, 48, 48), np.uint8), rng.integers(0, 7, 40)
    buffer = io.BytesIO()
    arrays = pack_test_set(faces, labels, labels == 0, label_names=LABELS, split="PublicTest", data="noise")
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    path = tmp_path / "faces.npz"
    path.write_bytes(buffer.getvalue())
    return str(path)


def test_accuracy_is_measured_once_per_model_with_the_requested_number_of_faces(labeled: str) -> None:
    cases = (BenchmarkCase(str(NANO)), BenchmarkCase(str(NANO), threads=2))
    result = run_benchmark(BenchmarkPlan(cases, faces=labeled, accuracy=10, rounds=1, **FEW), read_state=idle_device)
    (evaluation,) = result.evaluations
    assert (evaluation.n, evaluation.split, evaluation.data) == (10, "PublicTest", "noise")
    plan = BenchmarkPlan(cases[:1], faces=labeled, accuracy=0, **FEW)
    (whole,) = run_benchmark(plan, read_state=idle_device).evaluations
    assert whole.n == 40
    assert whole.deduplicated is not None
    assert whole.deduplicated.n < 40


def test_faces_without_labels_are_refused_for_accuracy(tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", faces=np.zeros((2, 48, 48), np.uint8))
    plan = BenchmarkPlan((BenchmarkCase(str(NANO)),), faces=str(tmp_path / "faces.npz"), accuracy=0, **FEW)
    with pytest.raises(DataError, match="test set"):
        run_benchmark(plan, read_state=idle_device)


def test_what_was_complete_before_a_failure_is_reported(tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", faces=np.zeros((2, 48, 48), np.uint8))
    cases = tuple(BenchmarkCase(str(NANO), threads=threads) for threads in (1, 2))
    plan = BenchmarkPlan(cases, faces=str(tmp_path / "faces.npz"), accuracy=0, rounds=1, **FEW)
    partial: list[BenchmarkResult] = []
    with pytest.raises(DataError, match="test set"):
        run_benchmark(plan, read_state=idle_device, on_partial=partial.append)
    (result,) = partial
    assert [measurement.threads for measurement in result.measurements] == [1, 2]
    assert len(result.comparisons) == 1
    assert result.evaluations == ()


def test_intervals_before_an_interruption_of_the_soak_test_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[BenchRequest] = []

    def interrupted(request: BenchRequest, *, python: str = "") -> Measurement:
        requests.append(request)
        if len(requests) == 3:
            raise KeyboardInterrupt
        return measure_in_subprocess(request, python=python)

    monkeypatch.setattr("edgefer.benchmark.session.measure_in_subprocess", interrupted)
    monkeypatch.setattr("edgefer.benchmark.session.SOAK_INTERVAL_S", 0.1)
    partial: list[BenchmarkResult] = []
    plan = BenchmarkPlan((BenchmarkCase(str(NANO)),), soak_s=60.0, **FEW)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(plan, read_state=idle_device, on_partial=partial.append)
    assert [len(result.soak) for result in partial] == [0, 1]


def test_a_case_has_its_own_faces_and_name(labeled: str, tmp_path: Path) -> None:
    with np.load(labeled) as arrays:
        np.savez(tmp_path / "few.npz", **{name: value[:7] if value.ndim else value for name, value in arrays.items()})
    case = BenchmarkCase(str(NANO), faces=str(tmp_path / "few.npz"), name="b/net.tflite")
    plan = BenchmarkPlan((case,), faces=labeled, accuracy=0, rounds=1, **FEW)
    result = run_benchmark(plan, read_state=idle_device)
    assert result.measurements[0].subject["file"] == "b/net.tflite"
    assert [(evaluation.n, evaluation.model) for evaluation in result.evaluations] == [(7, "b/net")]


def test_throttled_run_is_invalid() -> None:
    def hot(elapsed_s: float) -> DeviceState:
        return DeviceState(elapsed_s, throttled=("throttled",) if elapsed_s else ())

    result = run_benchmark(BenchmarkPlan((BenchmarkCase(str(NANO)),), **FEW), read_state=hot)
    assert "throttled" in result.invalid()[0]
    assert any("throttled" in warning for warning in result.measurements[0].warnings())


def test_power_sampled_while_the_model_runs_gives_its_energy() -> None:
    def powered(elapsed_s: float) -> DeviceState:
        return DeviceState(elapsed_s, power_w=2.0)

    plan = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=20, seconds=3.0)
    (measurement,) = run_benchmark(plan, read_state=powered).measurements
    assert [state.running for state in measurement.conditions][:2] == [False, True]
    assert measurement.conditions[-1].running is False
    # Watts times nanoseconds are nanojoules.
    assert measurement.energy_mj == pytest.approx(2.0 * measurement.invoke.p50_ns * 1e-6)
    again = Measurement.from_json(measurement.to_json())
    assert again.energy_mj == pytest.approx(measurement.energy_mj, rel=1e-3)
    idle = replace(measurement, conditions=(powered(0.0),))
    assert idle.energy_mj is None


def test_every_case_has_its_own_device_states() -> None:
    current = DeviceState(0.0, power_w=1.0)

    def read_state(elapsed_s: float) -> DeviceState:
        return replace(current, elapsed_s=elapsed_s)

    def warm_up(measurement: Measurement) -> None:
        nonlocal current
        current = DeviceState(0.0, temperature_c=80.0, power_w=5.0, throttled=("throttled",))

    # The callback runs after the first case and before the second.
    plan = BenchmarkPlan((BenchmarkCase(str(NANO)), BenchmarkCase(str(NANO), threads=2)), runs=1, seconds=2.5, rounds=1)
    first, second = run_benchmark(plan, read_state=read_state, on_measurement=warm_up).measurements
    assert first.energy_mj == pytest.approx(1.0 * first.invoke.p50_ns * 1e-6)
    assert second.energy_mj == pytest.approx(5.0 * second.invoke.p50_ns * 1e-6)
    assert first.invalid() == ()
    assert "throttled" in second.invalid()[0]
    assert {state.temperature_c for state in first.conditions} == {None}
    assert [state.elapsed_s for state in second.conditions] == sorted(state.elapsed_s for state in second.conditions)
    assert first.conditions[-1] is second.conditions[0]


def test_diagnosis_measures_a_second_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests: list[BenchRequest] = []

    def recording(request: BenchRequest, *, python: str = "") -> Measurement:
        requests.append(request)
        return measure_in_subprocess(request, python=python)

    monkeypatch.setattr("edgefer.benchmark.session.measure_in_subprocess", recording)
    # The same int8 model, once labeled as float, so that int8 is no faster.
    artifact = Artifact.load(NANO)
    assert artifact.scheme.startswith("int8")
    replace(artifact, scheme="float32").save(tmp_path / "float.tflite")
    cases = (BenchmarkCase(str(tmp_path / "float.tflite")), BenchmarkCase(str(NANO)))
    result = run_benchmark(BenchmarkPlan(cases, rounds=1, **FEW), read_state=idle_device)
    assert result.causes
    if int(result.measurements[0].device["cores"]) > 1:
        assert [request.threads for request in requests] == [1, 1, 2]
        assert requests[-1].minimum_seconds == DIAGNOSIS_S > FEW["seconds"]


def test_soak_records_latency_and_temperature() -> None:
    result = run_benchmark(BenchmarkPlan((BenchmarkCase(str(NANO)),), soak_s=1.0, **FEW), read_state=idle_device)
    assert result.soak
    assert all(interval.p50_us > 0 and interval.conditions.temperature_c == 50.0 for interval in result.soak)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_soak_samples_the_device_while_the_model_runs() -> None:
    def read_state(elapsed_s: float) -> DeviceState:
        return DeviceState(elapsed_s, load_average=float(count_children()))

    plan = BenchmarkPlan((BenchmarkCase(str(NANO)),), soak_s=1.0, **FEW)
    idle = count_children()
    for interval in run_benchmark(plan, read_state=read_state).soak:
        assert interval.conditions.running
        assert interval.conditions.load_average == idle + 1


def count_children() -> int:
    parents = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents.append(int(stat.read_text().rpartition(")")[2].split()[1]))
    return parents.count(os.getpid())


def test_cooldown_needs_a_temperature_sensor() -> None:
    with pytest.raises(MeasurementInvalid, match="needs a temperature sensor"):
        run_benchmark(BenchmarkPlan((BenchmarkCase(str(NANO)),), cooldown_c=40.0, **FEW), read_state=DeviceState)


def test_cooldown_waits_only_while_the_device_is_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    temperatures = iter([70.0, 70.0, 45.0, *[44.0] * 9])
    sleep = time.sleep

    def count_long_waits(seconds: float) -> None:
        # Waiting for a subprocess sleeps too, for milliseconds.
        if seconds >= 1:
            waited.append(seconds)
        else:
            sleep(seconds)

    monkeypatch.setattr(time, "sleep", count_long_waits)
    plan = BenchmarkPlan((BenchmarkCase(str(NANO)),), cooldown_c=60.0, **FEW)
    run_benchmark(plan, read_state=lambda elapsed_s: DeviceState(elapsed_s, next(temperatures)))
    assert len(waited) == 1


def test_harness_adds_little_to_the_latency(model_path: Path) -> None:
    # A model of a few microseconds, where the overhead would show.
    plan = BenchmarkPlan((BenchmarkCase(str(model_path)),), runs=2000, seconds=0.0)
    (measurement,) = run_benchmark(plan, read_state=idle_device).measurements
    assert measurement.invoke.p50_ns <= measurement.set_to_get.p50_ns < 2 * measurement.invoke.p50_ns + 10_000
