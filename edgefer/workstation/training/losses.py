"""Training losses and the accuracy metric, on any Keras backend.

    loss = training_loss(keras, settings, classes=7, distill=False)
    accuracy = label_accuracy(keras, classes=7)

Targets are (n, classes) distributions, or (n, 2 * classes) with teachers; the last columns are the teachers'
probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgefer.workstation.training.settings import TrainSettings

__all__ = ["label_accuracy", "training_loss"]


def training_loss(keras: Any, settings: TrainSettings, *, classes: int, distill: bool) -> Any:
    """Create a Keras loss of logits (n, classes) from ``settings.loss``, with distillation if ``distill``.

    The focal loss is from Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, summed over soft targets.
    Distillation is from Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531. Its loss is
    the KL divergence from the teachers' softmax, with temperature-scaled logits, times the squared temperature.
    """
    if settings.loss == "cross_entropy" and not distill:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    ops, alpha, temperature = keras.ops, settings.distill_alpha, settings.distill_temperature

    def label_loss(targets: Any, logits: Any) -> Any:
        log_probabilities = ops.log_softmax(logits, axis=-1)
        if settings.loss == "focal":
            log_probabilities = log_probabilities * (1.0 - ops.exp(log_probabilities)) ** settings.focal_gamma
        return -ops.sum(targets * log_probabilities, axis=-1)

    def loss(targets: Any, logits: Any) -> Any:
        logits = ops.cast(logits, "float32")
        from_labels = label_loss(targets[:, :classes], logits)
        if not distill:
            return from_labels
        teacher = targets[:, classes:]
        log_student = ops.log_softmax(logits / temperature, axis=-1)
        log_teacher = ops.log(ops.maximum(teacher, 1e-12))
        divergence = ops.sum(teacher * (log_teacher - log_student), axis=-1)
        return (1 - alpha) * from_labels + alpha * temperature**2 * divergence

    return loss


def label_accuracy(keras: Any, *, classes: int) -> Callable[[Any, Any], Any]:
    """Create a Keras metric: the fraction of images with the predicted class equal to the target class."""

    def accuracy(targets: Any, logits: Any) -> Any:
        return keras.metrics.categorical_accuracy(targets[:, :classes], logits)

    return accuracy
