"""All pictures of an evaluation in one folder, each with its data as csv under the same name.

    require_folder(folder)                          # before the slow step
    text = write_album(scored, folder, run=run)     # and the curves and phases of the training, where there is one

The sheets show faces of the data set, so the folder is for the user's disk and for nobody else's.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from edgefer import files
from edgefer.data.evaluation_set import ModelOutputs
from edgefer.errors import DataError
from edgefer.report.terminal.evaluation import REPORT_COLUMNS, report_rows, report_text
from edgefer.statistics import calibration_error, reliability
from edgefer.text_table import WIDTH
from edgefer.workstation.plots.curves import draw_confusion, draw_curves, draw_reliability
from edgefer.workstation.plots.error_analysis import Answer, error_pairs, random_answers, samples
from edgefer.workstation.plots.faces import draw_answers, draw_errors, draw_samples
from edgefer.workstation.plots.figure import require_matplotlib
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import Epoch, best_epoch, phases, phases_text, rate_drops
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["require_folder", "write_album"]

PICTURES = ("confusion_counts", "confusion_shares", "errors", "reliability", "samples", "predictions")


def require_folder(folder: Path) -> None:
    """Check that pictures can be drawn and ``folder`` can be written to; it is not made yet.

    Raises:
        DataError: a file stands in its place, or it may not be written to.
        EdgeferError: matplotlib is not installed.
    """
    require_matplotlib()
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.access(path, os.F_OK))
    hint = "--pictures with another folder"
    if not nearest.is_dir():
        raise DataError(f"{nearest} is a file", why="pictures go into a folder", hint=hint)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {nearest}", why="it belongs to somebody else, or is read-only", hint=hint)


def write_album(scored: ModelOutputs, folder: Path, *, run: Run | None = None) -> str:
    """Write all that can be shown of ``scored``, and of the training of ``run``; returns what to tell the user."""
    _write_scores(scored, folder)
    _write_answers(scored, folder)
    history = run.history() if run is not None else []
    if run is None or not history:
        return _told(folder, PICTURES)
    phases_told = _write_training(history, run.settings(), folder, baseline=run.baseline())
    return f"{phases_told}\n\n{_told(folder, (*PICTURES, 'curves'))}"


def _write_scores(scored: ModelOutputs, folder: Path) -> None:
    evaluation, labels = scored.evaluation, scored.images.labels
    files.write_text(folder / "report.txt", report_text(evaluation) + "\n")
    _write_csv(folder / "report.csv", REPORT_COLUMNS, report_rows(evaluation))
    names = evaluation.label_names
    # A row without images has no shares: NaN there, an empty cell here.
    shares = [[None if share != share else share for share in row] for row in evaluation.confusion_shares.tolist()]
    for cells, matrix in (("counts", evaluation.confusion.tolist()), ("shares", shares)):
        draw_confusion(evaluation, folder / f"confusion_{cells}.png", cells=cells)
        rows = ([name, *row] for name, row in zip(names, matrix))
        _write_csv(folder / f"confusion_{cells}.csv", ["label", *names], rows)
    bins = reliability(scored.probabilities, labels)
    error = f"expected calibration error {100 * calibration_error(scored.probabilities, labels):.2f} %"
    error += "" if scored.temperature == 1 else f" at temperature {scored.temperature:g}"
    draw_reliability(bins, folder / "reliability.png", title=f"{_title(scored)}, {evaluation.n:,} images\n{error}")
    _write_csv(
        folder / "reliability.csv",
        ["low", "high", "n", "correct", "accuracy", "confidence"],
        ([each.low, each.high, each.n, each.correct, each.accuracy, each.confidence] for each in bins),
    )


def _write_answers(scored: ModelOutputs, folder: Path) -> None:
    images, names, title = scored.images, scored.evaluation.label_names, _title(scored)
    pairs, drawn = error_pairs(scored), random_answers(scored)
    draw_errors(images.faces, pairs, folder / "errors.png", label_names=names, title=title)
    _write_csv(
        folder / "errors.csv",
        ["label", "prediction", "n", "share_of_label", "share_of_errors", "rows_of_examples"],
        (
            [
                names[pair.label], names[pair.prediction], pair.n, pair.share_of_label, pair.share_of_errors,
                " ".join(str(example.row) for example in pair.examples),
            ]
            for pair in pairs
        ),
    )  # fmt: skip
    chosen = samples(images, classes=len(names))
    draw_samples(images, chosen, folder / "samples.png", label_names=names)
    labelled = ([name, images.rows[index]] for name, indices in zip(names, chosen) for index in indices)
    _write_csv(folder / "samples.csv", ["label", "row"], labelled)
    draw_answers(images.faces, drawn, folder / "predictions.png", label_names=names, title=title)
    rows = (_answer_row(answer, names) for answer in drawn)
    _write_csv(folder / "predictions.csv", ["row", "label", "prediction", "confidence", "right"], rows)


def _answer_row(answer: Answer, names: Sequence[str]) -> list[object]:
    return [answer.row, names[answer.label], names[answer.prediction], answer.confidence, int(answer.right)]


def _write_training(
    history: Sequence[Epoch], settings: TrainSettings, folder: Path, *, baseline: Epoch | None
) -> str:
    """Curves and phases; returns the phases as text."""
    best, drops = best_epoch(history, settings, baseline=baseline), rate_drops(history)
    draw_curves(history, folder / "curves.png", best=None if best < 0 else best)
    columns = [*(item.name for item in dataclasses.fields(Epoch)), "best", "rate_drops"]
    rows = ([*dataclasses.astuple(epoch), int(i == best), int(i in drops)] for i, epoch in enumerate(history))
    _write_csv(folder / "curves.csv", columns, rows)
    which = "the weights that it began with" if best < 0 else f"epoch {history[best].epoch} of {len(history)}"
    kept = f"kept: {which}, by the {settings.monitor} on the selection split"
    text = f"{phases_text(phases(history, settings))}\n{kept}"
    files.write_text(folder / "phases.txt", text + "\n")
    return text


def _told(folder: Path, names: Sequence[str]) -> str:
    pictures = textwrap.fill(", ".join(f"{name}.png" for name in names), WIDTH)
    return f"{folder} has report.txt, and with its numbers as .csv each of\n{pictures}"


def _title(scored: ModelOutputs) -> str:
    return f"{scored.evaluation.model}, {scored.evaluation.split}"


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Numbers in full, so that they read back as they were; None as an empty cell."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    files.write_text(path, written.getvalue())
