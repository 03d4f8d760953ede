"""Benches on the board: what comes back, and what happens when something breaks on the way."""

from __future__ import annotations

import io
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
from edgefer.errors import DeviceUnreachable, IncompatibleError
from edgefer.fleet.registry import Registry
from edgefer.fleet.remote_benchmark import RemoteBenchmark, run_remote_benchmark, run_remote_benchmarks
from edgefer.inference.evaluation import test_set as make_test_set
from edgefer.inference.interpreters import execute
from edgefer.models import shipped
from edgefer.results.benchmark import BenchmarkCase, BenchmarkPlan
from edgefer.results.parity import Configuration

# The quickest of those that ship: what is tested here is not the model.
NANO = shipped()["nano"]

RUNTIMES = ("litert", "tflite_runtime")
SHORT = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=3, seconds=0.0)
LONG = replace(SHORT, seconds=300.0)


def faces_and_labels(count: int) -> tuple[np.ndarray, np.ndarray]:
    golden = Artifact.load(NANO).golden
    faces = np.concatenate([golden.inputs[:, :, ::-1], golden.inputs])[:count]
    outputs = execute(Artifact.load(NANO).model, faces, Configuration("litert"))
    return faces, outputs.argmax(axis=1)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_latency_accuracy_and_conditions_come_back(board, device, runtime) -> None:
    faces, labels = faces_and_labels(18)
    buffer = io.BytesIO()
    np.savez(buffer, **make_test_set(faces, labels, None, split="PublicTest", data="drawn"))  # type: ignore[arg-type]
    outcome = run_remote_benchmark(device(runtime), RemoteBenchmark(replace(SHORT, accuracy=0), buffer.getvalue()))
    assert outcome.problem is None
    assert outcome.benched is not None
    (measurement,) = outcome.benched.measurements
    assert measurement.runtime == runtime
    assert measurement.device["machine"] == "aarch64"
    assert measurement.device["dot_product"] is False
    assert measurement.subject["file"] == NANO.name
    assert measurement.conditions[0].temperature_c == 48.0
    assert measurement.conditions[0].clock_mhz == 1800.0
    (evaluation,) = outcome.benched.evaluations
    assert evaluation.n == 18
    assert evaluation.accuracy.correct >= 17


def test_what_is_there_is_not_copied_again(board, device) -> None:
    run_remote_benchmark(device(), RemoteBenchmark(SHORT))
    folder = Path(board.facts["rootfs"], "home/pi/.cache/edgefer/pushed")
    before = {path: path.stat().st_mtime_ns for path in folder.glob("*/*")}
    assert any(path.name == NANO.name for path in before)
    assert run_remote_benchmark(device(), RemoteBenchmark(SHORT)).problem is None
    assert {path: path.stat().st_mtime_ns for path in folder.glob("*/*")} == before


def test_two_boards_run_side_by_side_and_one_that_fails_leaves_the_other_alone(board, device) -> None:
    gone = replace(device(), name="gone", address="pi@127.0.0.1:9")
    here, there = run_remote_benchmarks([device(), gone], RemoteBenchmark(SHORT))
    assert here.benched is not None
    assert isinstance(there.problem, DeviceUnreachable)


def test_two_benches_at_once_are_refused(board, device) -> None:
    first, second = run_remote_benchmarks([device(), replace(device(), name="other")], RemoteBenchmark(replace(SHORT, seconds=8.0)))
    problems = [each.problem for each in (first, second) if each.problem is not None]
    assert len(problems) == 1
    assert "another bench" in problems[0].what


def changed(tmp_path: Path, **golden) -> Path:
    artifact = Artifact.load(NANO)
    path = tmp_path / "other-int8.tflite"
    replace(artifact, golden=replace(artifact.golden, **golden)).save(path)
    return path


def test_a_model_that_computes_something_else_there_stops_the_bench(board, device, tmp_path) -> None:
    outputs = Artifact.load(NANO).golden.outputs
    path = changed(tmp_path, outputs=-outputs - 1, reference=-outputs - 1)
    outcome = run_remote_benchmark(device(), RemoteBenchmark(replace(SHORT, entries=(BenchmarkCase(str(path)),))))
    assert isinstance(outcome.problem, IncompatibleError)
    assert "golden" in str(outcome.problem)


def test_numpy_2_beside_tflite_runtime_is_said_before_anything_is_copied(board, device) -> None:
    outcome = run_remote_benchmark(device("tflite_runtime", python=device("litert").python), RemoteBenchmark(SHORT))
    assert isinstance(outcome.problem, IncompatibleError)
    assert "edgefer devices setup shelf --runtime tflite_runtime" in outcome.problem.hint


def started(device, order: RemoteBenchmark) -> tuple[threading.Thread, list]:
    """A bench in a thread, on its way when this returns."""
    running, found = threading.Event(), []

    def progress(done: int, total: int, note: str = "") -> None:
        if "round" in note:
            running.set()

    thread = threading.Thread(target=lambda: found.append(run_remote_benchmark(device, order, progress=progress)))
    thread.start()
    assert running.wait(60)
    time.sleep(2)
    return thread, found


def nothing_is_left(board, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not board.processes("edgefer"):
            return True
        time.sleep(0.5)
    return False


def test_a_link_that_breaks_in_mid_bench_ends_both_sides(board, device) -> None:
    thread, found = started(device(), RemoteBenchmark(LONG))
    assert board.processes("edgefer")
    board.do("drop")
    thread.join(60)
    assert isinstance(found[0].problem, DeviceUnreachable)
    assert "0 measurements had come" in found[0].problem.what
    assert nothing_is_left(board, 30)


def test_a_board_that_hangs_is_given_up(board, device) -> None:
    thread, found = started(device(), RemoteBenchmark(LONG))
    board.do("freeze")
    try:
        thread.join(60)
        assert not thread.is_alive()
        assert isinstance(found[0].problem, DeviceUnreachable)
    finally:
        board.do("thaw")
    assert nothing_is_left(board, 40)


def test_an_interrupt_leaves_nothing_running(board, device, tmp_path) -> None:
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
    assert nothing_is_left(board, 30)



def test_a_board_that_is_started_anew_in_mid_bench_is_told_and_serves_again(board, device) -> None:
    thread, found = started(device(), RemoteBenchmark(LONG))
    board.do("stop")
    thread.join(60)
    assert isinstance(found[0].problem, DeviceUnreachable)
    board.do("start")
    assert run_remote_benchmark(device(), RemoteBenchmark(SHORT)).problem is None
