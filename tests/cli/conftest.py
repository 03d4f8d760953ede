"""Fixtures for tests of commands: a working folder with one trained run and its converted models."""

import contextlib
import io
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.cli import main
from edgefer.data.synthetic import draw

SPLITS = {"Training": 280, "PublicTest": 70, "PrivateTest": 35}


@dataclass(frozen=True)
class Outcome:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def record(self):
        return json.loads(self.out)


@contextlib.contextmanager
def working_in(folder):
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def run_edgefer(*arguments, cwd):
    out, err = io.StringIO(), io.StringIO()
    with working_in(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run([str(argument) for argument in arguments])
    return Outcome(code, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Workplace:
    """The working folder of the session, with one training run and its two converted models."""

    folder: Path
    data: Path
    run: Path
    int8: Path
    float32: Path
    trained: Outcome
    quantized: Outcome


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Return an .npz of synthetic faces; five of PublicTest are also in Training."""
    pixels, emotion = draw(sum(SPLITS.values()), seed=7)
    usage = np.repeat(list(SPLITS), list(SPLITS.values()))
    test = SPLITS["Training"]
    pixels[test : test + 5], emotion[test : test + 5] = pixels[:5], emotion[:5]
    path = tmp_path_factory.mktemp("data") / "faces.npz"
    np.savez(path, pixels=pixels, emotion=emotion, usage=usage)
    return path


@pytest.fixture(scope="session")
def workplace(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("workplace")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EDGEFER_DATA", raising=False)
        settings = ("--system", "compact_nano", "--epochs", 1, "--set", "batch_size=32", "--set", "warmup_epochs=0")
        trained = run_edgefer("train", *settings, "--data", data, "--json", "--out", "train.json", cwd=folder)
        assert trained.code == 0, trained.err
        for name in ("float32", "int8"):
            options = ("--calibration-size", 50, "--json", "--out", f"{name}.json")
            quantized = run_edgefer("quantize", f"--{name}", *options, cwd=folder)
            assert quantized.code == 0, quantized.err
    run = (folder / "runs" / "latest").resolve()
    models = {name: run / f"compact_nano-{name}.tflite" for name in ("int8", "float32")}
    return Workplace(folder, data, run, **models, trained=trained, quantized=quantized)


@pytest.fixture
def edgefer(tmp_path, monkeypatch):
    """Run a command line in this process, in the test's own folder or in ``cwd``."""
    monkeypatch.delenv("EDGEFER_DATA", raising=False)

    def run(*arguments, cwd=tmp_path):
        return run_edgefer(*arguments, cwd=cwd)

    return run


@pytest.fixture
def refused(edgefer):
    """Run a command line that must fail with ``code``, a hint and no traceback; return the message."""

    def run(*arguments, code, **options):
        outcome = edgefer(*arguments, **options)
        assert outcome.code == code, outcome.err
        assert outcome.out == ""
        assert "try" in outcome.err.lower(), outcome.err
        assert "Traceback" not in outcome.err
        return outcome.err

    return run


@pytest.fixture
def scratch(workplace, tmp_path):
    """Return a copy of the session's run that a test may change."""
    return Path(shutil.copytree(workplace.run, tmp_path / "run"))


@pytest.fixture(scope="session")
def pictures(data, tmp_path_factory):
    """Return two faces of the data set as PNG files."""
    folder = tmp_path_factory.mktemp("pictures")
    paths = [folder / f"face{index}.png" for index in range(2)]
    for path, face in zip(paths, np.load(data)["pixels"]):
        cv2.imwrite(str(path), face)
    return paths


@pytest.fixture(scope="session")
def results(workplace, tmp_path_factory):
    """Return a folder with the records that train, quantize, bench and evaluate write with --out."""
    folder = tmp_path_factory.mktemp("results")
    for name in ("train", "int8", "float32"):
        shutil.copy(workplace.folder / f"{name}.json", folder)
    for model in (workplace.int8, workplace.float32):
        timed = ("bench", model, "--runs", 20, "--seconds", 0, "--out", folder / f"{model.stem}-bench.json")
        scored = ("evaluate", model, "--data", workplace.data, "--out", folder / f"{model.stem}.json")
        for arguments in (timed, scored):
            outcome = run_edgefer(*arguments, cwd=folder)
            assert outcome.code == 0, outcome.err
    return folder
