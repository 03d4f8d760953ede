"""Render an Evaluation as text for a terminal: a summary, a classification report and confusion matrices.

    describe(evaluation)                            # "PublicTest accuracy 63.89 % (62.31 to 65.45) of 3,589 images"
    evaluation_text(evaluation)                     # accuracy, scores per class, confusion matrices
    report_text(evaluation)                         # scores per class and their averages
    report_rows(evaluation)                         # the same for a CSV file, under REPORT_COLUMNS
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.data.naming import counted
from edgefer.escaping import printable
from edgefer.results.evaluation import Accuracy, ClassScore, Evaluation
from edgefer.text_table import percent, table

__all__ = [
    "REPORT_COLUMNS", "Average", "accuracy_text", "describe", "evaluation_text", "macro_average", "report_rows",
    "report_text", "weighted_average",
]  # fmt: skip

CLASS_HEADERS = ("class", "n", "precision", "recall", "F1")
REPORT_COLUMNS = ("class", "n", "precision", "recall", "f1", "accuracy", "low_95", "high_95")
UNDEFINED_NOTE = "-: undefined, because no image has or gets that label; averages exclude such classes."


@dataclass(frozen=True)
class Average:
    """Average scores over the classes, each in 0..1 or None where no class has the score.

    A class without a score is excluded from the average instead of counting as zero.
    """

    precision: float | None
    recall: float | None
    f1: float | None


def accuracy_text(accuracy: Accuracy | None) -> str | None:
    """Format an accuracy with its 95 % interval in percent: "63.89 % (62.31 to 65.45)"."""
    if accuracy is None or accuracy.share is None or accuracy.interval is None:
        return None
    low, high = accuracy.interval
    return f"{percent(accuracy.share)} ({100 * low:.2f} to {100 * high:.2f})"


def describe(evaluation: Evaluation) -> str:
    """Summarize an evaluation in one clause that names the split."""
    accuracy = accuracy_text(evaluation.accuracy)
    return printable(f"{evaluation.split_name} accuracy {accuracy} of {counted(evaluation.n, 'image')}", kept="")


def evaluation_text(evaluation: Evaluation) -> str:
    """Render accuracy, scores per class, and the confusion matrix as counts and as shares of each row."""
    names = evaluation.label_names
    lines = _summary(evaluation)
    lines.append(f"macro-F1 {percent(evaluation.macro_f1)}, cross-entropy {evaluation.cross_entropy:.3f} nats")
    scores = _score_rows([(score.label, score.n, score) for score in evaluation.per_class])
    counts = [[name, *row] for name, row in zip(names, evaluation.confusion.tolist())]
    shares = [
        [name, *("-" if value != value else f"{100 * value:.1f}" for value in row)]
        for name, row in zip(names, evaluation.confusion_shares.tolist())
    ]
    return "\n\n".join(
        [
            "\n".join(lines),
            table(CLASS_HEADERS, scores),
            table(["label \\ predicted", *names], counts),
            table(["% of row", *names], shares),
        ]
    )


def report_text(evaluation: Evaluation) -> str:
    """Render the classification report: scores per class, their averages, and the accuracy with its interval."""
    scored = _scored(evaluation)
    parts = ["\n".join(_summary(evaluation)), table(CLASS_HEADERS, _score_rows(scored))]
    if any(None in (score.precision, score.recall, score.f1) for _, _, score in scored):
        parts.append(UNDEFINED_NOTE)
    return "\n\n".join(parts)


def report_rows(evaluation: Evaluation) -> list[list[object]]:
    """Return the classification report as rows under REPORT_COLUMNS, with None in cells that do not apply."""
    rows: list[list[object]] = [
        [name, n, score.precision, score.recall, score.f1, None, None, None] for name, n, score in _scored(evaluation)
    ]
    accuracies = {"accuracy": evaluation.accuracy, "accuracy without duplicates of Training": evaluation.deduplicated}
    for name, accuracy in accuracies.items():
        if accuracy is not None:
            rows.append([name, accuracy.n, None, None, None, accuracy.share, *(accuracy.interval or (None, None))])
    return rows


def macro_average(evaluation: Evaluation) -> Average:
    """Average the scores with equal weight for each class."""
    return _average(evaluation.per_class, [1] * len(evaluation.label_names))


def weighted_average(evaluation: Evaluation) -> Average:
    """Average the scores with each class weighted by its number of images."""
    return _average(evaluation.per_class, [score.n for score in evaluation.per_class])


def _summary(evaluation: Evaluation) -> list[str]:
    lines = [printable(f"{evaluation.model} on {evaluation.data}, with 95 % intervals", kept=""), describe(evaluation)]
    if evaluation.deduplicated is not None:
        deduplicated = f"{accuracy_text(evaluation.deduplicated)} of {evaluation.deduplicated.n:,}"
        lines.append(f"excluding duplicates of Training images: {deduplicated}")
    return lines


def _score_rows(scored: Sequence[tuple[str, int, ClassScore | Average]]) -> list[list[object]]:
    return [[name, n, percent(score.precision), percent(score.recall), percent(score.f1)] for name, n, score in scored]


def _scored(evaluation: Evaluation) -> list[tuple[str, int, ClassScore | Average]]:
    """Return (name, number of images, scores) of each class and of the averages."""
    averages = {"macro average": macro_average(evaluation), "weighted average": weighted_average(evaluation)}
    return [
        *((score.label, score.n, score) for score in evaluation.per_class),
        *((name, evaluation.n, average) for name, average in averages.items()),
    ]


def _average(scores: Sequence[ClassScore], weights: Sequence[int]) -> Average:
    def mean(values: list[float | None]) -> float | None:
        defined = [(value, weight) for value, weight in zip(values, weights) if value is not None]
        total = sum(weight for _, weight in defined)
        return sum(value * weight for value, weight in defined) / total if total else None

    return Average(
        precision=mean([score.precision for score in scores]),
        recall=mean([score.recall for score in scores]),
        f1=mean([score.f1 for score in scores]),
    )
