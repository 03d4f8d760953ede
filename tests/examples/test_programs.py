"""Run each program in examples/ as a user would."""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edgefer.cli import main
from edgefer.models import SHIPPED

ROOT = Path(__file__).parents[2]
PHOTO = ROOT / "tests" / "fixtures" / "astronaut.jpg"
PROGRAMS = {path.name for path in (ROOT / "examples").glob("*.py")}


def run(program, *arguments, cwd):
    """Return what a program prints."""
    command = [sys.executable, str(ROOT / "examples" / program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_program_has_a_test():
    source = Path(__file__).read_text(encoding="utf-8")
    assert {name for name in PROGRAMS if f'run("{name}"' in source} == PROGRAMS
    assert len(PROGRAMS) == 5


def test_classify_photograph(tmp_path):
    printed = run("classify_photograph.py", PHOTO, cwd=tmp_path)
    assert printed.count("face at") == 1
    assert "happy" in printed.partition(",")[2]


def test_live_with_own_sink(tmp_path):
    photo = cv2.imread(str(PHOTO))
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 30, photo.shape[1::-1])
    for _ in range(6):
        writer.write(photo)
    writer.release()
    printed = run("live_with_own_sink.py", "clip.mp4", cwd=tmp_path)
    assert "6 frames, 1 faces tracked" in printed
    assert printed.split()[:2] == ["happy", "6"]


def test_plot_benchmark(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["bench", str(SHIPPED), "--runs", "20", "--seconds", "0", "--samples", "--out", "bench.json"]
    assert main.run(words) == 0
    printed = run("plot_benchmark.py", "bench.json", "latency.png", cwd=tmp_path)
    assert "p50" in printed
    assert cv2.imread("latency.png").shape[1] > 300


@pytest.mark.slow
def test_quantize_from_python(tmp_path):
    printed = run("quantize_from_python.py", "--epochs", "1", cwd=tmp_path)
    assert "same label" in printed
    assert len(list(tmp_path.rglob("*-int8.tflite"))) == 1


@pytest.mark.slow
def test_own_architecture(tmp_path):
    printed = run("own_architecture.py", "--epochs", "1", cwd=tmp_path)
    record = json.loads(printed.splitlines()[-1])
    assert record["architecture"] == "wide_stem"
    assert record["int8_bytes"] < 200_000
