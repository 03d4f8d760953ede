"""Events of a remote worker that are malformed, interleaved with other output, or endless."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from edgefer.errors import DataError, DeviceUnreachable, EdgeferError, Interrupted, MeasurementInvalid
from edgefer.fleet.limits import check_limits
from edgefer.fleet.registry import Device
from edgefer.fleet.remote_benchmark import Outcome, RemoteBenchmark, run_remote_benchmark, run_remote_benchmarks
from edgefer.models import shipped
from edgefer.processes import error_to_json
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan

NANO = shipped()["nano"]
HERE = Device("here", kind="local", python=sys.executable)
PLAN = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=10, seconds=0.0)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        outcome = run_remote_benchmark(HERE, RemoteBenchmark(PLAN))
    assert outcome.result is not None
    return outcome.result.to_json()


@pytest.fixture
def replay() -> Callable[..., Outcome]:
    """Return a function that runs a benchmark whose worker prints the given lines."""

    def run(*lines: bytes, device: Device = HERE) -> Outcome:
        code = f"import sys; sys.stdin.readline(); sys.stdout.buffer.write({b''.join(lines)!r})"
        return run_remote_benchmark(device, RemoteBenchmark(PLAN, program=code.encode()))

    return run


def event(kind: str, **fields: object) -> bytes:
    return json.dumps({"event": kind, **fields}).encode() + b"\n"


def test_a_result_between_other_output_is_read(replay, result) -> None:
    noise = [b"Welcome\n", b"\x00\xff\n", b"{}\n", b"[1, 2]\n", b"null\n", b'{"event', b"\n", b"motd without newline "]
    outcome = replay(
        *noise, event("progress", done=0, total=1, note="round"), event("later"), event("result", benched=result)
    )
    assert outcome.error is None
    assert outcome.result is not None
    assert outcome.result.measurements[0].subject["file"] == NANO.name


def test_the_name_of_the_device_is_not_taken_from_the_board(replay, result) -> None:
    outcome = replay(event("result", benched={**result, "device": "../../other"}))
    assert outcome.result is not None
    assert outcome.result.device == "here"


@pytest.mark.parametrize(
    "line",
    [
        b'{"event": 3}\n', b'{"event": "progress"}\n', b'{"event": "progress", "done": "x", "total": 1, "note": ""}\n',
        b'{"event": "progress", "done": 1e999, "total": 1, "note": ""}\n', b'{"event": "measurement"}\n',
        b'{"event": "measurement", "measurement": []}\n', b'{"event": "measurement", "measurement": {}}\n',
        b'{"event": "error"}\n', b'{"event": "error", "error": null}\n', b'{"event": "error", "error": {"kind": []}}\n',
        b'{"event": "result"}\n', b'{"event": "result", "benched": null}\n', b'{"event": "result", "benched": {}}\n',
        b'{"event": "result", "benched": {"kind": "bench", "schema_version": 2, "measurements": [{}]}}\n',
        b'{"event": "result", "benched": NaN}\n', b'{"event": "result", "benched": ' + 1000 * b"[" + b"\n",
        b'{"event": "result", "benched": \xff\xfe}\n', b'{"event": "progress", "done": 1' + 9999 * b"0" + b"}\n",
    ],
)  # fmt: skip
def test_a_malformed_event_is_an_error_of_that_device(replay, line: bytes) -> None:
    outcome = replay(line)
    assert outcome.result is None
    assert isinstance(outcome.error, DataError)
    assert "here sent an invalid event" in outcome.error.what


def mutations(value: object):
    """Yield copies of a JSON value, each with one nested value replaced or removed."""
    if isinstance(value, dict):
        for key, nested in value.items():
            yield {name: other for name, other in value.items() if name != key}
            yield from ({**value, key: changed} for changed in mutations(nested))
    elif isinstance(value, list) and value:
        yield []
        yield from ([changed, *value[1:]] for changed in mutations(value[0]))
    else:
        yield from (None, [], {}, "x", -1, True, float("nan"), float("inf"), 10**400, [[]], {"a": []})


def test_no_malformed_result_ends_the_benchmark_with_another_error(result) -> None:
    from edgefer.benchmark.remote_worker import read_event
    from edgefer.results.benchmark import BenchmarkResult

    for changed in mutations(result):
        try:
            read = BenchmarkResult.from_json(read_event(event("result", benched=changed)).object("benched"))
            read.to_json()
        except EdgeferError:
            continue


def test_a_measurement_before_the_failure_is_kept(replay, result) -> None:
    (measurement,) = result["measurements"]
    outcome = replay(event("measurement", measurement=measurement), b'{"event": "result", "benched": 7}\n')
    assert len(outcome.measurements) == 1
    assert outcome.error is not None


def test_what_was_complete_before_a_failed_step_is_kept(replay, result) -> None:
    (measurement,) = result["measurements"]
    failed = error_to_json(MeasurementInvalid("the evaluation ended"))
    outcome = replay(event("measurement", measurement=measurement), event("error", **failed, benched=result))
    assert outcome.result is None
    assert outcome.partial is not None
    assert (outcome.partial.device, outcome.partial.failure) == ("here", "the evaluation ended")
    outcome = replay(event("measurement", measurement=measurement), event("error", **failed))
    assert outcome.partial is not None
    assert len(outcome.partial.measurements) == 1


def test_ctrl_c_keeps_the_result_of_a_board_that_has_finished(monkeypatch: pytest.MonkeyPatch, result) -> None:
    finished = threading.Event()

    def run(device: Device, benchmark: RemoteBenchmark, *, progress: object, stop: threading.Event) -> Outcome:
        if device.name == "done":
            finished.set()
            return Outcome("done", BenchmarkResult.from_json(result))
        finished.wait()
        # By then, the main thread waits for the first result.
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(60)
        return Outcome("slow", error=DeviceUnreachable("the connection was lost"))

    monkeypatch.setattr("edgefer.fleet.remote_benchmark.run_remote_benchmark", run)
    devices = [replace(HERE, name="slow"), replace(HERE, name="done")]
    slow, done = run_remote_benchmarks(devices, RemoteBenchmark(PLAN, program=b""))
    assert done.result is not None
    assert isinstance(slow.error, Interrupted)
    failure = check_limits([Outcome("gone", error=DeviceUnreachable("gone")), slow, done], devices, strict=False)
    assert failure is slow.error
    assert failure.exit_code == 130


def test_a_result_with_another_number_of_measurements_is_invalid(replay, result) -> None:
    doubled = {**result, "measurements": 2 * result["measurements"]}
    outcome = replay(event("result", benched=doubled))
    assert isinstance(outcome.error, DataError)
    assert "2 measurements, expected 1" in outcome.error.why
    assert outcome.error.hint == f"edgefer devices clean {outcome.device}"


@pytest.mark.parametrize("code", ["raise KeyError('x')", "import os; os._exit(1)", "print('x' * 10)"])
def test_a_worker_that_ends_without_a_result_is_an_error(code: str) -> None:
    outcome = run_remote_benchmark(HERE, RemoteBenchmark(PLAN, program=code.encode()))
    assert isinstance(outcome.error, EdgeferError)
    assert "0 measurements received" in outcome.error.what


def test_an_unexpected_error_of_one_device_keeps_the_result_of_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from edgefer.fleet import remote_benchmark

    original = remote_benchmark.probe

    def probe(connection, pythons):
        if connection.name == "broken":
            raise RuntimeError("unforeseen")
        return original(connection, pythons)

    monkeypatch.setattr(remote_benchmark, "probe", probe)
    devices = [HERE, replace(HERE, name="broken")]
    here, broken = run_remote_benchmarks(devices, RemoteBenchmark(PLAN))
    assert here.result is not None
    assert broken.error is not None
    assert "unforeseen" in broken.error.why
