"""Training losses and the accuracy metric, on any Keras backend.

    loss, accuracy = loss_of(keras, settings, taught=False), accuracy_of(keras)

Targets are (n, 7) distributions, or (n, 14) with teachers; the last seven columns are the teachers' probabilities.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgefer.contract.labels import LABELS
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["accuracy_of", "loss_of"]

CLASSES = len(LABELS)


def loss_of(keras: Any, settings: TrainSettings, *, taught: bool) -> Any:
    """Create a Keras loss of logits (n, 7) from ``settings.loss``, with distillation if ``taught``.

    The focal loss is from Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, summed over soft targets.
    Distillation is from Hinton et al., "Distilling the Knowledge in a Neural Network", arXiv:1503.02531. Its loss is
    the KL divergence from the teachers' softmax, with temperature-scaled logits, times the squared temperature.
    """
    if settings.loss == "cross_entropy" and not taught:
        return keras.losses.CategoricalCrossentropy(from_logits=True)
    ops, share, heat = keras.ops, settings.distill_alpha, settings.distill_temperature

    def labelled(targets: Any, logits: Any) -> Any:
        logs = ops.log_softmax(logits, axis=-1)
        if settings.loss == "focal":
            logs = logs * (1.0 - ops.exp(logs)) ** settings.focal_gamma
        return -ops.sum(targets * logs, axis=-1)

    def loss(targets: Any, logits: Any) -> Any:
        logits = ops.cast(logits, "float32")
        own = labelled(targets[:, :CLASSES], logits)
        if not taught:
            return own
        theirs = targets[:, CLASSES:]
        logs = ops.log_softmax(logits / heat, axis=-1)
        known = ops.log(ops.maximum(theirs, 1e-12))
        return (1 - share) * own + share * heat**2 * ops.sum(theirs * (known - logs), axis=-1)

    return loss


def accuracy_of(keras: Any) -> Callable[[Any, Any], Any]:
    """Create a Keras metric: the fraction of images with the predicted class equal to the target class."""

    def accuracy(targets: Any, logits: Any) -> Any:
        return keras.metrics.categorical_accuracy(targets[:, :CLASSES], logits)

    return accuracy
