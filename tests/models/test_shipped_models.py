"""Shipped models reproduce the outputs of the workstation."""

from __future__ import annotations

from pathlib import Path

import pytest

import edgefer.models
from edgefer.contract.labels import LABELS
from edgefer.inference.classifier import Classifier

MODELS = sorted(Path(edgefer.models.__file__).parent.glob("*.tflite"))


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_golden_vectors_are_within_the_tolerance(path: Path) -> None:
    classifier = Classifier.open(path, check=False)
    assert classifier.artifact.labels == LABELS
    assert len(classifier.artifact.golden.inputs) >= 9
    assert classifier.replay() <= classifier.artifact.golden.tolerance


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_model_has_a_model_card(path: Path) -> None:
    assert path.with_suffix(".md").is_file()
