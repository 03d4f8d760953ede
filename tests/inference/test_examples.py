"""The examples with which the modules of the Python interface open: they are run as they stand."""

from __future__ import annotations

import importlib
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import edgefer
import edgefer.models
from edgefer.contract.labels import LABELS
from edgefer.models import SHIPPED

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"
# What an example takes for granted that its reader has.
KNOWN = {
    "edgefer": edgefer,
    "SHIPPED": SHIPPED,
    "Path": Path,
    "find_source": importlib.import_module("edgefer.live.camera").find_source,
    "Pipeline": edgefer.Pipeline,
}


def example(module: str) -> str:
    """The indented blocks in the docstring of ``module``, without what they say they give."""
    doc = importlib.import_module(module).__doc__ or ""
    lines = doc.splitlines()[1:]
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line.strip()))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Callable[..., Path]) -> np.ndarray:
    """A folder with the files that examples name; the picture that they look at."""
    monkeypatch.chdir(tmp_path)
    portrait = np.asarray(cv2.imread(str(PORTRAIT)), np.uint8)
    for name in ("model.tflite", "small-int8.tflite"):
        shutil.copy(SHIPPED, name)
    film(tmp_path / "clip.mp4", [portrait] * 6)
    return portrait


@pytest.mark.parametrize(
    ("module", "left"),
    [
        ("edgefer", "classifier"),
        ("edgefer.inference.classifier", "prediction"),
        ("edgefer.inference.face_detection", "crop"),
        ("edgefer.inference.pipeline", "face"),
        ("edgefer.live.session", "result"),
    ],
)
def test_the_example_of_a_module_runs(module: str, left: str, workplace: np.ndarray) -> None:
    names = {**KNOWN, **vars(importlib.import_module(module)), "image": workplace}
    exec(compile(example(module), module, "exec"), names)
    assert names[left] is not None
    if module == "edgefer.live.session":
        (face,) = names["result"].faces
        assert face.label == "happy"
    if module == "edgefer.inference.pipeline":
        assert names["face"].prediction.label in LABELS
