"""The remote worker as a process with pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.benchmark.remote_worker import SILENCE_S, read_event
from edgefer.models import shipped
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan

# The fastest bundled model; these tests do not depend on the model.
NANO = shipped()["nano"]

LONG = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=1, seconds=300.0)
SHORT = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=10, seconds=0.0)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "import sys; from edgefer.benchmark import remote_worker; remote_worker.main()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        yield process
        process.kill()


def send(process: subprocess.Popen[bytes], plan: BenchmarkPlan) -> None:
    assert process.stdin
    process.stdin.write(json.dumps({"job": plan.to_json(), "device": "shelf"}).encode() + b"\n")
    process.stdin.flush()


def processes_of(session: int) -> list[int]:
    processes = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            processes.append(int(stat.parent.name))
    return processes


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_plan_produces_a_measurement_and_a_result(board) -> None:
    send(board, SHORT)
    events = [read_event(line) for line in board.stdout]
    assert [event["event"] for event in events if event["event"] != "progress"] == ["measurement", "result"]
    assert events[-1]["benched"]["device"] == "shelf"
    assert events[-1]["benched"]["measurements"][0]["invoke"]["runs"] == 10
    assert board.wait(10) == 0


def test_an_error_is_sent_as_an_event(board) -> None:
    send(board, BenchmarkPlan((BenchmarkCase("/nowhere.tflite"),)))
    event = [read_event(line) for line in board.stdout][-1]
    assert (event["event"], event["error"]["kind"]) == ("error", "DataError")
    assert board.wait(10) == 1


def test_an_error_after_the_last_round_has_the_result_so_far(board, tmp_path: Path) -> None:
    np.savez(tmp_path / "faces.npz", faces=np.zeros((2, 48, 48), np.uint8))
    send(board, replace(SHORT, faces=str(tmp_path / "faces.npz"), accuracy=0))
    event = [read_event(line) for line in board.stdout][-1]
    assert event["error"]["kind"] == "DataError"
    assert event["benched"]["measurements"][0]["invoke"]["runs"] == 10
    assert board.wait(10) == 1


def test_closed_stdin_ends_the_benchmark_and_all_its_processes(board) -> None:
    send(board, LONG)
    # A second process in the session means that a round has started.
    assert wait_for(lambda: len(processes_of(board.pid)) > 1, 30)
    board.stdin.close()
    board.wait(15)
    assert wait_for(lambda: not processes_of(board.pid), 10)


def test_killing_the_worker_ends_its_measuring_process(board) -> None:
    send(board, LONG)
    assert wait_for(lambda: len(processes_of(board.pid)) > 1, 30)
    time.sleep(1)  # until the measurement runs
    board.kill()
    board.wait(10)
    assert wait_for(lambda: not processes_of(board.pid), 5)


def test_missing_heartbeats_end_the_benchmark(board) -> None:
    send(board, LONG)
    begin = time.monotonic()
    board.wait(30)
    assert SILENCE_S - 1 < time.monotonic() - begin < 30


def test_incomplete_or_foreign_lines_are_not_events() -> None:
    with pytest.raises(ValueError, match="."):
        read_event(b'{"event": "result", "benched": {"dev')
    with pytest.raises(ValueError, match="not an event"):
        read_event(b"42")
