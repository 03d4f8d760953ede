"""Compare the median latency of edgefer with that of LiteRT's benchmark tool on the same file."""

from __future__ import annotations

import json
import subprocess
import sysconfig
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from edgefer.benchmark.isolation import measure_in_subprocess
from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.inference.classifier import Classifier
from edgefer.results.measurement import BenchRequest
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.training.model import build_network
from edgefer.workstation.workflows.train import load_system

TOOL = Path(sysconfig.get_path("scripts"), "litert-benchmark")
# The tool rounds to 0.01 ms, so the network must take several tenths of a millisecond.
TURNS, RUNS, LEAST_MS = 9, 400, 0.3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    flatbuffer = convert(build_network(load_keras(), load_system("compact_base"), classes=7))
    inputs = np.zeros((1, 48, 48), np.uint8)
    no_logits = np.zeros((1, len(LABELS)), np.float32)
    bare = Artifact(flatbuffer, LABELS, InputSpec(), "float32", Golden(inputs, no_logits, no_logits, 1.0), {})
    outputs = Classifier.from_artifact(bare, check=False).raw(inputs)
    path = tmp_path_factory.mktemp("models") / "base-float32.tflite"
    Artifact(flatbuffer, LABELS, InputSpec(), "float32", Golden(inputs, outputs, outputs, 1e-3), {}).save(path)
    return path


def tool_median_ms(model: Path, folder: Path) -> float:
    reply = folder / "result.json"
    settings = {"--model": model, "--num_runs": RUNS, "--num_threads": 1, "--result_json": reply}
    command = [str(TOOL), *(str(part) for setting in settings.items() for part in setting)]
    subprocess.run(command, check=True, capture_output=True)
    return float(json.loads(reply.read_text())["latency"]["median_ms"])


def edgefer_median_ms(model: Path) -> float:
    return measure_in_subprocess(BenchRequest(str(model), minimum_runs=RUNS, minimum_seconds=0.0)).p50_us / 1000


@pytest.mark.skipif(not TOOL.is_file(), reason="litert-benchmark is not installed")
def test_the_median_is_within_five_percent_of_litert_benchmark(model: Path, tmp_path: Path) -> None:
    pairs = [(edgefer_median_ms(model), tool_median_ms(model, tmp_path)) for _ in range(TURNS)]
    assert median(measured for measured, _ in pairs) > LEAST_MS
    # Alternate, so that a temporary slowdown of the machine affects both.
    assert median(measured / expected for measured, expected in pairs) == pytest.approx(1, abs=0.05), pairs
