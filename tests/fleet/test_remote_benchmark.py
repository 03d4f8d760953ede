"""Benchmarks over a connection to this machine, with the real bundle, uploads and remote worker."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.tools import flatbuffer_utils

from edgefer.benchmark.isolation import benchmark_lock
from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.deploy.bundle import bundle
from edgefer.errors import DataError, DeviceUnreachable, IncompatibleError, MeasurementInvalid, ThresholdNotMet
from edgefer.fleet.connection import connect
from edgefer.fleet.limits import check_limits
from edgefer.fleet.probe import Facts, Interpreter, probe
from edgefer.fleet.provisioning import provision
from edgefer.fleet.registry import Device, Limits
from edgefer.fleet.remote_benchmark import (
    Outcome,
    RemoteBenchmark,
    check_model,
    run_remote_benchmark,
    run_remote_benchmarks,
)
from edgefer.fleet.upload import clean, upload
from edgefer.inference.evaluation import pack_test_set
from edgefer.models import shipped
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan

# The fastest bundled model; these tests do not depend on the model.
NANO = shipped()["nano"]

HERE = Device("here", kind="local", python=sys.executable)
SHORT = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=10, seconds=0.0)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "cache/edgefer/pushed"


def test_result_is_complete_and_has_the_name_of_the_model_file() -> None:
    notes: list[str] = []
    outcome = run_remote_benchmark(HERE, RemoteBenchmark(SHORT), progress=lambda done, total, note: notes.append(note))
    assert outcome.error is None
    assert outcome.result is not None
    (measurement,) = outcome.result.measurements
    assert (outcome.result.device, measurement.subject["file"]) == ("here", NANO.name)
    assert measurement.invoke.runs == 10
    assert notes[:2] == ["probing", "uploading"]


def test_every_case_is_scored_on_its_own_faces(tmp_path: Path) -> None:
    cases = []
    for count in (8, 12):
        faces, labels = np.zeros((count, 48, 48), np.uint8), np.arange(count) % len(LABELS)
        arrays = pack_test_set(faces, labels, None, label_names=LABELS, split="PublicTest", data="drawn")
        np.savez(tmp_path / f"{count}.npz", **arrays)  # type: ignore[arg-type]
        model = tmp_path / f"net{count}.tflite"
        model.write_bytes(NANO.read_bytes())
        cases.append(BenchmarkCase(str(model), faces=str(tmp_path / f"{count}.npz")))
    plan = replace(SHORT, cases=tuple(cases), rounds=1, accuracy=0)
    result = run_remote_benchmark(HERE, RemoteBenchmark(plan)).result
    assert result is not None
    assert [(evaluation.model, evaluation.n) for evaluation in result.evaluations] == [("net8", 8), ("net12", 12)]


def test_thread_counts_of_the_device_replace_the_default() -> None:
    device = replace(HERE, threads=(1, 2))
    for use_device_threads, threads in ((True, [1, 2]), (False, [1])):
        benchmark = RemoteBenchmark(replace(SHORT, rounds=1), use_device_threads=use_device_threads)
        result = run_remote_benchmark(device, benchmark).result
        assert result is not None
        assert [measurement.threads for measurement in result.measurements] == threads


def test_bundle_is_built_once_for_all_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    builds: list[bytes] = []
    built = bundle()

    def counted() -> bytes:
        builds.append(built)
        return built

    monkeypatch.setattr("edgefer.deploy.bundle.bundle", counted)
    monkeypatch.setattr("edgefer.fleet.remote_benchmark.bundle", counted)
    devices = [replace(HERE, name=name, python="/no/such/python") for name in ("one", "two")]
    run_remote_benchmarks(devices, RemoteBenchmark(SHORT))
    assert len(builds) == 1


def test_stop_event_ends_the_benchmark() -> None:
    stop = threading.Event()
    begin = time.monotonic()
    threading.Timer(6.0, stop.set).start()
    outcome = run_remote_benchmark(HERE, RemoteBenchmark(replace(SHORT, seconds=300.0)), stop=stop)
    assert isinstance(outcome.error, DeviceUnreachable)
    assert time.monotonic() - begin < 60


def test_missing_interpreter_is_an_error() -> None:
    outcome = run_remote_benchmark(replace(HERE, python="/no/such/python"), RemoteBenchmark(SHORT))
    assert isinstance(outcome.error, IncompatibleError)


def test_files_are_uploaded_once_and_cleaned(own_cache: Path) -> None:
    with closing(connect(HERE)) as connection:
        path = Path(upload(connection, b"some bytes", "a model.tflite"))
        assert path.read_bytes() == b"some bytes"
        assert path.name == "a model.tflite"
        before = path.stat().st_mtime_ns
        assert upload(connection, b"some bytes", "a model.tflite") == str(path)
        assert path.stat().st_mtime_ns == before
        assert not list(own_cache.glob("*/*.part"))
        assert clean(connection) == {"folders": [str(own_cache)], "freed_bytes": len(b"some bytes")}
        assert [path.name for path in own_cache.iterdir()] == ["bench.lock"]
        assert clean(connection) == {"folders": [], "freed_bytes": 0}


def test_files_are_not_removed_while_a_benchmark_runs(own_cache: Path) -> None:
    with closing(connect(HERE)) as connection:
        path = Path(upload(connection, b"some bytes", "model.tflite"))
        with benchmark_lock(), pytest.raises(DeviceUnreachable, match="another benchmark is running on here") as caught:
            clean(connection)
        assert f"process {os.getpid()} holds {own_cache}/bench.lock" in caught.value.why
        assert path.exists()
        with benchmark_lock():
            pass
        lock = (own_cache / "bench.lock").stat().st_ino
        assert clean(connection)["freed_bytes"] == len(b"some bytes")
        assert (own_cache / "bench.lock").stat().st_ino == lock


def test_unwritable_cache_folder_is_an_error(own_cache: Path) -> None:
    own_cache.parent.mkdir(parents=True)
    own_cache.write_text("a file in the way")
    with closing(connect(HERE)) as connection, pytest.raises(Exception, match="here cannot store the upload"):
        upload(connection, b"x", "x")


def test_probe_finds_this_interpreter() -> None:
    with closing(connect(HERE)) as connection:
        facts = probe(connection)
    interpreter = next(interpreter for interpreter in facts.interpreters if interpreter.path == sys.executable)
    assert interpreter.python == sys.version_info[:3]
    assert Facts.from_json(facts.to_json()) == facts
    assert facts.runtimes


def interpreter(**changes: object) -> Interpreter:
    plain = Interpreter("/usr/bin/python3", (3, 11, 2), "2.3.0", None, "2.0.0", "4.11.0")
    return replace(plain, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "runtime", "message"),
    [
        ({}, "litert", ""),
        ({"python": (3, 9, 2)}, "litert", "3.9.2"),
        ({"python": (3, 14, 0)}, "litert", "3.14.0"),
        ({"opencv": None, "numpy": None}, "litert", "no numpy, opencv"),
        ({}, "tflite_runtime", "no tflite_runtime"),
        ({"tflite_runtime": "2.14.0"}, "tflite_runtime", "numpy 2.0.0"),
        ({"tflite_runtime": "2.14.0", "numpy": "1.26.4"}, "tflite_runtime", ""),
        ({}, "tensorflow", "no tensorflow"),
    ],
)
def test_interpreter_reports_missing_packages(changes: dict[str, object], runtime: str, message: str) -> None:
    problem = interpreter(**changes).problem_with(runtime)
    assert message in problem if message else problem == ""


def facts_of(machine: str, libc: str = "glibc 2.31", **changes: object) -> Facts:
    return Facts(None, machine, 4, 2**30, False, None, libc, 2**30, "/c", "/d", (interpreter(**changes),))


@pytest.mark.parametrize(
    ("facts", "runtime", "message"),
    [
        (facts_of("armv7l"), "litert", "--runtime tflite_runtime"),
        (facts_of("riscv64"), "litert", "64-bit"),
        (facts_of("aarch64", python=(3, 13, 0)), "tflite_runtime", "3.10 to 3.11"),
        (facts_of("aarch64", python=(3, 7, 3)), "litert", "3.10 to 3.13"),
    ],
)
def test_setup_without_suitable_wheels_has_a_hint(facts: Facts, runtime: str, message: str) -> None:
    with closing(connect(HERE)) as connection, pytest.raises(IncompatibleError) as caught:
        provision(connection, facts, runtime=runtime, device="shelf")
    assert message in str(caught.value)


def test_folder_without_wheels_is_an_error(tmp_path: Path) -> None:
    with closing(connect(HERE)) as connection:
        facts = probe(connection)
        with pytest.raises(DataError, match="has no wheels"):
            provision(connection, facts, runtime="litert", device="shelf", wheels=tmp_path)


def test_unreachable_device_precedes_limits_and_limits_precede_warnings() -> None:
    outcome = run_remote_benchmark(HERE, RemoteBenchmark(SHORT))
    assert outcome.result is not None
    measurement = outcome.result.measurements[0]
    calm = replace(outcome, result=replace(outcome.result, measurements=(replace(measurement, conditions=()),)))
    assert check_limits([calm], [HERE], strict=True) is None
    tight = replace(HERE, limits=Limits(p90_us=0.001, rss_mib=1.0))
    found = check_limits([outcome], [tight], strict=False)
    assert isinstance(found, ThresholdNotMet)
    assert "p90 of" in found.why
    assert "memory of" in found.why
    hot = replace(measurement.conditions[0], throttled=("under-voltage",))
    held = replace(outcome.result, measurements=(replace(measurement, conditions=(hot,)),))
    assert check_limits([Outcome("here", held)], [HERE], strict=False) is None
    assert isinstance(check_limits([Outcome("here", held)], [HERE], strict=True), MeasurementInvalid)
    gone = DeviceUnreachable("gone")
    assert check_limits([outcome, Outcome("there", error=gone)], [tight], strict=True) is gone


def test_model_with_operators_newer_than_the_runtime_is_refused(tmp_path: Path) -> None:
    artifact = Artifact.load(NANO)
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(artifact.model))
    for code in model.operatorCodes:
        code.version += 9
    path = tmp_path / "newer-int8.tflite"
    replace(artifact, model=bytes(flatbuffer_utils.convert_object_to_bytearray(model))).save(path)
    with pytest.raises(IncompatibleError) as caught:
        check_model(path, "tflite_runtime", "2.14.0", "shelf")
    assert "CONV_2D" in caught.value.why
    assert "--target tflite-runtime" in caught.value.hint
    check_model(NANO, "tflite_runtime", "2.14.0", "shelf")


@pytest.mark.parametrize(("part", "message"), [("inputs", "unsupported input"), ("outputs", "unsupported output")])
def test_model_with_unsupported_inputs_or_outputs_is_refused(tmp_path: Path, part: str, message: str) -> None:
    artifact = Artifact.load(NANO)
    model = flatbuffer_utils.read_model_from_bytearray(bytearray(artifact.model))
    graph = model.subgraphs[0]
    setattr(graph, part, [getattr(graph, part)[0]] * 2)
    path = tmp_path / "odd-int8.tflite"
    replace(artifact, model=bytes(flatbuffer_utils.convert_object_to_bytearray(model))).save(path)
    with pytest.raises(IncompatibleError, match=message) as caught:
        check_model(path, "litert", "2.3.0", "shelf")
    assert caught.value.exit_code == 5
