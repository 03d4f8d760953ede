"""Run the examples in the docstrings of the public modules."""

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
# Names that the examples use without defining them.
NAMES = {
    "edgefer": edgefer,
    "SHIPPED": SHIPPED,
    "Path": Path,
    "find_source": importlib.import_module("edgefer.live.camera").find_source,
    "Pipeline": edgefer.Pipeline,
}


def example(module: str) -> str:
    """Return the indented blocks in the docstring of ``module``."""
    doc = importlib.import_module(module).__doc__ or ""
    lines = doc.splitlines()[1:]
    return textwrap.dedent("\n".join(line for line in lines if line.startswith("    ") or not line.strip()))


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, film: Callable[..., Path]) -> np.ndarray:
    """Change to a folder with the files that the examples name; return the image that they process."""
    monkeypatch.chdir(tmp_path)
    portrait = np.asarray(cv2.imread(str(PORTRAIT)), np.uint8)
    for name in ("model.tflite", "small-int8.tflite"):
        shutil.copy(SHIPPED, name)
    film(tmp_path / "clip.mp4", [portrait] * 6)
    return portrait


@pytest.mark.parametrize(
    ("module", "result"),
    [
        ("edgefer", "classifier"),
        ("edgefer.inference.classifier", "prediction"),
        ("edgefer.inference.face_detection", "crop"),
        ("edgefer.inference.pipeline", "face"),
        ("edgefer.live.session", "result"),
    ],
)
def test_the_docstring_example_of_a_module_runs(module: str, result: str, workplace: np.ndarray) -> None:
    names = {**NAMES, **vars(importlib.import_module(module)), "image": workplace}
    exec(compile(example(module), module, "exec"), names)
    assert names[result] is not None
    if module == "edgefer.live.session":
        (face,) = names["result"].faces
        assert face.label == "happy"
    if module == "edgefer.inference.pipeline":
        assert names["face"].prediction.label in LABELS
