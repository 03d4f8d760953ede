"""How good a model's answers are, from its logits: the record that an evaluation leaves behind.

    evaluation = evaluate(logits, labels, label_names=LABELS, split="public", model="small-int8", data="fer2013")
    evaluation.accuracy.share, evaluation.accuracy.interval
    evaluation.to_json()

The record keeps counts; every score is derived from them. Undefined scores (the precision of a class that was never
predicted) are None, in JSON null, and never a silent zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.statistics import cross_entropy, wilson_interval

__all__ = ["Accuracy", "ClassScore", "Evaluation", "evaluate"]

KIND = "evaluation"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Accuracy:
    """How many of how many were right."""

    correct: int
    n: int

    @property
    def share(self) -> float | None:
        """In 0..1; None for no images."""
        return self.correct / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval; None for no images."""
        return wilson_interval(self.correct, self.n) if self.n else None

    def to_json(self) -> dict[str, Any]:
        """Counts, share and interval."""
        interval = list(self.interval) if self.interval else None
        return {"correct": self.correct, "n": self.n, "share": self.share, "interval_95": interval}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Accuracy:
        """The inverse of to_json(); share and interval are derived again.

        Raises:
            DataError: no counts, or more right than there were.
        """
        schema.require(fields, correct=int, n=int)
        if not 0 <= fields["correct"] <= fields["n"]:
            raise DataError(f"an accuracy of {fields['correct']} right in {fields['n']}", why="that cannot be")
        return cls(fields["correct"], fields["n"])


@dataclass(frozen=True)
class ClassScore:
    """The scores of one class.

    Attributes:
        label: its name.
        n: how many images have it.
        predicted: how many images were taken for it.
        precision: share of ``predicted`` that is right; None where nothing was predicted.
        recall: share of ``n`` that was found; None where there is no such image.
        f1: 2 true positives / (n + predicted); None where both are zero.
    """

    label: str
    n: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of one model on one split.

    Attributes:
        model: its name, for people; ``subject`` holds what identifies it.
        data: the data set's name.
        split: which part of it; never leave it out when you quote a number.
        label_names: the classes, in the order of the confusion matrix.
        confusion: int64 (classes, classes) counts; row: the label, column: the prediction.
        cross_entropy: mean of -log softmax at the label, in nats, of the logits as they are, without a temperature.
        unseen: accuracy without the images that have an exact twin in Training; None where that is not known.
        subject: plain values on the model: sha256, size_bytes, scheme, system and what else the caller knows.
    """

    model: str
    data: str
    split: str
    label_names: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    cross_entropy: float
    unseen: Accuracy | None = None
    subject: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """How many images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> Accuracy:
        """Over all images of the split."""
        return Accuracy(int(np.trace(self.confusion)), self.n)

    @property
    def per_class(self) -> tuple[ClassScore, ...]:
        """One score a class, in the order of label_names."""
        return tuple(self._class_score(index) for index in range(len(self.label_names)))

    @property
    def macro_f1(self) -> float:
        """Mean F1 over the classes that have one, each counting the same."""
        return float(np.mean([score.f1 for score in self.per_class if score.f1 is not None]))

    @property
    def confusion_shares(self) -> npt.NDArray[np.float64]:
        """float64 (classes, classes), the confusion matrix with each row summing to 1; NaN in a row without images."""
        totals = self.confusion.sum(axis=1, keepdims=True)
        shares = np.full(self.confusion.shape, np.nan)
        np.divide(self.confusion, totals, out=shares, where=totals > 0)
        return shares

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values, scores included for readers; from_json() is its inverse."""
        shares = self.confusion_shares
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            "subject": dict(self.subject),
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "n": self.n,
            "accuracy": self.accuracy.to_json(),
            "accuracy_unseen_in_training": self.unseen.to_json() if self.unseen else None,
            "macro_f1": self.macro_f1,
            "cross_entropy_nats": self.cross_entropy,
            "per_class": [vars(score).copy() for score in self.per_class],
            "label_names": list(self.label_names),
            "confusion": self.confusion.tolist(),
            "confusion_shares": [None if np.isnan(row).any() else row.tolist() for row in shares],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Evaluation:
        """The inverse of to_json(); scores are derived again from the counts.

        Raises:
            DataError: not an evaluation, or one whose fields cannot be.
            IncompatibleError: a later schema version.
        """
        schema.validate(fields, KIND, SCHEMA_VERSION)
        schema.require(
            fields, model=str, data=str, split=str, label_names=list, confusion=list, cross_entropy_nats=(int, float),
            accuracy_unseen_in_training=(dict, type(None)), subject=dict,
        )  # fmt: skip
        unseen = fields["accuracy_unseen_in_training"]
        return cls(
            model=fields["model"],
            data=fields["data"],
            split=fields["split"],
            label_names=tuple(fields["label_names"]),
            confusion=_counts(fields["confusion"], classes=len(fields["label_names"])),
            cross_entropy=fields["cross_entropy_nats"],
            unseen=Accuracy.from_json(unseen) if unseen else None,
            subject=fields["subject"],
        )

    def _class_score(self, index: int) -> ClassScore:
        right = int(self.confusion[index, index])
        count, predicted = int(self.confusion[index].sum()), int(self.confusion[:, index].sum())
        return ClassScore(
            label=self.label_names[index],
            n=count,
            predicted=predicted,
            precision=right / predicted if predicted else None,
            recall=right / count if count else None,
            f1=2 * right / (count + predicted) if count + predicted else None,
        )


def evaluate(
    logits: npt.NDArray[np.floating[Any]],
    labels: npt.NDArray[np.integer[Any]],
    *,
    label_names: Sequence[str],
    split: str,
    model: str = "",
    data: str = "",
    seen_in_training: npt.NDArray[np.bool_] | None = None,
    subject: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Score the answers of a model.

    Args:
        logits: float (n, classes), n >= 1.
        labels: integers (n,) in 0..classes-1.
        label_names: the names of the classes.
        split: which part of the data this is.
        model: the model's name.
        data: the data set's name.
        seen_in_training: bool (n,), whether the same pixels are also in Training; None where that is not known.
        subject: plain values on the model.

    Raises:
        DataError: shapes that do not fit each other, no image, a label out of range, or logits that are not finite.
    """
    _check(logits, labels, classes=len(label_names), seen_in_training=seen_in_training)
    classes = len(label_names)
    predictions = logits.argmax(axis=1)
    confusion = np.bincount(labels.astype(np.int64) * classes + predictions, minlength=classes * classes)
    unseen = None
    if seen_in_training is not None:
        right = (predictions == labels)[~seen_in_training]
        unseen = Accuracy(int(right.sum()), len(right))
    return Evaluation(
        model=model,
        data=data,
        split=split,
        label_names=tuple(label_names),
        confusion=confusion.reshape(classes, classes).astype(np.int64),
        cross_entropy=cross_entropy(logits.astype(np.float64), labels),
        unseen=unseen,
        subject=dict(subject or {}),
    )


