from __future__ import annotations

import gc
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.benchmark import runner
from edgefer.contract.artifact import Artifact
from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.processes import error_from_json
from edgefer.results.measurement import BenchRequest, Measurement

BRIEF = {"minimum_runs": 60, "minimum_seconds": 0.0, "warmup_runs": 5, "warmup_seconds": 0.0}


@pytest.fixture(scope="module")
def measurement(model_path: Path, faces: np.ndarray) -> Measurement:
    return runner.measure(model_path, faces, **BRIEF)


def test_durations_of_the_stages_are_ordered(measurement: Measurement) -> None:
    samples = measurement.samples
    assert samples is not None
    assert (samples.invoke_ns < samples.set_to_get_ns).all()
    assert (samples.invoke_ns > 0).all()
    assert measurement.init_ns > measurement.invoke.min_ns
    assert measurement.first_ns > measurement.invoke.min_ns
    assert measurement.cpu.min_ns > 0


def test_numbers_of_runs_are_as_requested(measurement: Measurement) -> None:
    assert measurement.samples is not None
    assert measurement.invoke.runs == measurement.set_to_get.runs == measurement.cpu.runs == 60
    assert measurement.warmup.runs == len(measurement.samples.warmup_ns) == 5


def test_runs_continue_until_the_minimum_duration(model_path: Path) -> None:
    begin = time.monotonic()
    measurement = runner.measure(model_path, **(BRIEF | {"minimum_runs": 1, "minimum_seconds": 0.2}))
    assert time.monotonic() - begin >= 0.2
    assert measurement.invoke.runs > 10


def test_measurement_describes_model_and_device(measurement: Measurement, int8_artifact: Artifact) -> None:
    assert measurement.subject["file"] == "tiny-int8.tflite"
    assert measurement.subject["sha256"] == int8_artifact.sha256
    assert measurement.subject["size_bytes"] == len(int8_artifact.model)
    assert measurement.device["cores"] >= 1
    assert measurement.peak_rss_bytes is None or measurement.peak_rss_bytes > 1_000_000
    assert measurement.started_at.endswith("+00:00")
    assert any("only 60 runs" in warning for warning in measurement.warnings())


def test_garbage_collection_is_restored(model_path: Path) -> None:
    assert gc.isenabled()
    runner.measure(model_path, **BRIEF)
    assert gc.isenabled()


def test_progress_reaches_100_percent(model_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    runner.measure(model_path, **(BRIEF | {"minimum_runs": 512}), progress=lambda *call: calls.append(call))
    assert calls == [(50, 100, "256 runs"), (100, 100, "512 runs")]


def test_a_wrong_model_is_not_measured(tmp_path: Path, int8_artifact: Artifact) -> None:
    golden = int8_artifact.golden
    wrong = replace(golden, outputs=golden.outputs[::-1], reference=golden.reference[::-1])
    replace(int8_artifact, golden=wrong).save(tmp_path / "wrong.tflite")
    with pytest.raises(IncompatibleError, match="golden vector . differs by"):
        runner.measure(tmp_path / "wrong.tflite", **BRIEF)


@pytest.mark.parametrize(
    "faces",
    [np.zeros((0, 48, 48), np.uint8), np.zeros((3, 48, 48)), np.zeros((3, 32, 32), np.uint8), np.uint8(3).reshape(())],
)
def test_faces_are_checked(model_path: Path, faces: np.ndarray) -> None:
    with pytest.raises(DataError, match="faces of shape"):
        runner.measure(model_path, faces, **BRIEF)


@pytest.mark.parametrize("setting", [{"threads": 0}, {"kernels": "fast"}, {"runtime": "onnx"}])
def test_settings_are_checked(model_path: Path, setting: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        runner.measure(model_path, **(BRIEF | setting))


def serve(tmp_path: Path, request: BenchRequest) -> tuple[int, dict[str, object]]:
    (tmp_path / "request.json").write_text(json.dumps(request.to_json()))
    exit_code = runner.main(str(tmp_path / "request.json"), str(tmp_path / "reply.json"))
    return exit_code, json.loads((tmp_path / "reply.json").read_text())


def test_main_writes_the_measurement(tmp_path: Path, model_path: Path, faces: np.ndarray) -> None:
    np.savez(tmp_path / "faces.npz", faces=faces)
    request = BenchRequest(str(model_path), faces=str(tmp_path / "faces.npz"), samples=True, **BRIEF)
    exit_code, reply = serve(tmp_path, request)
    measurement = Measurement.from_json(reply)
    assert exit_code == 0
    assert measurement.samples is not None
    assert measurement.invoke.runs == len(measurement.samples.invoke_ns) == 60
    assert "samples" not in serve(tmp_path, replace(request, samples=False))[1]


def test_main_writes_the_error(tmp_path: Path) -> None:
    exit_code, reply = serve(tmp_path, BenchRequest(str(tmp_path / "nowhere.tflite")))
    assert exit_code == 1
    with pytest.raises(DataError, match="nowhere.tflite"):
        raise error_from_json(reply)


@pytest.mark.parametrize("name", ["missing.npz", "text.npz", "array.npy", "unnamed.npz"])
def test_unreadable_faces(tmp_path: Path, model_path: Path, name: str) -> None:
    (tmp_path / "text.npz").write_text("no array")
    np.save(tmp_path / "array.npy", np.zeros(3))
    np.savez(tmp_path / "unnamed.npz", np.zeros(3))
    exit_code, reply = serve(tmp_path, BenchRequest(str(model_path), faces=str(tmp_path / name), **BRIEF))
    assert exit_code == 1
    with pytest.raises(DataError, match=name) as caught:
        raise error_from_json(reply)
    assert "np.savez(path, faces=...)" in caught.value.hint


def test_wall_clock_changes_do_not_affect_the_measurement(model_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def jumping() -> float:
        calls.append(1.0)
        return 1.7e9 + 3600.0 * (-1) ** len(calls)

    monkeypatch.setattr(time, "time", jumping)
    monkeypatch.setattr(time, "time_ns", lambda: int(jumping() * 1e9))
    begin = time.monotonic()
    measurement = runner.measure(model_path, **(BRIEF | {"minimum_seconds": 0.2}))
    assert 0.2 <= time.monotonic() - begin < 20
    assert 0 < measurement.invoke.max_ns < 10e9
    assert measurement.init_ns > 0
