"""Scores of a model on one split, computed from its logits, and their JSON record.

    evaluation = evaluate(logits, labels, label_names=LABELS, split="public", model="small-int8", data="fer2013")
    evaluation.accuracy.share, evaluation.accuracy.interval
    evaluation.to_json()

An Evaluation stores counts and derives every score from them. An undefined score, such as the precision of a class
that was never predicted, is None, or null in JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.split_names import split_of_data, split_phrase, split_title
from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.statistics import cross_entropy, wilson_interval

__all__ = ["Accuracy", "ClassScore", "Evaluation", "evaluate"]

KIND = "evaluation"
SCHEMA_VERSION = 1
MAX_IMAGES = 2**53
# Value of ``data`` for generated faces.
SYNTHETIC_DATA = "synthetic"


@dataclass(frozen=True)
class Accuracy:
    """Number of correctly labeled images.

    Attributes:
        correct: correctly labeled images.
        n: all images.
    """

    correct: int
    n: int

    @property
    def share(self) -> float | None:
        """Accuracy in 0..1; None without images."""
        return self.correct / self.n if self.n else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % confidence interval, in 0..1; None without images."""
        return wilson_interval(self.correct, self.n) if self.n else None

    def to_json(self) -> dict[str, Any]:
        """Return counts, share and interval; from_json() is the inverse."""
        interval = list(self.interval) if self.interval else None
        return {"correct": self.correct, "n": self.n, "share": self.share, "interval_95": interval}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Accuracy:
        """Read what to_json() returned; share and interval are derived from the counts.

        Raises:
            DataError: a count is missing or invalid, or ``correct`` is above ``n``.
        """
        record = schema.Fields(fields)
        n = record.count("n")
        return cls(record.integer("correct", low=0, high=n), n)


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class.

    Attributes:
        label: name of the class.
        n: images with this label.
        predicted: images with this prediction.
        precision: correct share of ``predicted``, in 0..1; None if that is 0.
        recall: correct share of ``n``, in 0..1; None if that is 0.
        f1: 2 * true positives / (n + predicted); None if both are 0.
    """

    label: str
    n: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Scores of one model on one split.

    Attributes:
        model: name of the model; ``subject`` identifies it.
        data: name of the data set.
        split: name of the split.
        label_names: class names, in the order of the confusion matrix.
        confusion: int64 (classes, classes) counts of images; rows are labels, columns are predictions.
        cross_entropy: mean of -log softmax at the label, in nats, of the logits without a temperature.
        deduplicated: accuracy without images whose pixels also occur in Training; None if this is unknown.
        subject: JSON-compatible facts that identify the model: sha256, size_bytes, scheme, system and others.
    """

    model: str
    data: str
    split: str
    label_names: tuple[str, ...]
    confusion: npt.NDArray[np.int64]
    cross_entropy: float
    deduplicated: Accuracy | None = None
    subject: Mapping[str, Any] = field(default_factory=dict)

    @property
    def split_name(self) -> str:
        """Name of the split in texts, such as "validation"; synthetic faces are marked, see split_title()."""
        return f"{split_title(self.split, data=self.data)}{self._mark}"

    @property
    def split_phrase(self) -> str:
        """Name of the split as a noun, such as "the validation split"; synthetic faces are marked."""
        return f"{split_phrase(self.split, data=self.data)}{self._mark}"

    @property
    def images_name(self) -> str:
        """Split and data set, such as "validation split of AffectNet"."""
        return split_of_data(self.split, data=self.data)

    @property
    def _mark(self) -> str:
        # Scores of synthetic faces do not apply to photographs.
        return f" ({SYNTHETIC_DATA})" if self.data == SYNTHETIC_DATA else ""

    @property
    def n(self) -> int:
        """Number of images."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> Accuracy:
        """Accuracy over all images."""
        return Accuracy(int(np.trace(self.confusion)), self.n)

    @property
    def per_class(self) -> tuple[ClassScore, ...]:
        """Scores of each class, in the order of label_names."""
        return tuple(self._class_score(index) for index in range(len(self.label_names)))

    @property
    def macro_f1(self) -> float:
        """Unweighted mean F1 over the classes that have one, in 0..1."""
        return float(np.mean([score.f1 for score in self.per_class if score.f1 is not None]))

    @property
    def confusion_shares(self) -> npt.NDArray[np.float64]:
        """Confusion matrix with rows that sum to 1, float64 (classes, classes); NaN in a row without images."""
        totals = self.confusion.sum(axis=1, keepdims=True)
        shares = np.full(self.confusion.shape, np.nan)
        np.divide(self.confusion, totals, out=shares, where=totals > 0)
        return shares

    def to_json(self) -> dict[str, Any]:
        """Return counts and scores as JSON-compatible values; from_json() is the inverse."""
        shares = self.confusion_shares
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            "subject": dict(self.subject),
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "n": self.n,
            "accuracy": self.accuracy.to_json(),
            "accuracy_unseen_in_training": self.deduplicated.to_json() if self.deduplicated else None,
            "macro_f1": self.macro_f1,
            "cross_entropy_nats": self.cross_entropy,
            "per_class": [vars(score).copy() for score in self.per_class],
            "label_names": list(self.label_names),
            "confusion": self.confusion.tolist(),
            "confusion_shares": [None if np.isnan(row).any() else row.tolist() for row in shares],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Evaluation:
        """Read what to_json() returned; scores are derived from the counts.

        Raises:
            DataError: not an evaluation, or a field is missing or invalid.
            IncompatibleError: a later schema version.
        """
        record = schema.read(fields, KIND, SCHEMA_VERSION)
        label_names = record.texts("label_names")
        return cls(
            model=record.text("model"),
            data=record.text("data"),
            split=record.text("split"),
            label_names=label_names,
            confusion=_read_confusion(record, classes=len(label_names)),
            cross_entropy=record.number("cross_entropy_nats"),
            deduplicated=record.optional(
                lambda key: Accuracy.from_json(record.object(key)), "accuracy_unseen_in_training"
            ),
            subject=schema.read_subject(record),
        )

    def _class_score(self, index: int) -> ClassScore:
        correct = int(self.confusion[index, index])
        count, predicted = int(self.confusion[index].sum()), int(self.confusion[:, index].sum())
        return ClassScore(
            label=self.label_names[index],
            n=count,
            predicted=predicted,
            precision=correct / predicted if predicted else None,
            recall=correct / count if count else None,
            f1=2 * correct / (count + predicted) if count + predicted else None,
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
    """Score the logits of a model.

    Args:
        logits: float (n, classes), n >= 1.
        labels: integers (n,) in 0..classes-1.
        label_names: names of the classes.
        split: name of the split.
        model: name of the model.
        data: name of the data set.
        seen_in_training: bool (n,), True for images whose pixels also occur in Training; None if this is unknown.
        subject: JSON-compatible facts that identify the model.

    Raises:
        DataError: shapes that do not match, no image, a label out of range, or logits that are not finite.
    """
    _check(logits, labels, classes=len(label_names), seen_in_training=seen_in_training)
    classes = len(label_names)
    predictions = logits.argmax(axis=1)
    confusion = np.bincount(labels.astype(np.int64) * classes + predictions, minlength=classes * classes)
    deduplicated = None
    if seen_in_training is not None:
        correct = (predictions == labels)[~seen_in_training]
        deduplicated = Accuracy(int(correct.sum()), len(correct))
    return Evaluation(
        model=model,
        data=data,
        split=split,
        label_names=tuple(label_names),
        confusion=confusion.reshape(classes, classes).astype(np.int64),
        cross_entropy=cross_entropy(logits.astype(np.float64), labels),
        deduplicated=deduplicated,
        subject=dict(subject or {}),
    )


def _check(
    logits: npt.NDArray[Any], labels: npt.NDArray[Any], *, classes: int, seen_in_training: npt.NDArray[np.bool_] | None
) -> None:
    if logits.shape != (len(labels), classes) or len(labels) == 0:
        raise DataError(f"logits of shape {logits.shape}", why=f"expected ({len(labels)}, {classes}), with n >= 1")
    if labels.min() < 0 or labels.max() >= classes:
        raise DataError(f"labels in {labels.min()}..{labels.max()}", why=f"expected 0..{classes - 1}")
    if not np.isfinite(logits).all():
        images = int((~np.isfinite(logits)).any(axis=1).sum())
        raise DataError(f"logits of {images:,} of {len(labels):,} images are not finite", why="expected finite numbers")
    if seen_in_training is not None and (seen_in_training.shape != labels.shape or seen_in_training.dtype != np.bool_):
        raise DataError(
            f"seen_in_training has shape {seen_in_training.shape} and dtype {seen_in_training.dtype}",
            why=f"expected bool {labels.shape}",
        )


def _read_confusion(record: schema.Fields, *, classes: int) -> npt.NDArray[np.int64]:
    """Read the confusion matrix, int64 (classes, classes)."""
    expected = f"{classes} rows of {classes} counts, at least one above 0"
    rows = record.items_of("confusion")
    if len(rows) != classes or not all(isinstance(row, list) and len(row) == classes for row in rows):
        raise record.invalid("confusion", expected)
    counts = [count for row in rows for count in row]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        raise record.invalid("confusion", expected)
    if not 0 < sum(counts) <= MAX_IMAGES:
        raise record.invalid("confusion", f"{expected}, {MAX_IMAGES} images at most")
    return np.array(rows, np.int64).reshape(classes, classes)
