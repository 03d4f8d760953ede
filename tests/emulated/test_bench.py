"""Benchmarks on the board: results, and failures of the connection or the board."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.errors import DeviceUnreachable, IncompatibleError
from edgefer.fleet.registry import Registry
from edgefer.fleet.remote_benchmark import RemoteBenchmark, run_remote_benchmark, run_remote_benchmarks
from edgefer.inference.evaluation import pack_test_set
from edgefer.inference.interpreters import run_model
from edgefer.models import shipped
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.results.parity import Configuration

# The fastest bundled model; these tests do not depend on the model.
NANO = shipped()["nano"]

RUNTIMES = ("litert", "tflite_runtime")
SHORT = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=3, seconds=0.0)
LONG = replace(SHORT, seconds=300.0)


def faces_and_labels(count: int) -> tuple[np.ndarray, np.ndarray]:
    golden = Artifact.load(NANO).golden
    faces = np.concatenate([golden.inputs[:, :, ::-1], golden.inputs])[:count]
    outputs = run_model(Artifact.load(NANO).model, faces, Configuration("litert"))
    return faces, outputs.argmax(axis=1)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_result_has_latency_accuracy_and_device_states(board, device, runtime, tmp_path) -> None:
    faces, labels = faces_and_labels(18)
    arrays = pack_test_set(faces, labels, None, label_names=LABELS, split="PublicTest", data="drawn")
    np.savez(tmp_path / "faces.npz", **arrays)  # type: ignore[arg-type]
    plan = replace(SHORT, accuracy=0, faces=str(tmp_path / "faces.npz"))
    outcome = run_remote_benchmark(device(runtime), RemoteBenchmark(plan))
    assert outcome.error is None
    assert outcome.result is not None
    (measurement,) = outcome.result.measurements
    assert measurement.runtime == runtime
    assert measurement.device["machine"] == "aarch64"
    assert measurement.device["dot_product"] is False
    assert measurement.subject["file"] == NANO.name
    assert measurement.conditions[0].temperature_c == 48.0
    assert measurement.conditions[0].clock_mhz == 1800.0
    (evaluation,) = outcome.result.evaluations
    assert evaluation.n == 18
    assert evaluation.accuracy.correct >= 17


def test_files_are_uploaded_only_once(board, device) -> None:
    run_remote_benchmark(device(), RemoteBenchmark(SHORT))
    folder = Path(board.facts["rootfs"], "home/pi/.cache/edgefer/pushed")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert any(path.name == NANO.name for path in before)
    assert run_remote_benchmark(device(), RemoteBenchmark(SHORT)).error is None
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*")} == before


def test_failure_of_one_board_does_not_affect_the_other(board, device) -> None:
    gone = replace(device(), name="gone", address="pi@127.0.0.1:9")
    here, there = run_remote_benchmarks([device(), gone], RemoteBenchmark(SHORT))
    assert here.result is not None
    assert isinstance(there.error, DeviceUnreachable)


def test_second_benchmark_at_the_same_time_is_refused(board, device) -> None:
    devices = [device(), replace(device(), name="other")]
    first, second = run_remote_benchmarks(devices, RemoteBenchmark(replace(SHORT, seconds=8.0)))
    errors = [outcome.error for outcome in (first, second) if outcome.error is not None]
    assert len(errors) == 1
    assert "another benchmark is running" in errors[0].what


def changed(tmp_path: Path, **golden) -> Path:
    artifact = Artifact.load(NANO)
    path = tmp_path / "other-int8.tflite"
    replace(artifact, golden=replace(artifact.golden, **golden)).save(path)
    return path


def test_model_that_does_not_reproduce_its_golden_vectors_is_refused(board, device, tmp_path) -> None:
    outputs = Artifact.load(NANO).golden.outputs
    path = changed(tmp_path, outputs=-outputs - 1, reference=-outputs - 1)
    outcome = run_remote_benchmark(device(), RemoteBenchmark(replace(SHORT, cases=(BenchmarkCase(str(path)),))))
    assert isinstance(outcome.error, IncompatibleError)
    assert "golden" in str(outcome.error)


def test_numpy_2_with_tflite_runtime_is_refused_before_the_upload(board, device) -> None:
    outcome = run_remote_benchmark(device("tflite_runtime", python=device("litert").python), RemoteBenchmark(SHORT))
    assert isinstance(outcome.error, IncompatibleError)
    assert "edgefer devices setup shelf --runtime tflite_runtime" in outcome.error.hint


def start(device, benchmark: RemoteBenchmark) -> tuple[threading.Thread, list]:
    """Start a benchmark in a thread, and wait until its first round is running."""
    running, outcomes = threading.Event(), []

    def progress(done: int, total: int, note: str = "") -> None:
        if "round" in note:
            running.set()

    def run() -> None:
        outcomes.append(run_remote_benchmark(device, benchmark, progress=progress))

    thread = threading.Thread(target=run)
    thread.start()
    assert running.wait(60)
    time.sleep(2)
    return thread, outcomes


def all_processes_ended(board, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not board.processes("edgefer"):
            return True
        time.sleep(0.5)
    return False


def test_broken_connection_ends_both_sides(board, device) -> None:
    thread, outcomes = start(device(), RemoteBenchmark(LONG))
    assert board.processes("edgefer")
    board.do("drop")
    thread.join(60)
    assert isinstance(outcomes[0].error, DeviceUnreachable)
    assert "0 measurements received" in outcomes[0].error.what
    assert all_processes_ended(board, 30)


def test_frozen_board_is_unreachable(board, device) -> None:
    thread, outcomes = start(device(), RemoteBenchmark(LONG))
    board.do("freeze")
    try:
        thread.join(60)
        assert not thread.is_alive()
        assert isinstance(outcomes[0].error, DeviceUnreachable)
    finally:
        board.do("thaw")
    assert all_processes_ended(board, 40)


def test_interrupt_ends_all_processes(board, device, tmp_path) -> None:
    Registry(Path(os.environ["EDGEFER_DEVICES"]), {}).with_device(device()).save()
    command = [sys.executable, "-m", "edgefer", "bench", str(NANO), "--device", "shelf", "--seconds", "300"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr
        end = time.monotonic() + 60
        while not board.processes("edgefer.benchmark.runner"):
            assert time.monotonic() < end
            assert process.poll() is None
            time.sleep(0.2)
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "interrupted" in process.stderr.read()
    assert all_processes_ended(board, 30)


def test_board_that_reboots_is_unreachable_and_works_afterwards(board, device) -> None:
    thread, outcomes = start(device(), RemoteBenchmark(LONG))
    board.do("stop")
    thread.join(60)
    assert isinstance(outcomes[0].error, DeviceUnreachable)
    board.do("start")
    assert run_remote_benchmark(device(), RemoteBenchmark(SHORT)).error is None
