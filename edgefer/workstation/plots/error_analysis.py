"""Analyze the predictions of a model: its most frequent errors, and images that illustrate them.

    error_pairs(outputs)                            # fear predicted as sad: how often, and the most confident examples
    random_predictions(outputs, count=50)           # an unbiased sample
    sample_images(outputs.images, classes=7)        # random images of each class
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs

__all__ = ["ErrorPair", "Prediction", "error_pairs", "random_predictions", "sample_images"]


@dataclass(frozen=True)
class Prediction:
    """The prediction of a model for one image.

    Attributes:
        index: position of the image in the evaluation set.
        row: row of the image in the source of the data.
        label, prediction: class indices.
        confidence: probability of the prediction, in 0..1.
    """

    index: int
    row: int
    label: int
    prediction: int
    confidence: float

    @property
    def is_correct(self) -> bool:
        """True if the prediction equals the label."""
        return self.prediction == self.label


@dataclass(frozen=True)
class ErrorPair:
    """All errors with the same label and the same prediction.

    Attributes:
        label, prediction: class indices.
        n: number of errors.
        share_of_label: fraction of all images with this label.
        share_of_errors: fraction of all errors.
        examples: most confident errors, in order of decreasing confidence.
    """

    label: int
    prediction: int
    n: int
    share_of_label: float
    share_of_errors: float
    examples: tuple[Prediction, ...]


def error_pairs(outputs: ModelOutputs, *, examples: int = 8) -> tuple[ErrorPair, ...]:
    """Group the errors of a model by label and prediction, and sort the groups by frequency.

    Args:
        outputs: logits of a model, with their images.
        examples: maximum number of examples per group.
    """
    confusion = outputs.evaluation.confusion
    errors = confusion.sum() - np.trace(confusion)
    predictions, confidence = outputs.logits.argmax(axis=1), outputs.probabilities.max(axis=1)
    pairs = []
    for label, prediction in np.argwhere(confusion * (1 - np.eye(len(confusion), dtype=np.int64))):
        indices = np.flatnonzero((outputs.images.labels == label) & (predictions == prediction))
        most_confident = indices[np.argsort(-confidence[indices], kind="stable")][:examples]
        pairs.append(
            ErrorPair(
                label=int(label),
                prediction=int(prediction),
                n=len(indices),
                share_of_label=float(len(indices) / confusion[label].sum()),
                share_of_errors=float(len(indices) / errors),
                examples=_predictions(outputs, most_confident),
            )
        )
    return tuple(sorted(pairs, key=lambda pair: -pair.n))


def random_predictions(outputs: ModelOutputs, *, count: int = 50, seed: int = 0) -> tuple[Prediction, ...]:
    """Draw predictions at random, in the order of the images.

    Args:
        outputs: logits of a model, with their images.
        count: number of predictions; a smaller set yields all of them.
        seed: seed of the draw.
    """
    n = len(outputs.images.labels)
    return _predictions(outputs, np.sort(np.random.default_rng(seed).choice(n, min(count, n), replace=False)))


def sample_images(
    images: EvaluationSet, *, classes: int, per_class: int = 10, seed: int = 0
) -> tuple[tuple[int, ...], ...]:
    """Draw images of each class at random.

    Args:
        images: images with labels.
        classes: number of classes.
        per_class: images per class; a smaller class yields all of them.
        seed: seed of the draw.

    Returns:
        Positions of the images, one tuple per class.
    """
    generator = np.random.default_rng(seed)
    samples = []
    for label in range(classes):
        members = np.flatnonzero(images.labels == label)
        chosen = np.sort(generator.choice(members, min(per_class, len(members)), replace=False))
        samples.append(tuple(int(index) for index in chosen))
    return tuple(samples)


def _predictions(outputs: ModelOutputs, indices: Iterable[int]) -> tuple[Prediction, ...]:
    chosen = np.fromiter(indices, np.int64)
    predictions, confidence = outputs.logits[chosen].argmax(axis=1), outputs.probabilities[chosen].max(axis=1)
    return tuple(
        Prediction(
            index=int(index),
            row=int(outputs.images.rows[index]),
            label=int(outputs.images.labels[index]),
            prediction=int(prediction),
            confidence=float(probability),
        )
        for index, prediction, probability in zip(chosen, predictions, confidence)
    )
