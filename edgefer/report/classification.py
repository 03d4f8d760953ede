"""The classification report: scores per class, their averages, and accuracy with its interval.

    report_rows(evaluation)                         # for a csv file, under REPORT_COLUMNS
    report_text(evaluation)
"""

from __future__ import annotations

from dataclasses import dataclass

from edgefer.evaluation import Accuracy, ClassScore, Evaluation
from edgefer.report.text import describe, points
from edgefer.result import percent, table

__all__ = ["REPORT_COLUMNS", "Average", "macro_average", "report_rows", "report_text", "weighted_average"]

REPORT_COLUMNS = ("class", "n", "precision", "recall", "f1", "accuracy", "low_95", "high_95")
NOTE = "-: undefined, as nothing was predicted so or has that label; the averages are over the other classes."


@dataclass(frozen=True)
class Average:
    """The scores of all classes in one; in 0..1, None where no class has the score.

    A class without a score is left out of its average, and not counted as zero.
    """

    precision: float | None
    recall: float | None
    f1: float | None


def macro_average(evaluation: Evaluation) -> Average:
    """Each class counts the same."""
    return _average(evaluation, [1] * len(evaluation.label_names))


def weighted_average(evaluation: Evaluation) -> Average:
    """Each class counts as often as it has images."""
    return _average(evaluation, [score.n for score in evaluation.per_class])


def report_rows(evaluation: Evaluation) -> list[list[object]]:
    """Rows under REPORT_COLUMNS: classes, macro and weighted average, accuracies; None where a column says nothing."""
    rows: list[list[object]] = [
        [name, n, each.precision, each.recall, each.f1, None, None, None] for name, n, each in _scored(evaluation)
    ]
    for name, accuracy in _accuracies(evaluation):
        rows.append([name, accuracy.n, None, None, None, accuracy.share, *(accuracy.interval or (None, None))])
    return rows


def report_text(evaluation: Evaluation) -> str:
    """The same for people."""
    scored = _scored(evaluation)
    rows = [[name, n, percent(each.precision), percent(each.recall), percent(each.f1)] for name, n, each in scored]
    lines = [f"{evaluation.model} on {evaluation.data}, with 95 % intervals", describe(evaluation)]
    lines += [f"{name}: {points(accuracy)} of {accuracy.n:,}" for name, accuracy in _accuracies(evaluation)[1:]]
    parts = ["\n".join(lines), table(["class", "n", "precision", "recall", "F1"], rows)]
    if any(None in (each.precision, each.recall, each.f1) for _, _, each in scored):
        parts.append(NOTE)
    return "\n\n".join(parts)


def _scored(evaluation: Evaluation) -> list[tuple[str, int, ClassScore | Average]]:
    """(name, images, scores) of each class, then of the averages."""
    classes = [(score.label, score.n, score) for score in evaluation.per_class]
    averages = {"macro average": macro_average(evaluation), "weighted average": weighted_average(evaluation)}
    return [*classes, *((name, evaluation.n, average) for name, average in averages.items())]


def _accuracies(evaluation: Evaluation) -> list[tuple[str, Accuracy]]:
    named = [("accuracy", evaluation.accuracy), ("accuracy without twins in Training", evaluation.unseen)]
    return [(name, accuracy) for name, accuracy in named if accuracy is not None]


def _average(evaluation: Evaluation, weights: list[int]) -> Average:
    def mean(values: list[float | None]) -> float | None:
        counted = [(value, weight) for value, weight in zip(values, weights) if value is not None]
        total = sum(weight for _, weight in counted)
        return sum(value * weight for value, weight in counted) / total if total else None

    scores = evaluation.per_class
    return Average(
        precision=mean([score.precision for score in scores]),
        recall=mean([score.recall for score in scores]),
        f1=mean([score.f1 for score in scores]),
    )