def _check(
    logits: npt.NDArray[Any], labels: npt.NDArray[Any], *, classes: int, seen_in_training: npt.NDArray[np.bool_] | None
) -> None:
    if logits.shape != (len(labels), classes) or len(labels) == 0:
        raise DataError(f"logits of shape {logits.shape}", why=f"({len(labels)}, {classes}) was expected, with n >= 1")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"labels in {labels.min()}..{labels.max()}", why=f"0..{classes - 1} was expected")
    if not np.isfinite(logits).all():
        raise DataError(f"{int((~np.isfinite(logits)).any(axis=1).sum())} images have logits that are not finite")
    if seen_in_training is not None and (
        seen_in_training.shape != labels.shape or seen_in_training.dtype != np.bool_
    ):
        raise DataError(
            f"seen_in_training has shape {seen_in_training.shape} and dtype {seen_in_training.dtype}",
            why=f"bool {labels.shape} was expected",
        )


def _counts(rows: list[Any], *, classes: int) -> npt.NDArray[np.int64]:
    """A confusion matrix as it stands in a record -> int64 (classes, classes)."""
    try:
        counts = np.array(rows)
    except ValueError:  # rows of different lengths
        counts = np.array([])
    # Numbers beyond int64 make an array of objects.
    if counts.shape != (classes, classes) or counts.dtype.kind not in "iu" or counts.min() < 0 or not counts.any():
        raise DataError(
            f"a confusion matrix of shape {counts.shape} and dtype {counts.dtype}",
            why=f"counts of images, ({classes}, {classes}), none negative and not all zero, were expected",
        )
    return counts.astype(np.int64)
