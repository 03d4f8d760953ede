"""Spread of a model's accuracy over disjoint calibration sets.

    stability.accuracies, stability.std_points, stability.agreement
    stability.to_json()                             # the "stability" entry of a quantization record

Two models whose accuracies differ by less than this spread cannot be ranked.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.results import schema

__all__ = ["CalibrationStability", "pairwise_agreement"]


@dataclass(frozen=True)
class CalibrationStability:
    """Accuracies of models that differ only in their calibration faces, on the same images.

    Attributes:
        size: faces in each calibration set.
        split: name of the scored split.
        n: images in that split.
        correct: correctly labeled images, one count per model.
        agreement: share of images that two models label alike, averaged over all pairs, in 0..1.
    """

    size: int
    split: str
    n: int
    correct: tuple[int, ...]
    agreement: float

    @property
    def accuracies(self) -> list[float]:
        """Accuracy of each model, in 0..1."""
        return [correct / self.n for correct in self.correct]

    @property
    def std_points(self) -> float:
        """Sample standard deviation of the accuracies, in percentage points."""
        return float(100 * np.std(self.accuracies, ddof=1))

    def to_json(self) -> dict[str, Any]:
        """Return plain values; from_json() is the inverse."""
        return {
            "sets": len(self.correct),
            "size": self.size,
            "split": self.split,
            "n": self.n,
            "accuracies": self.accuracies,
            "min": min(self.accuracies),
            "max": max(self.accuracies),
            "std_points": self.std_points,
            "mean_agreement": self.agreement,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> CalibrationStability:
        """Read what to_json() returned.

        Raises:
            DataError: a field is missing or has another type.
        """
        record = schema.Fields(fields)
        n = record.integer("n", low=1)
        accuracies = record.numbers("accuracies")
        if len(accuracies) < 2 or not all(0 <= accuracy <= 1 for accuracy in accuracies):
            raise record.invalid("accuracies", "at least two numbers in 0..1")
        return cls(
            size=record.count("size"),
            split=record.text("split"),
            n=n,
            correct=tuple(round(accuracy * n) for accuracy in accuracies),
            agreement=record.share("mean_agreement"),
        )


def pairwise_agreement(labels: Sequence[npt.NDArray[np.intp]]) -> float:
    """Return the share of images that two models label alike, averaged over all pairs of models.

    Args:
        labels: one int array (n,) of predicted labels per model, for the same n images; at least two models.
    """
    return float(np.mean([(first == second).mean() for first, second in itertools.combinations(labels, 2)]))
