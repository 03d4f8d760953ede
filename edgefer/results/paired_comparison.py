"""Compare two models on the same images, for example an int8 model with its float network.

    comparison = compare(float_logits, int8_logits, labels, label_names=LABELS)
    comparison.difference_points, comparison.interval_points, comparison.p_value, comparison.agreement
    for change in label_changes(float_logits, int8_logits, labels): ...

Only images that exactly one model labels correctly contribute to the difference. It is therefore known more precisely
than either accuracy. A difference is significant if McNemar's p is below 0.05. A low agreement means that many labels
changed, even if gains and losses cancel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.statistics import calibration_error, mcnemar_p, softmax, wilson_interval

__all__ = ["ClassDelta", "LabelChange", "PairedComparison", "compare", "label_changes", "paired_interval"]

# Attributes whose JSON key differs from their name.
JSON_KEYS = {
    "float_correct": "parent_correct",
    "quantized_correct": "own_correct",
    "only_float": "only_parent_correct",
    "only_quantized": "only_own_correct",
    "float_ece": "parent_ece",
    "quantized_ece": "own_ece",
}
CLASS_JSON_KEYS = {
    "float_correct": "parent_correct",
    "quantized_correct": "own_correct",
    "only_float": "only_parent",
    "only_quantized": "only_own",
}

Logits = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ClassDelta:
    """Numbers of correctly labeled images of one class, by the float and by the quantized model.

    Attributes:
        label: name of the class.
        n: images of the class.
        float_correct, quantized_correct: images that each model labels correctly.
        only_float, only_quantized: images that exactly this model labels correctly; None in records that predate them.
    """

    label: str
    n: int
    float_correct: int
    quantized_correct: int
    only_float: int | None = None
    only_quantized: int | None = None

    @property
    def delta_points(self) -> float | None:
        """Change of the recall in percentage points; negative for a loss, None without images."""
        return 100 * (self.quantized_correct - self.float_correct) / self.n if self.n else None

    @property
    def interval_points(self) -> tuple[float, float] | None:
        """95 % confidence interval of delta_points; None without images.

        The interval for matched pairs of paired_interval(). Without ``only_float`` and ``only_quantized``, the wider
        interval for independent samples (Newcombe, "Interval estimation for the difference between independent
        proportions", Statistics in Medicine 1998, method 10).
        """
        if not self.n:
            return None
        if self.only_float is None or self.only_quantized is None:
            return _unpaired_interval(self.float_correct, self.quantized_correct, self.n)
        return paired_interval(self.only_float, self.only_quantized, self.n)

    def to_json(self) -> dict[str, Any]:
        """Return the counts and the change as JSON-compatible values; from_json() is the inverse."""
        counts = {CLASS_JSON_KEYS.get(name, name): value for name, value in vars(self).items()}
        return {**counts, "delta_points": self.delta_points}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> ClassDelta:
        """Read what to_json() returned.

        Raises:
            DataError: a count is missing, invalid, or above the number of images.
        """
        record = schema.Fields(fields)
        n = record.count("n")

        def count(key: str) -> int:
            return record.integer(key, low=0, high=n)

        keys = CLASS_JSON_KEYS
        return cls(
            label=record.text("label"),
            n=n,
            float_correct=count(keys["float_correct"]),
            quantized_correct=count(keys["quantized_correct"]),
            only_float=record.optional(count, keys["only_float"]),
            only_quantized=record.optional(count, keys["only_quantized"]),
        )


@dataclass(frozen=True)
class PairedComparison:
    """Comparison of a quantized model with its float network on the same images.

    Attributes:
        n: number of images.
        float_correct, quantized_correct: images that each model labels correctly.
        only_float, only_quantized: images that exactly this model labels correctly.
        agreement: share of images with the same label from both models, correct or not, in 0..1.
        interval_points: 95 % confidence interval of the difference by paired_interval(); records of earlier versions
            have a bootstrap interval, which is too narrow with few discordant images.
        float_ece, quantized_ece: expected calibration errors, in 0..1, both without a temperature, so that they show
            the effect of quantization alone.
        per_class: one entry per class.
    """

    n: int
    float_correct: int
    quantized_correct: int
    only_float: int
    only_quantized: int
    agreement: float
    interval_points: tuple[float, float]
    float_ece: float
    quantized_ece: float
    per_class: tuple[ClassDelta, ...]

    @property
    def difference_points(self) -> float:
        """Change of the accuracy in percentage points; negative for a loss."""
        return 100 * (self.quantized_correct - self.float_correct) / self.n

    @property
    def p_value(self) -> float:
        """McNemar's two-sided p: the probability of a difference at least this large by chance."""
        return mcnemar_p(self.only_float, self.only_quantized)

    def to_json(self) -> dict[str, Any]:
        """Return counts and scores as JSON-compatible values; from_json() is the inverse."""
        keys = JSON_KEYS
        return {
            "n": self.n,
            keys["float_correct"]: self.float_correct,
            keys["quantized_correct"]: self.quantized_correct,
            keys["only_float"]: self.only_float,
            keys["only_quantized"]: self.only_quantized,
            "difference_points": self.difference_points,
            "difference_interval_95_points": list(self.interval_points),
            "mcnemar_p": self.p_value,
            "agreement": self.agreement,
            keys["float_ece"]: self.float_ece,
            keys["quantized_ece"]: self.quantized_ece,
            "per_class": [delta.to_json() for delta in self.per_class],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PairedComparison:
        """Read what to_json() returned; difference and p are derived from the counts.

        Raises:
            DataError: a field is missing or invalid, or a count is above the number of images.
        """
        record, keys = schema.Fields(fields), JSON_KEYS
        n = record.integer("n", low=1)

        def count(name: str) -> int:
            return record.integer(keys[name], low=0, high=n)

        comparison = cls(
            n=n,
            float_correct=count("float_correct"),
            quantized_correct=count("quantized_correct"),
            only_float=count("only_float"),
            only_quantized=count("only_quantized"),
            agreement=record.share("agreement"),
            interval_points=record.interval("difference_interval_95_points"),
            float_ece=record.share(keys["float_ece"]),
            quantized_ece=record.share(keys["quantized_ece"]),
            per_class=tuple(map(ClassDelta.from_json, record.objects("per_class"))),
        )
        if comparison.only_float + comparison.only_quantized > n:
            raise record.invalid(keys["only_quantized"], f"at most {n} images with {keys['only_float']}")
        return comparison


@dataclass(frozen=True)
class LabelChange:
    """One image to which the two models give different labels.

    Attributes:
        index: position among the images.
        label: position of the true class.
        float_label, quantized_label: positions of the classes that the models predict.
        float_probability, quantized_probability: probability of each model's own prediction, in 0..1, both with the
            same temperature.
    """

    index: int
    label: int
    float_label: int
    quantized_label: int
    float_probability: float
    quantized_probability: float


def paired_interval(only_first: int, only_second: int, n: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of the difference between two accuracies on the same images, in points.

    The adjusted Wald interval for matched pairs, which adds 0.5 to each of the four counts (Agresti and Min, "Simple
    improved confidence intervals for comparing matched proportions", Statistics in Medicine 2005).

    Args:
        only_first, only_second: images that exactly this model labels correctly.
        n: number of images, >= 1.
    """
    gained, count = only_second - only_first, n + 2
    half = NormalDist().inv_cdf(0.975) * math.sqrt(only_second + only_first + 1 - gained**2 / count)
    return max(-100.0, 100 * (gained - half) / count), min(100.0, 100 * (gained + half) / count)


def compare(
    float_logits: Logits, quantized_logits: Logits, labels: npt.NDArray[np.integer[Any]], *, label_names: Sequence[str]
) -> PairedComparison:
    """Compare the logits of two models on the same images.

    Args:
        float_logits: float (n, classes), n >= 1.
        quantized_logits: float (n, classes).
        labels: integers (n,) in 0..classes-1.
        label_names: names of the classes.

    Raises:
        DataError: shapes that do not match, or no image.
    """
    _check(float_logits, quantized_logits, labels)
    float_labels, quantized_labels = float_logits.argmax(axis=1), quantized_logits.argmax(axis=1)
    float_hits, quantized_hits = float_labels == labels, quantized_labels == labels
    only_float, only_quantized = _count_exclusive(float_hits, quantized_hits)
    return PairedComparison(
        n=len(labels),
        float_correct=int(float_hits.sum()),
        quantized_correct=int(quantized_hits.sum()),
        only_float=only_float,
        only_quantized=only_quantized,
        agreement=float((float_labels == quantized_labels).mean()),
        interval_points=paired_interval(only_float, only_quantized, len(labels)),
        float_ece=calibration_error(softmax(float_logits.astype(np.float64)), labels),
        quantized_ece=calibration_error(softmax(quantized_logits.astype(np.float64)), labels),
        per_class=tuple(
            _class_delta(name, float_hits[labels == index], quantized_hits[labels == index])
            for index, name in enumerate(label_names)
        ),
    )


def label_changes(
    float_logits: Logits,
    quantized_logits: Logits,
    labels: npt.NDArray[np.integer[Any]],
    *,
    temperature: float = 1.0,
) -> list[LabelChange]:
    """Return the images whose label changes, in descending order of the lower of the two probabilities.

    Args:
        float_logits, quantized_logits: float (n, classes), n >= 1.
        labels: integers (n,) in 0..classes-1.
        temperature: divisor of the logits of both models. Probabilities at two temperatures would not be comparable.

    Raises:
        DataError: shapes that do not match, or no image.
    """
    _check(float_logits, quantized_logits, labels)
    before = softmax(float_logits.astype(np.float64), temperature=temperature)
    after = softmax(quantized_logits.astype(np.float64), temperature=temperature)
    float_labels, quantized_labels = float_logits.argmax(axis=1), quantized_logits.argmax(axis=1)
    changes = [
        LabelChange(
            index=int(index),
            label=int(labels[index]),
            float_label=int(float_labels[index]),
            quantized_label=int(quantized_labels[index]),
            float_probability=float(before[index].max()),
            quantized_probability=float(after[index].max()),
        )
        for index in np.flatnonzero(float_labels != quantized_labels)
    ]
    return sorted(changes, key=lambda change: -min(change.float_probability, change.quantized_probability))


def _class_delta(name: str, float_hits: npt.NDArray[np.bool_], quantized_hits: npt.NDArray[np.bool_]) -> ClassDelta:
    only_float, only_quantized = _count_exclusive(float_hits, quantized_hits)
    return ClassDelta(
        name, len(float_hits), int(float_hits.sum()), int(quantized_hits.sum()), only_float, only_quantized
    )


def _count_exclusive(float_hits: npt.NDArray[np.bool_], quantized_hits: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Count the images that only the float model and only the quantized model labels correctly."""
    return int((float_hits & ~quantized_hits).sum()), int((quantized_hits & ~float_hits).sum())


def _unpaired_interval(float_correct: int, quantized_correct: int, n: int) -> tuple[float, float]:
    before, after = float_correct / n, quantized_correct / n
    before_low, before_high = wilson_interval(float_correct, n)
    after_low, after_high = wilson_interval(quantized_correct, n)
    low = after - before - math.hypot(after - after_low, before_high - before)
    high = after - before + math.hypot(after_high - after, before - before_low)
    return 100 * low, 100 * high


def _check(float_logits: Logits, quantized_logits: Logits, labels: npt.NDArray[Any]) -> None:
    shape = float_logits.shape
    if shape != quantized_logits.shape or len(shape) != 2 or shape[0] != len(labels) or len(labels) == 0:
        raise DataError(
            f"logits of shapes {shape} and {quantized_logits.shape} for {len(labels)} labels",
            why="expected (n, classes) twice, n >= 1",
        )
