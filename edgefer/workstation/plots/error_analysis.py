"""Single answers of a model: which mistakes are frequent, and which images show what it does.

    error_pairs(scored)                             # fear taken for sad: how often, and the surest examples
    random_answers(scored, count=50)                # an honest look: drawn, not chosen
    samples(scored.images, classes=7)               # some images of each class
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs

__all__ = ["Answer", "ErrorPair", "error_pairs", "random_answers", "samples"]


@dataclass(frozen=True)
class Answer:
    """What a model says of one image.

    Attributes:
        index: the position of the image in the score set.
        row: its identity in the source of the data.
        label, prediction: positions among the classes.
        confidence: the probability of the prediction, in 0..1.
    """

    index: int
    row: int
    label: int
    prediction: int
    confidence: float

    @property
    def right(self) -> bool:
        """Whether the prediction is the label."""
        return self.prediction == self.label


@dataclass(frozen=True)
class ErrorPair:
    """One way to be wrong.

    Attributes:
        label, prediction: what is taken for what, positions among the classes.
        n: how often.
        share_of_label: of all images with that label, in 0..1.
        share_of_errors: of all wrong answers, in 0..1.
        examples: those that the model was surest of, the surest first.
    """

    label: int
    prediction: int
    n: int
    share_of_label: float
    share_of_errors: float
    examples: tuple[Answer, ...]


def error_pairs(scored: ModelOutputs, *, examples: int = 8) -> tuple[ErrorPair, ...]:
    """Every pair of label and wrong prediction that occurs, the most frequent first."""
    confusion = scored.evaluation.confusion
    wrong = confusion.sum() - np.trace(confusion)
    predictions, confidence = scored.logits.argmax(axis=1), scored.probabilities.max(axis=1)
    found = []
    for label, prediction in np.argwhere(confusion * (1 - np.eye(len(confusion), dtype=np.int64))):
        indices = np.flatnonzero((scored.images.labels == label) & (predictions == prediction))
        surest = indices[np.argsort(-confidence[indices], kind="stable")][:examples]
        found.append(
            ErrorPair(
                label=int(label),
                prediction=int(prediction),
                n=len(indices),
                share_of_label=float(len(indices) / confusion[label].sum()),
                share_of_errors=float(len(indices) / wrong),
                examples=_answers(scored, surest),
            )
        )
    return tuple(sorted(found, key=lambda pair: -pair.n))


def random_answers(scored: ModelOutputs, *, count: int = 50, seed: int = 0) -> tuple[Answer, ...]:
    """``count`` answers (all, where there are fewer), drawn with ``seed``, in the order of the images."""
    n = len(scored.images.labels)
    return _answers(scored, np.sort(np.random.default_rng(seed).choice(n, min(count, n), replace=False)))


def samples(images: EvaluationSet, *, classes: int, per_class: int = 10, seed: int = 0) -> tuple[tuple[int, ...], ...]:
    """For each class the positions of ``per_class`` of its images (all, where there are fewer), drawn with ``seed``."""
    generator = np.random.default_rng(seed)
    drawn = []
    for label in range(classes):
        own = np.flatnonzero(images.labels == label)
        chosen = np.sort(generator.choice(own, min(per_class, len(own)), replace=False))
        drawn.append(tuple(int(index) for index in chosen))
    return tuple(drawn)


def _answers(scored: ModelOutputs, indices: Iterable[int]) -> tuple[Answer, ...]:
    chosen = np.fromiter(indices, np.int64)
    predictions, confidence = scored.logits[chosen].argmax(axis=1), scored.probabilities[chosen].max(axis=1)
    return tuple(
        Answer(
            index=int(index),
            row=int(scored.images.rows[index]),
            label=int(scored.images.labels[index]),
            prediction=int(prediction),
            confidence=float(sure),
        )
        for index, prediction, sure in zip(chosen, predictions, confidence)
    )
