"""Instructions by class, counted on the board."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgefer.contract.artifact import Artifact
from edgefer.errors import DeviceUnreachable
from edgefer.fleet.emulated_board import PROCESSORS, PYTHONS, open_emulated_board
from edgefer.fleet.latency_model import read_latency_models
from edgefer.models import shipped
from edgefer.results.instructions import InstructionRecord

NANO = shipped()["nano"]
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))


@pytest.fixture(scope="module")
def counter(emulated):
    made = open_emulated_board({})
    made.prepare()
    return made


def test_counts_repeat_and_dot_products_replace_most_multiplications(counter):
    first, again = (counter.count(NANO.read_bytes(), processor="pi4", runtime="litert") for _ in range(2))
    assert again.total == pytest.approx(first.total, rel=1e-3)
    with_dot_products = counter.count(NANO.read_bytes(), processor="pi5", runtime="litert")
    assert with_dot_products.int8_mac < 0.5 * first.int8_mac
    # 17.3 million multiply-accumulates, at most 16 in an instruction with dot products and 8 in one without.
    assert with_dot_products.int8_mac > 17.3e6 / 16
    assert 17.3e6 / 8 < first.int8_mac < first.total


@pytest.mark.parametrize("runtime", sorted(PYTHONS))
def test_the_benchmark_script_runs_faces_on_the_board(counter, runtime):
    from arm64_emulated import execute

    artifact = Artifact.load(NANO)
    outputs = execute(counter, artifact, artifact.golden.inputs, runtime, "pi4")
    assert artifact.golden.difference(outputs).max() <= artifact.golden.tolerance


def test_classes_add_up_to_the_total_of_another_counter(counter, emulated):
    counts = counter.count(NANO.read_bytes(), processor="pi4", runtime="litert", runs=5)
    path = counter.write("other.tflite", NANO.read_bytes())
    program = counter.local_path("count.py").read_text()
    assert "getsid" in program
    command = ("icount", PYTHONS["litert"], path.replace("other.tflite", "count.py"), path, "litert", "5")
    output = counter.run(*command, processor="pi4")
    marks = [int(line.split()[-1]) for line in output.splitlines() if line.startswith("icount mark")]
    assert counts.total == pytest.approx((marks[1] - marks[0]) / 5, rel=1e-3)


def test_a_stopped_count_ends_the_emulation(counter, emulated):
    stop = threading.Event()
    timer = threading.Timer(2.0, stop.set)
    timer.start()
    with pytest.raises(DeviceUnreachable, match="stopped"):
        counter.count(NANO.read_bytes(), processor="pi4", runtime="litert", runs=100_000, stop=stop)
    deadline = time.monotonic() + 10
    while emulated.processes("100000") and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not emulated.processes("100000")


def test_a_file_that_is_no_model_fails_with_the_reason(counter):
    with pytest.raises(DeviceUnreachable) as raised:
        counter.count(b"no model", processor="pi4", runtime="litert")
    assert "model" in str(raised.value)


def test_bench_counts_and_estimates(emulated, tmp_path):
    command = [sys.executable, "-m", "edgefer", "bench", str(NANO), "--device", "emulated", "--estimate", "--json"]
    completed = subprocess.run(command, capture_output=True, text=True, check=True)
    record = InstructionRecord.from_json(json.loads(completed.stdout))
    assert set(record.processors) == set(record.estimates) == set(PROCESSORS)
    models = read_latency_models()
    for processor, counts in record.processors.items():
        assert record.estimates[processor] == models[processor].estimate(counts)
    assert record.estimates["pi5"].latency_ms < record.estimates["pi4"].latency_ms < record.estimates["pi3"].latency_ms
