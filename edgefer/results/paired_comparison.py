"""Compare two models on the same images, for example an int8 model with its float network.

    comparison = compare(float_logits, int8_logits, labels, label_names=LABELS)
    comparison.difference_points, comparison.interval_points, comparison.p_value, comparison.agreement
    for change in label_changes(float_logits, int8_logits, labels): ...

Only images that exactly one model labels correctly contribute to the difference. It is therefore known more precisely
than either accuracy. A difference whose interval contains zero is not significant. A low agreement means that many
labels changed, even if gains and losses cancel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError
from edgefer.results import schema
from edgefer.statistics import calibration_error, softmax, wilson_interval

__all__ = ["ClassDelta", "LabelChange", "PairedComparison", "compare", "label_changes"]

RESAMPLES = 10_000

Logits = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class ClassDelta:
    """How many images of one class are right before and after.

    Attributes:
        label: the name of the class.
        n: how many images have it.
        parent_correct, own_correct: how many of them each got right.
        only_parent, only_own: how many exactly that one got right; None in old records.
    """

    label: str
    n: int
    parent_correct: int
    own_correct: int
    only_parent: int | None = None
    only_own: int | None = None

    @property
    def delta_points(self) -> float | None:
        """Recall gained, in percentage points; negative where it was lost, None where the class has no image."""
        return 100 * (self.own_correct - self.parent_correct) / self.n if self.n else None

    @property
    def interval_points(self) -> tuple[float, float] | None:
        """Where delta_points lies with 95 % confidence; None where the class has no image.

        Of the images that changed: the adjusted Wald interval for matched pairs (Agresti and Min, "Simple improved
        confidence intervals for comparing matched proportions", Statistics in Medicine 2005). Old records do not say
        which changed, and get the interval for two separate sets of images, which is wider (Newcombe, "Interval
        estimation for the difference between independent proportions", Statistics in Medicine 1998, method 10).
        """
        if not self.n:
            return None
        if self.only_parent is None or self.only_own is None:
            return _unpaired_interval(self.parent_correct, self.own_correct, self.n)
        gained, count = self.only_own - self.only_parent, self.n + 2
        variance = self.only_own + self.only_parent + 1 - gained**2 / count
        half = NormalDist().inv_cdf(0.975) * math.sqrt(variance)
        return max(-100.0, 100 * (gained - half) / count), min(100.0, 100 * (gained + half) / count)


@dataclass(frozen=True)
class PairedComparison:
    """A model against its parent on the same images.

    Attributes:
        n: how many images.
        parent_correct, own_correct: how many each got right.
        only_parent, only_own: how many exactly that one got right.
        agreement: share of the images that get the same label from both, right or wrong.
        interval_points: where the difference lies with 95 % confidence, by bootstrap over the images.
        parent_ece, own_ece: expected calibration error, in 0..1, of both without a temperature: so they say what the
            change did to the confidence, and not what a temperature mended.
        per_class: one entry a class.
    """

    n: int
    parent_correct: int
    own_correct: int
    only_parent: int
    only_own: int
    agreement: float
    interval_points: tuple[float, float]
    parent_ece: float
    own_ece: float
    per_class: tuple[ClassDelta, ...]

    @property
    def difference_points(self) -> float:
        """Accuracy gained, in percentage points; negative where it was lost."""
        return 100 * (self.own_correct - self.parent_correct) / self.n

    @property
    def p_value(self) -> float:
        """McNemar's exact two-sided p: how often chance alone gives a difference like this one.

        McNemar, "Note on the sampling error of the difference between correlated proportions", Psychometrika 1947; the
        exact form is the binomial test on the images that only one of the two got right.
        """
        trials, fewer = self.only_parent + self.only_own, min(self.only_parent, self.only_own)
        if not trials:
            return 1.0
        # Whole numbers throughout: 2 ** trials leaves the range of floats at 1,024 changed images.
        tail = sum(math.comb(trials, count) for count in range(fewer + 1))
        return float(min(Fraction(1), Fraction(2 * tail, 2**trials)))

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values."""
        return {
            "n": self.n,
            "parent_correct": self.parent_correct,
            "own_correct": self.own_correct,
            "only_parent_correct": self.only_parent,
            "only_own_correct": self.only_own,
            "difference_points": self.difference_points,
            "difference_interval_95_points": list(self.interval_points),
            "mcnemar_p": self.p_value,
            "agreement": self.agreement,
            "parent_ece": self.parent_ece,
            "own_ece": self.own_ece,
            "per_class": [{**vars(delta), "delta_points": delta.delta_points} for delta in self.per_class],
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> PairedComparison:
        """The inverse of to_json(); difference and p are derived again.

        Raises:
            DataError: a field is missing, or counts that cannot be.
        """
        counts = ("n", "parent_correct", "own_correct", "only_parent_correct", "only_own_correct")
        number = (int, float)
        schema.require(
            fields, **dict.fromkeys(counts, int), difference_interval_95_points=list, agreement=number,
            parent_ece=number, own_ece=number, per_class=list,
        )  # fmt: skip
        low, high = map(float, fields["difference_interval_95_points"])
        for each in fields["per_class"]:
            schema.require(each, label=str, n=int, parent_correct=int, own_correct=int)
            changed = {name: each[name] for name in ("only_parent", "only_own") if each.get(name) is not None}
            schema.require(changed, **dict.fromkeys(changed, int))
            if not all(0 <= count <= each["n"] for count in changed.values()):
                raise DataError(f"a class of {each['n']} images of which {changed} changed", why="that cannot be")
        names = [each.name for each in dataclasses.fields(ClassDelta)]
        classes = [ClassDelta(**{name: each[name] for name in names if name in each}) for each in fields["per_class"]]
        n, parent, own, only_parent, only_own = (fields[name] for name in counts)
        if n < 1 or not all(0 <= each <= n for each in (parent, own, only_parent, only_own)):
            raise DataError(f"a verdict of {parent} and {own} right in {n}", why="that cannot be")
        scores = (fields["agreement"], (low, high), fields["parent_ece"], fields["own_ece"])
        return cls(n, parent, own, only_parent, only_own, *scores, tuple(classes))


@dataclass(frozen=True)
class LabelChange:
    """One image that gets another label than before.

    Attributes:
        index: its position among the images.
        label: what it is. parent, own: what each says. All three are class positions.
        parent_probability, own_probability: what each gives its own answer, in 0..1, at one temperature for both.
    """

    index: int
    label: int
    parent: int
    own: int
    parent_probability: float
    own_probability: float


def compare(
    parent: Logits, own: Logits, labels: npt.NDArray[np.integer[Any]], *, label_names: Sequence[str]
) -> PairedComparison:
    """Compare the float (n, classes) logits of two models on the images with ``labels``, integers (n,).

    Raises:
        DataError: shapes that do not fit each other, or no image.
    """
    _check(parent, own, labels)
    parent_right, own_right = parent.argmax(axis=1) == labels, own.argmax(axis=1) == labels
    only_parent, only_own = int((parent_right & ~own_right).sum()), int((own_right & ~parent_right).sum())
    return PairedComparison(
        n=len(labels),
        parent_correct=int(parent_right.sum()),
        own_correct=int(own_right.sum()),
        only_parent=only_parent,
        only_own=only_own,
        agreement=float((parent.argmax(axis=1) == own.argmax(axis=1)).mean()),
        interval_points=_difference_interval(only_parent, only_own, len(labels)),
        parent_ece=calibration_error(softmax(parent.astype(np.float64)), labels),
        own_ece=calibration_error(softmax(own.astype(np.float64)), labels),
        per_class=tuple(
            _class_delta(name, parent_right[labels == index], own_right[labels == index])
            for index, name in enumerate(label_names)
        ),
    )


def label_changes(
    parent: Logits, own: Logits, labels: npt.NDArray[np.integer[Any]], *, temperature: float = 1.0
) -> list[LabelChange]:
    """The images whose label changes, those that both models were surest of first.

    Both get the ``temperature`` of the model that changed: it mends what is wrong with the confidence of both, and at
    different ones their probabilities could not be compared.
    """
    _check(parent, own, labels)
    before, after = (softmax(each.astype(np.float64), temperature=temperature) for each in (parent, own))
    was, now = parent.argmax(axis=1), own.argmax(axis=1)
    changed = np.flatnonzero(was != now)
    found = [
        LabelChange(
            index=int(index),
            label=int(labels[index]),
            parent=int(was[index]),
            own=int(now[index]),
            parent_probability=float(before[index].max()),
            own_probability=float(after[index].max()),
        )
        for index in changed
    ]
    return sorted(found, key=lambda flip: -min(flip.parent_probability, flip.own_probability))


def _class_delta(name: str, parent_right: npt.NDArray[np.bool_], own_right: npt.NDArray[np.bool_]) -> ClassDelta:
    only_parent, only_own = int((parent_right & ~own_right).sum()), int((own_right & ~parent_right).sum())
    return ClassDelta(
        name, len(parent_right), int(parent_right.sum()), int(own_right.sum()), only_parent, only_own
    )


def _unpaired_interval(parent_correct: int, own_correct: int, n: int) -> tuple[float, float]:
    before, now = parent_correct / n, own_correct / n
    (parent_low, parent_high), (own_low, own_high) = wilson_interval(parent_correct, n), wilson_interval(own_correct, n)
    low = now - before - math.hypot(now - own_low, parent_high - before)
    high = now - before + math.hypot(own_high - now, before - parent_low)
    return 100 * low, 100 * high


def _difference_interval(only_parent: int, only_own: int, n: int) -> tuple[float, float]:
    """Percentile bootstrap of the difference in points.

    Resampling n images with replacement and counting the two kinds that differ is a draw from a multinomial, so the
    images themselves are not needed.
    """
    shares = [only_parent / n, only_own / n, (n - only_parent - only_own) / n]
    draws = np.random.default_rng(0).multinomial(n, shares, size=RESAMPLES)
    low, high = np.percentile(100 * (draws[:, 1] - draws[:, 0]) / n, [2.5, 97.5])
    return float(low), float(high)


def _check(parent: Logits, own: Logits, labels: npt.NDArray[Any]) -> None:
    if parent.shape != own.shape or parent.ndim != 2 or len(parent) != len(labels) or len(labels) == 0:
        raise DataError(
            f"logits of shapes {parent.shape} and {own.shape} for {len(labels)} labels",
            why="(n, classes) twice, n >= 1",
        )
