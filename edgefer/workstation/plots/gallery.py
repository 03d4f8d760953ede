"""Write all plots of an evaluation to one folder, each with its values in a CSV file of the same name.

    require_folder(folder)                          # before the slow step
    gallery = write_gallery(outputs, folder, run=run)   # a run adds the curves of its training
    gallery.plots, gallery.phases

The plots show faces of the data set, so do not publish them.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefer import files
from edgefer.data.evaluation_set import ModelOutputs
from edgefer.errors import DataError
from edgefer.statistics import calibration_error, reliability
from edgefer.workstation.plots.curves import draw_confusion, draw_curves, draw_reliability
from edgefer.workstation.plots.error_analysis import error_pairs, random_predictions, sample_images
from edgefer.workstation.plots.faces import draw_errors, draw_predictions, draw_samples
from edgefer.workstation.plots.figure import require_matplotlib
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import Epoch, Phase, best_epoch, phases, rate_drops

__all__ = ["Gallery", "require_folder", "write_gallery"]

PLOTS = ("confusion_counts", "confusion_shares", "errors", "reliability", "samples", "predictions")


@dataclass(frozen=True)
class Gallery:
    """Plots that were written to a folder.

    Attributes:
        folder: folder of the plots.
        plots: names of the plots, without suffix.
        phases: phases of the training; empty without a run.
        selection: a line about the selected weights and the metric that selected them; None without a run.
    """

    folder: Path
    plots: tuple[str, ...] = PLOTS
    phases: tuple[Phase, ...] = ()
    selection: str | None = None


def require_folder(folder: Path) -> None:
    """Check that matplotlib is installed and the folder is writable; do not create the folder.

    Raises:
        DataError: a file has the path of the folder, or the folder is not writable.
        EdgeferError: matplotlib is not installed.
    """
    require_matplotlib()
    nearest = next(path for path in (folder, *folder.absolute().parents) if os.access(path, os.F_OK))
    hint = "--pictures with another folder"
    if not nearest.is_dir():
        raise DataError(f"{nearest} is a file", why="plots need a folder", hint=hint)
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {nearest}", why="the folder is not writable for this user", hint=hint)


def write_gallery(outputs: ModelOutputs, folder: Path, *, run: Run | None = None) -> Gallery:
    """Plot the outputs of a model, and the training of a run, and write the values of each plot as CSV."""
    _write_scores(outputs, folder)
    _write_predictions(outputs, folder)
    history = run.history() if run is not None else []
    if run is None or not history:
        return Gallery(folder)
    settings = run.settings()
    best = best_epoch(history, settings, baseline=run.baseline())
    _write_curves(history, folder, best=best)
    weights = "the initial weights" if best < 0 else f"epoch {history[best].epoch} of {len(history)}"
    selection = f"kept: {weights}, by the {settings.monitor} on the validation split"
    return Gallery(folder, (*PLOTS, "curves"), phases(history, settings), selection)


def _write_scores(outputs: ModelOutputs, folder: Path) -> None:
    evaluation = outputs.evaluation
    names = evaluation.label_names
    # Shares of a row without images are NaN; write them as empty cells.
    shares = [[None if share != share else share for share in row] for row in evaluation.confusion_shares.tolist()]
    for cells, matrix in (("counts", evaluation.confusion.tolist()), ("shares", shares)):
        draw_confusion(evaluation, folder / f"confusion_{cells}.png", cells=cells)
        rows = ([name, *row] for name, row in zip(names, matrix))
        _write_csv(folder / f"confusion_{cells}.csv", ["label", *names], rows)
    labels = outputs.images.labels
    bins = reliability(outputs.probabilities, labels)
    error = f"expected calibration error {100 * calibration_error(outputs.probabilities, labels):.2f} %"
    error += "" if outputs.temperature == 1 else f" at temperature {outputs.temperature:g}"
    draw_reliability(bins, folder / "reliability.png", title=f"{_title(outputs)}, {evaluation.n:,} images\n{error}")
    columns = ["low", "high", "n", "correct", "accuracy", "confidence"]
    _write_csv(folder / "reliability.csv", columns, ([getattr(bin_, name) for name in columns] for bin_ in bins))


def _write_predictions(outputs: ModelOutputs, folder: Path) -> None:
    images, names, title = outputs.images, outputs.evaluation.label_names, _title(outputs)
    pairs, predictions = error_pairs(outputs), random_predictions(outputs)
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
    samples = sample_images(images, classes=len(names))
    draw_samples(images, samples, folder / "samples.png", label_names=names)
    sample_rows = ([name, images.rows[index]] for name, indices in zip(names, samples) for index in indices)
    _write_csv(folder / "samples.csv", ["label", "row"], sample_rows)
    draw_predictions(images.faces, predictions, folder / "predictions.png", label_names=names, title=title)
    _write_csv(
        folder / "predictions.csv",
        ["row", "label", "prediction", "confidence", "right"],
        (
            [item.row, names[item.label], names[item.prediction], item.confidence, int(item.is_correct)]
            for item in predictions
        ),
    )


def _write_curves(history: Sequence[Epoch], folder: Path, *, best: int) -> None:
    drops = rate_drops(history)
    draw_curves(history, folder / "curves.png", best=None if best < 0 else best)
    columns = [*(field.name for field in dataclasses.fields(Epoch)), "best", "rate_drops"]
    rows = (
        [*dataclasses.astuple(epoch), int(index == best), int(index in drops)] for index, epoch in enumerate(history)
    )
    _write_csv(folder / "curves.csv", columns, rows)


def _title(outputs: ModelOutputs) -> str:
    return f"{outputs.evaluation.model}, {outputs.evaluation.split_name}"


def _write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write numbers with all digits, and None as an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    files.write_text(path, text.getvalue())
