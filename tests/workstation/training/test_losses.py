from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefer.statistics import softmax
from edgefer.workstation.training.losses import accuracy_of, loss_of
from edgefer.workstation.training.settings import TrainSettings

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 7)).astype(np.float32)
TARGETS = softmax(RNG.normal(size=(5, 7))).astype(np.float32)
THEIRS = softmax(RNG.normal(size=(5, 7))).astype(np.float32)


def value(loss, targets: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(loss(targets, LOGITS)))


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    focal = loss_of(keras, TrainSettings(loss="focal", focal_gamma=0.0), taught=False)
    plain = loss_of(keras, TrainSettings(), taught=False)
    assert value(focal, TARGETS).mean() == pytest.approx(float(value(plain, TARGETS)), rel=1e-5)


def test_focal_loss_is_the_formula() -> None:
    focal = loss_of(keras, TrainSettings(loss="focal", focal_gamma=2.0), taught=False)
    shares = softmax(LOGITS)
    expected = -(TARGETS * (1 - shares) ** 2 * np.log(shares)).sum(axis=1)
    np.testing.assert_allclose(value(focal, TARGETS), expected, rtol=1e-4)


def test_distillation_is_the_divergence_at_a_temperature_and_the_labels() -> None:
    settings = TrainSettings(distill_alpha=0.7, distill_temperature=3.0)
    both = np.concatenate([TARGETS, THEIRS], axis=1)
    divergence = (THEIRS * (np.log(THEIRS) - np.log(softmax(LOGITS / 3)))).sum(axis=1)
    own = -(TARGETS * np.log(softmax(LOGITS))).sum(axis=1)
    found = value(loss_of(keras, settings, taught=True), both)
    np.testing.assert_allclose(found, 0.3 * own + 0.7 * 9 * divergence, rtol=1e-4)
    alone = replace(settings, distill_alpha=1.0)
    agreeing = np.concatenate([TARGETS, softmax(LOGITS / 3)], axis=1)
    np.testing.assert_allclose(value(loss_of(keras, alone, taught=True), agreeing), 0, atol=1e-5)


def test_accuracy_is_of_the_labels_not_of_the_teachers() -> None:
    right = np.eye(7, dtype=np.float32)[LOGITS.argmax(axis=1)]
    both = np.concatenate([right, np.roll(right, 1, axis=1)], axis=1)
    assert np.asarray(accuracy_of(keras)(both, LOGITS)).mean() == 1
