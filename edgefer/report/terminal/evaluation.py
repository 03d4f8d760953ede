"""Results for a terminal: one sentence, or a table of at most 80 columns.

    describe(evaluation)                            # "PublicTest accuracy 63.9 % (62.3 to 65.5) of 3,589"
    evaluation_text(evaluation), measurements_text(measurements)

The classification report: scores per class, their averages, and accuracy with its interval.

    report_rows(evaluation)                         # for a csv file, under REPORT_COLUMNS
    report_text(evaluation)
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.results.evaluation import Accuracy, ClassScore, Evaluation
from edgefer.results.measurement import Measurement
from edgefer.text_table import WIDTH, percent, table

__all__ = ["REPORT_COLUMNS", "Average", "describe", "evaluation_text", "macro_average", "measurements_text", "points", "report_rows", "report_text", "weighted_average"]

def points(accuracy: Accuracy | None) -> str | None:
    """An accuracy with its 95 % interval in percent: "63.89 % (62.31 to 65.45)"."""
    if accuracy is None or accuracy.share is None or accuracy.interval is None:
        return None
    low, high = accuracy.interval
    return f"{percent(accuracy.share)} ({100 * low:.2f} to {100 * high:.2f})"


def describe(evaluation: Evaluation) -> str:
    """The accuracy in one clause; the split is always named."""
    return f"{evaluation.split} accuracy {points(evaluation.accuracy)} of {evaluation.n:,} images"


def evaluation_text(evaluation: Evaluation) -> str:
    """Accuracy, scores per class and the confusion matrix."""
    names = evaluation.label_names
    lines = [f"{evaluation.model} on {evaluation.data}, with 95 % intervals", describe(evaluation)]
    if evaluation.unseen is not None:
        unseen = f"{points(evaluation.unseen)} of {evaluation.unseen.n:,}"
        lines.append(f"without images that stand in Training too: {unseen}")
    lines.append(f"macro-F1 {percent(evaluation.macro_f1)}, cross-entropy {evaluation.cross_entropy:.3f} nats")
    scores = [
        [score.label, score.n, percent(score.precision), percent(score.recall), percent(score.f1)]
        for score in evaluation.per_class
    ]
    counts = [[name, *row] for name, row in zip(names, evaluation.confusion.tolist())]
    shares = [
        [name, *("-" if value != value else f"{100 * value:.1f}" for value in row)]
        for name, row in zip(names, evaluation.confusion_shares.tolist())
    ]
    return "\n\n".join(
        [
            "\n".join(lines),
            table(["class", "n", "precision", "recall", "F1"], scores),
            table(["label \\ predicted", *names], counts),
            table(["the same, % of row", *names], shares),
        ]
    )


def measurements_text(measurements: Sequence[Measurement]) -> str:
    """One row per number of threads, then what speaks against the numbers."""
    first = measurements[0]
    subject, device = first.subject, first.device
    rows = [
        [
            each.threads,
            f"{each.invoke.p50_ns / 1000:.1f}",
            f"{each.invoke.p90_ns / 1000:.1f}",
            f"{each.invoke.p99_ns / 1000:.1f}",
            f"{each.set_to_get.p50_ns / 1000:.1f}",
            f"{each.init_ns / 1e6:.2f}",
            f"{each.first_ns / 1e6:.2f}",
            None if each.peak_rss_bytes is None else f"{each.peak_rss_bytes / 2**20:.0f}",
            f"{each.invoke.runs:,}",
        ]
        for each in measurements
    ]
    headers = [
        "threads", "p50 us", "p90 us", "p99 us", "set to get us", "init ms", "first ms", "RSS MiB", "runs",
    ]  # fmt: skip
    doubts = [
        textwrap.fill(f"in doubt ({_counted(each.threads)}): {doubt}", WIDTH, subsequent_indent="  ")
        for each in measurements
        for doubt in each.doubts()
    ]
    return "\n".join(
        [
            f"{subject['file']}: {subject['scheme']}, {subject['file_bytes']:,} bytes",
            f"{first.runtime} {first.runtime_version} on {device.get('cpu')}, {device['cores']} cores",
            table(headers, rows),
            *doubts,
        ]
    )


def _counted(threads: int) -> str:
    return f"{threads} thread{'s' * (threads != 1)}"


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
