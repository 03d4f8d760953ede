from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefer.statistics import softmax
from edgefer.workstation.training.losses import label_accuracy, training_loss
from edgefer.workstation.training.settings import TrainSettings

keras = pytest.importorskip("keras")

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(5, 7)).astype(np.float32)
TARGETS = softmax(RNG.normal(size=(5, 7))).astype(np.float32)
TEACHER = softmax(RNG.normal(size=(5, 7))).astype(np.float32)


def value(loss, targets: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(loss(targets, LOGITS)))


def test_focal_loss_without_focus_is_cross_entropy() -> None:
    focal = training_loss(keras, TrainSettings(loss="focal", focal_gamma=0.0), classes=7, distill=False)
    plain = training_loss(keras, TrainSettings(), classes=7, distill=False)
    assert value(focal, TARGETS).mean() == pytest.approx(float(value(plain, TARGETS)), rel=1e-5)


def test_focal_loss_follows_its_formula() -> None:
    focal = training_loss(keras, TrainSettings(loss="focal", focal_gamma=2.0), classes=7, distill=False)
    shares = softmax(LOGITS)
    expected = -(TARGETS * (1 - shares) ** 2 * np.log(shares)).sum(axis=1)
    np.testing.assert_allclose(value(focal, TARGETS), expected, rtol=1e-4)


def test_the_distillation_loss_combines_divergence_and_label_loss() -> None:
    settings = TrainSettings(distill_alpha=0.7, distill_temperature=3.0)
    both = np.concatenate([TARGETS, TEACHER], axis=1)
    divergence = (TEACHER * (np.log(TEACHER) - np.log(softmax(LOGITS / 3)))).sum(axis=1)
    label_loss = -(TARGETS * np.log(softmax(LOGITS))).sum(axis=1)
    computed = value(training_loss(keras, settings, classes=7, distill=True), both)
    np.testing.assert_allclose(computed, 0.3 * label_loss + 0.7 * 9 * divergence, rtol=1e-4)
    alone = replace(settings, distill_alpha=1.0)
    agreeing = np.concatenate([TARGETS, softmax(LOGITS / 3)], axis=1)
    np.testing.assert_allclose(value(training_loss(keras, alone, classes=7, distill=True), agreeing), 0, atol=1e-5)


def test_accuracy_ignores_the_teacher_targets() -> None:
    right = np.eye(7, dtype=np.float32)[LOGITS.argmax(axis=1)]
    both = np.concatenate([right, np.roll(right, 1, axis=1)], axis=1)
    assert np.asarray(label_accuracy(keras, classes=7)(both, LOGITS)).mean() == 1
