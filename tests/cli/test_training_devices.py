"""edgefer train on two virtual devices, and in two processes on this machine."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX: pip install -e '.[jax]'")

TWO_DEVICES = "--xla_force_host_platform_device_count=2"
TIMEOUT_S = 600
POLL_S = 0.05


def launch(*arguments: object, cwd: Path, flags: str = "") -> subprocess.Popen[str]:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags, "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "edgefer", "train", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, output
    return output


def history(run: Path) -> list[list[str]]:
    with (run / "history.csv").open() as file:
        return [row[:-1] for row in csv.reader(file)]  # without the duration


@pytest.fixture(scope="module")
def settings(data: Path) -> tuple[object, ...]:
    return ("--data", data, "--system", "demo", "--epochs", 3, "--set", "batch_size=32")


@pytest.fixture(scope="module")
def two_devices(settings: tuple[object, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("devices")
    output = finish(launch(*settings, "--run", "two", "--gpus", 2, cwd=folder, flags=TWO_DEVICES))
    assert "shared by 2 devices" in output
    return folder / "two"


@pytest.mark.slow
def test_two_processes_train_like_two_devices(
    settings: tuple[object, ...], two_devices: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = ("--run", "run", "--coordinator", f"127.0.0.1:{port}", "--processes", 2)
    processes = [launch(*settings, *group, "--rank", rank, cwd=tmp_path) for rank in (0, 1)]
    outputs = [finish(process) for process in processes]
    assert "accuracy" in outputs[0]
    assert "rank 1 has trained; rank 0 writes run" in outputs[1]
    assert json.loads((tmp_path / "run/environment.json").read_text())["devices"] == 2
    ours, expected = history(tmp_path / "run"), history(two_devices)
    assert ours[0] == expected[0]
    for row, other in zip(ours[1:], expected[1:], strict=True):
        assert [float(value) for value in row] == pytest.approx([float(value) for value in other], rel=1e-3)


@pytest.mark.slow
def test_a_killed_training_on_two_devices_resumes_with_the_same_weights(
    settings: tuple[object, ...], two_devices: Path, tmp_path: Path
) -> None:
    process = launch(*settings, "--run", "run", "--gpus", 2, cwd=tmp_path, flags=TWO_DEVICES)
    deadline = time.monotonic() + TIMEOUT_S
    while not (tmp_path / "run/history.csv").exists():
        assert process.poll() is None, finish(process)
        assert time.monotonic() < deadline
        time.sleep(POLL_S)
    process.kill()
    process.communicate()
    # On one device, the weights would differ.
    output = finish(launch("--resume", "run", cwd=tmp_path), code=2)
    assert "--gpus 2: JAX finds cpu:0" in output
    finish(launch("--resume", "run", cwd=tmp_path, flags=TWO_DEVICES))
    for name in ("best.weights.h5", "last.weights.h5"):
        assert (tmp_path / "run" / name).read_bytes() == (two_devices / name).read_bytes()
    assert history(tmp_path / "run") == history(two_devices)


def test_tensorflow_trains_on_one_device(edgefer, data: Path) -> None:
    outcome = edgefer("train", "--data", data, "--system", "demo", "--gpus", 2)
    assert outcome.code == 2
    assert "a training on 2 devices: tensorflow trains on one device here" in outcome.err
    assert "KERAS_BACKEND=jax" in outcome.err
    outcome = edgefer("train", "--data", data, "--coordinator", "127.0.0.1:1", "--processes", 2, "--rank", 0)
    assert (outcome.code, "KERAS_BACKEND=jax" in outcome.err) == (2, True)


def test_an_incomplete_process_group_is_refused(edgefer, data: Path) -> None:
    outcome = edgefer("train", "--data", data, "--processes", 2)
    assert outcome.code == 2
    assert "missing: --coordinator or KERAS_DISTRIBUTION_JOB_ADDRESSES" in outcome.err
    outcome = edgefer("train", "--coordinator", "127.0.0.1:1", "--processes", 2, "--rank", 0, "--gpus", 2)
    assert (outcome.code, "--gpus with --processes" in outcome.err) == (2, True)
