"""Results for a terminal: one sentence, or a table of at most 80 columns.

    describe(evaluation)                            # "PublicTest accuracy 63.9 % (62.3 to 65.5) of 3,589"
    evaluation_text(evaluation), measurements_text(measurements)
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from edgefer.evaluation import Accuracy, Evaluation
from edgefer.measurement import Measurement
from edgefer.result import WIDTH, percent, table

__all__ = ["describe", "evaluation_text", "measurements_text", "points"]


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
