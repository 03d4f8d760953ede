from pathlib import Path

import numpy as np
import pytest

from edgefer.data.synthetic import draw
from edgefer.device import sysfs
from edgefer.inference.classifier import Classifier
from edgefer.inference.evaluation import compute_logits
from edgefer.models import find_model
from edgefer.workstation.training.keras_inference import FACES_PER_THREAD, parallel_logits
from edgefer.workstation.training.settings import Augment
from edgefer.workstation.training.views import make_view


@pytest.fixture(scope="module")
def classifier():
    return Classifier.open(find_model(Path("nano"))[0])


@pytest.fixture
def opened(monkeypatch):
    """Give the process three cores, and record which classifiers it opens."""
    artifacts, from_artifact = [], Classifier.from_artifact

    def open_one(artifact, **options):
        artifacts.append(artifact)
        return from_artifact(artifact, **options)

    monkeypatch.setattr(sysfs, "affinity", lambda: (0, 1, 2))
    monkeypatch.setattr(Classifier, "from_artifact", open_one)
    return artifacts


@pytest.mark.parametrize(
    ("faces", "threads"), [(0, 1), (1, 1), (FACES_PER_THREAD - 1, 1), (2 * FACES_PER_THREAD + 1, 2), (2000, 3)]
)
def test_threads_compute_the_logits_of_one_classifier_in_order(classifier, opened, faces, threads):
    pixels = draw(faces, seed=2)[0] if faces else np.empty((0, 48, 48), np.uint8)
    assert np.array_equal(parallel_logits(classifier.artifact, pixels), compute_logits(classifier, pixels))
    assert len(opened) == threads


def test_threads_read_pixels_that_are_computed(classifier, opened):
    view = make_view(draw(1100, seed=2)[0], Augment(mixup=0.5), seed=1, view=2)
    assert np.array_equal(parallel_logits(classifier.artifact, view), compute_logits(classifier, view))
    assert len(opened) == 2
