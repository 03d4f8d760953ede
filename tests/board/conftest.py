"""Whole artefacts around the two tiny models in data/, made without TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefer.artefact import Artefact, Golden
from edgefer.board.classifier import Classifier
from edgefer.labels import LABELS
from edgefer.preprocess import InputSpec

DATA = Path(__file__).parent / "data"
# data/README.md has the measured spread between kernels and wheels.
TOLERANCES = {"int8": 4.0, "float32": 2e-4}


def drawn_faces(count: int, seed: int = 0) -> np.ndarray:
    """uint8 (count, 48, 48): random grey blocks of random size, by integer arithmetic: the same everywhere."""
    rng = np.random.default_rng(seed)
    faces = []
    for blocks in rng.integers(2, 25, count):
        greys = rng.integers(0, 256, (blocks, blocks), np.uint8)
        greys.flat[:2] = 0, 255
        position = np.arange(48) * blocks // 48
        faces.append(greys[np.ix_(position, position)])
    return np.stack(faces)


def tiny_artefact(scheme: str) -> Artefact:
    """The tiny model of ``scheme`` with 24 golden vectors, whose outputs data/golden.npz holds."""
    inputs = drawn_faces(24)
    model = (DATA / f"tiny-{scheme}.tflite").read_bytes()
    outputs = np.load(DATA / "golden.npz")[scheme]
    golden = Golden(inputs, outputs, TOLERANCES[scheme])
    return Artefact(model, LABELS, InputSpec(), scheme, golden, {"system": "tiny"})


@pytest.fixture(scope="session", params=["int8", "float32"])
def artefact(request: pytest.FixtureRequest) -> Artefact:
    return tiny_artefact(request.param)


@pytest.fixture(scope="session")
def int8_artefact() -> Artefact:
    return tiny_artefact("int8")


@pytest.fixture(scope="session")
def model_path(int8_artefact: Artefact, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "tiny-int8.tflite"
    int8_artefact.save(path)
    return path


@pytest.fixture(scope="session")
def int8_classifier(int8_artefact: Artefact) -> Classifier:
    return Classifier.from_artefact(int8_artefact)


@pytest.fixture(scope="session")
def faces() -> np.ndarray:
    return drawn_faces(40, seed=7)
