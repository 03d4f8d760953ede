"""Damaged models: bytes, fields of the flatbuffer and members of the contract; see model_mutations.

Commands load an unknown model in a subprocess first. Here that subprocess is a fork of this process, which takes
milliseconds. Every four hundredth model starts a new Python as usual, with the commands that take seconds.
"""

from __future__ import annotations

import functools
import importlib
import os
import random
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from edgefer import processes
from edgefer.data.synthetic import golden_faces
from edgefer.models import shipped
from edgefer.processes import ChildResult
from tests.tools.fuzzing import Case
from tests.tools.model_mutations import mutate

__all__ = ["make", "prepare"]

MODEL = "input/model.tflite"
SHORT_COMMANDS = (
    ("predict", "face.png", "--no-detect", "--model", MODEL),
    ("predict", "face.png", "--no-detect", "--model", MODEL, "--json"),
    ("inspect", MODEL),
    ("inspect", MODEL, "--json"),
    ("evaluate", MODEL, "--data", "faces.npz"),
    ("report", MODEL, "--html", "input/report.html"),
)
LONG_COMMANDS = (
    ("bench", MODEL, "--runs", "2", "--seconds", "0"),
    ("verify", MODEL, "--threads", "1", "--runtime", "litert"),
    ("export", MODEL, "--zip", "--c-array", "--output-dir", "input/out"),
    ("predict", "face.png", "--no-detect", "--model", MODEL),
)
LONG_SHARE = 400


def prepare(folder: Path) -> None:
    """Write the image and the data set that the commands read."""
    faces = golden_faces(9)
    cv2.imwrite(str(folder / "face.png"), faces[0])
    usage = np.array(["Training", "PublicTest", "PrivateTest"] * 3)
    np.savez(folder / "faces.npz", pixels=faces, emotion=np.arange(9) % 7, usage=usage)
    for module in ("inspection.parity", "inspection.sandbox", "inference.pipeline", "benchmark.session"):
        importlib.import_module(f"edgefer.{module}")
    importlib.import_module("ai_edge_litert.interpreter")


def make(folder: Path, seed: int) -> Case:
    """Write a damaged model."""
    mutation, content = mutate(list(_models()), seed)
    (folder / MODEL).write_bytes(content)
    is_long = seed % LONG_SHARE == 0
    processes.run_module = _run_module if is_long else _run_forked
    # Not from the seed alone, which also selects the mutation.
    rng = random.Random(f"commands of {seed}")
    return Case(mutation, (rng.choice(LONG_COMMANDS if is_long else SHORT_COMMANDS),))


@functools.cache
def _models() -> tuple[bytes, ...]:
    return (shipped()["nano"].read_bytes(),)


_run_module = processes.run_module


def _run_forked(
    module: str,
    *arguments: str | Path,
    folder: Path,
    timeout_s: float | None = None,
    variables: Mapping[str, str] | None = None,
    python: Path | None = None,
) -> ChildResult:
    """Do what processes.run_module() does, but in a fork of this process."""
    stderr_path, parent = folder / "stderr.txt", os.getpid()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            _redirect(stderr_path)
            os.chdir(folder)
            os.environ.update({**(variables or {}), processes.PARENT: str(parent)})
            signal.setitimer(signal.ITIMER_REAL, timeout_s or 0)
            code = importlib.import_module(module).main(*map(str, arguments))
        except BaseException:  # noqa: BLE001 - the parent reports it
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    exit_code = os.waitstatus_to_exitcode(status)
    stderr = stderr_path.read_text("utf-8", "replace") if stderr_path.exists() else ""
    return ChildResult(exit_code, stderr, timed_out=exit_code == -signal.SIGALRM)


def _redirect(stderr_path: Path) -> None:
    stderr, nothing = os.open(stderr_path, os.O_WRONLY | os.O_CREAT), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(stderr, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
