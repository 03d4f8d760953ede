"""The board's end of the line, as a process with pipes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgefer.benchmark.remote_worker import SILENCE_S, read_event
from edgefer.models import shipped
from edgefer.results.benchmark import BenchmarkCase, BenchmarkPlan

# The quickest of those that ship: what is tested here is not the model.
NANO = shipped()["nano"]

LONG = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=1, seconds=300.0)
SHORT = BenchmarkPlan((BenchmarkCase(str(NANO)),), runs=10, seconds=0.0)


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "import sys; from edgefer.benchmark import remote_worker as remote; sys.exit(remote.main())"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as process:
        yield process
        process.kill()


def ask(process: subprocess.Popen[bytes], job: BenchmarkPlan) -> None:
    assert process.stdin
    process.stdin.write(json.dumps({"job": job.to_json(), "device": "shelf"}).encode() + b"\n")
    process.stdin.flush()


def processes_of(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(stat.parent.name))
    return found


def wait_for(condition, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False


def test_a_job_comes_to_progress_a_measurement_and_a_result(board) -> None:
    ask(board, SHORT)
    events = [read_event(line) for line in board.stdout]
    assert [each["event"] for each in events if each["event"] != "progress"] == ["measurement", "result"]
    assert events[-1]["benched"]["device"] == "shelf"
    assert events[-1]["benched"]["measurements"][0]["invoke"]["runs"] == 10
    assert board.wait(10) == 0


def test_an_error_comes_as_one(board) -> None:
    ask(board, BenchmarkPlan((BenchmarkCase("/nowhere.tflite"),)))
    event = [read_event(line) for line in board.stdout][-1]
    assert (event["event"], event["error"]["kind"]) == ("error", "DataError")
    assert board.wait(10) == 1


def test_the_end_of_the_line_ends_the_bench_and_all_its_processes(board) -> None:
    ask(board, LONG)
    # A round is on its way when there is a process below.
    assert wait_for(lambda: len(processes_of(board.pid)) > 1, 30)
    board.stdin.close()
    board.wait(15)
    assert wait_for(lambda: not processes_of(board.pid), 10)


def test_a_job_that_is_killed_takes_its_bench_with_it(board) -> None:
    ask(board, LONG)
    assert wait_for(lambda: len(processes_of(board.pid)) > 1, 30)
    time.sleep(1)  # until the bench itself is under way
    board.kill()
    board.wait(10)
    assert wait_for(lambda: not processes_of(board.pid), 5)


def test_silence_ends_the_bench(board) -> None:
    ask(board, LONG)
    begin = time.monotonic()
    board.wait(30)
    assert SILENCE_S - 1 < time.monotonic() - begin < 30


def test_half_a_line_is_no_event() -> None:
    with pytest.raises(ValueError, match="."):
        read_event(b'{"event": "result", "benched": {"dev')
    with pytest.raises(ValueError, match="no event"):
        read_event(b"42")
