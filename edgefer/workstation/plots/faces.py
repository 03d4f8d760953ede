"""Plot faces of the data set with their labels and predictions. Do not publish these plots.

    draw_samples(images, sample_images(images, classes=7), path, label_names=LABELS)
    draw_predictions(images.faces, random_predictions(outputs), path, label_names=LABELS, title="small-int8")
    draw_errors(images.faces, error_pairs(outputs), path, label_names=LABELS, title="small-int8")
    draw_label_changes(images.faces, changes, path, label_names=LABELS)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.split_names import split_title
from edgefer.data.evaluation_set import EvaluationSet
from edgefer.data.pixels import Pixels
from edgefer.results.paired_comparison import LabelChange
from edgefer.workstation.plots import figure
from edgefer.workstation.plots.error_analysis import ErrorPair, Prediction

__all__ = ["draw_errors", "draw_label_changes", "draw_predictions", "draw_samples"]

Image = npt.NDArray[np.uint8]

# Minimum number of columns, so that the title fits.
MIN_COLUMNS = 6
# In inches: the side of a face, the margin of the plot, and the height of the title.
SIDE, MARGIN, TITLE = 0.95, 0.25, 0.55
RIGHT, WRONG = "\N{CHECK MARK}", "\N{BALLOT X}"


@figure.default_style
def draw_samples(
    images: EvaluationSet, samples: Sequence[Sequence[int]], path: Path, *, label_names: Sequence[str]
) -> None:
    """Plot a row of faces for each class, with the row of each face in the source.

    Args:
        images: images with labels.
        samples: positions of the images, one sequence per class.
        path: PNG file to write.
        label_names: names of the classes.
    """
    grid = _Grid(columns=max([MIN_COLUMNS, *map(len, samples)]), rows=len(samples), across=1.1, down=1.3, heading=1.25)
    fig, axis = grid.blank(f"{images.data}, {split_title(images.split, data=images.data)}: random images of each class")
    for row, (name, indices) in enumerate(zip(label_names, samples)):
        count = int((images.labels == row).sum())
        _heading(axis, *grid.position(row, 0), f"{name}\nn = {count:,}")
        for column, index in enumerate(indices):
            _face(axis, images.faces[index], *grid.position(row, column), f"row {images.rows[index]}")
    figure.save(fig, path)


@figure.default_style
def draw_predictions(
    faces: Pixels, predictions: Sequence[Prediction], path: Path, *, label_names: Sequence[str], title: str
) -> None:
    """Plot faces in rows of ten, each with the prediction, its confidence, the label and the row in the source.

    A wrong prediction has a cross, bold letters and a thick frame.

    Args:
        faces: uint8 (n, h, w), indexed by Prediction.index.
        predictions: predictions to plot.
        path: PNG file to write.
        label_names: names of the classes.
        title: title of the plot.
    """
    grid = _Grid(columns=10, rows=-(-len(predictions) // 10), across=1.25, down=1.6)
    n, correct = len(predictions), sum(prediction.is_correct for prediction in predictions)
    fig, axis = grid.blank(
        f"{title}: {n} random images; {correct} {RIGHT} right, {n - correct} {WRONG} wrong\n"
        "prediction with its confidence, label, row in the source"
    )
    for number, prediction in enumerate(predictions):
        is_correct = prediction.is_correct
        mark, color, width = (RIGHT, figure.GREEN, 1.0) if is_correct else (WRONG, figure.VERMILION, 4.0)
        x, y = grid.position(*divmod(number, 10))
        _face(axis, faces[prediction.index], x, y, "", frame=color, width=width)
        text = f"{mark} {label_names[prediction.prediction]} {prediction.confidence:.0%}"
        style = {"color": "black", "fontweight": "normal"} if is_correct else {"color": color, "fontweight": "bold"}
        _caption(axis, x, y + SIDE + 0.09, text, **style)
        _caption(axis, x, y + SIDE + 0.23, f"is {label_names[prediction.label]}\nrow {prediction.row}")
    figure.save(fig, path)


@figure.default_style
def draw_errors(
    faces: Pixels, pairs: Sequence[ErrorPair], path: Path, *, label_names: Sequence[str], title: str, limit: int = 10
) -> None:
    """Plot the most frequent errors, one row per pair of label and prediction, with counts and examples.

    Args:
        faces: uint8 (n, h, w), indexed by Prediction.index.
        pairs: result of error_pairs().
        path: PNG file to write.
        label_names: names of the classes.
        title: title of the plot.
        limit: maximum number of pairs.
    """
    plotted = pairs[:limit]
    columns = max([MIN_COLUMNS, *(len(pair.examples) for pair in plotted)])
    grid = _Grid(columns=columns, rows=max(1, len(plotted)), across=1.1, down=1.42, heading=2.05)
    subject = f"the {len(plotted)} most frequent kinds of error, of {len(pairs)}" if plotted else "no errors"
    fig, axis = grid.blank(
        f"{title}: {subject}\nlabel \N{RIGHTWARDS ARROW} prediction; the examples are the most confident errors"
    )
    for row, pair in enumerate(plotted):
        name = f"{label_names[pair.label]} \N{RIGHTWARDS ARROW} {label_names[pair.prediction]}"
        shares = f"{pair.share_of_label:.1%} of {label_names[pair.label]}\n{pair.share_of_errors:.1%} of all errors"
        _heading(axis, *grid.position(row, 0), name, f"{pair.n:,} images\n{shares}")
        for column, example in enumerate(pair.examples):
            caption = f"{example.confidence:.0%} sure\nrow {example.row}"
            _face(axis, faces[example.index], *grid.position(row, column), caption)
    figure.save(fig, path)


@figure.default_style
def draw_label_changes(
    faces: Pixels, changes: Sequence[LabelChange], path: Path, *, label_names: Sequence[str]
) -> None:
    """Plot the first 50 images whose predicted label changed, with both predictions; green if the new one is correct.

    Args:
        faces: uint8 (n, h, w), indexed by LabelChange.index.
        changes: changes in plotting order.
        path: PNG file to write.
        label_names: names of the classes.
    """
    columns, plotted = 10, list(changes[:50])
    fig, axes = figure.figure(5, size=(13, 8.5), columns=columns)
    for axis in axes.flat:
        axis.axis("off")
    for axis, change in zip(axes.flat, plotted):
        axis.imshow(faces[change.index], cmap="gray", vmin=0, vmax=255)
        if change.quantized_label == change.label:
            color = figure.GREEN
        else:
            color = figure.VERMILION if change.float_label == change.label else "black"
        before = f"{label_names[change.float_label]} {change.float_probability:.0%}"
        after = f"{label_names[change.quantized_label]} {change.quantized_probability:.0%}"
        axis.set_title(f"is {label_names[change.label]}\n{before}\nnow {after}", fontsize=7, color=color)
    legend = "green: corrected, orange: now wrong, black: wrong before and after"
    fig.suptitle(f"{len(plotted)} of {len(changes)} changed labels; {legend}")
    figure.save(fig, path)


class _Grid:
    """Positions of faces in a plot, in inches; each row starts with a column of width ``heading``."""

    def __init__(self, *, columns: int, rows: int, across: float, down: float, heading: float = 0.0) -> None:
        self.across, self.down, self.left = across, down, MARGIN + heading
        self.size = (self.left + columns * across + MARGIN, TITLE + rows * down + 2 * MARGIN)

    def blank(self, title: str) -> tuple[Any, Any]:
        """Create an empty plot with a title."""
        fig, axis = figure.blank(self.size)
        axis.text(MARGIN, MARGIN, title, ha="left", va="top", fontsize=10)
        return fig, axis

    def position(self, row: int, column: int) -> tuple[float, float]:
        """Return the upper left corner of a face."""
        return self.left + column * self.across, TITLE + MARGIN + row * self.down


def _face(
    axis: Any, face: Image, x: float, y: float, caption: str, *, frame: str = figure.GRAY, width: float = 0.5
) -> None:
    from matplotlib.patches import Rectangle

    axis.imshow(face, extent=(x, x + SIDE, y + SIDE, y), cmap="gray", vmin=0, vmax=255, aspect="auto")
    # Draw the frame around the face, not over it; a point is 1/72 inch.
    offset = width / 2 / 72
    side = SIDE + 2 * offset
    axis.add_patch(Rectangle((x - offset, y - offset), side, side, fill=False, edgecolor=frame, linewidth=width))
    _caption(axis, x, y + SIDE + 0.06, caption)


def _caption(axis: Any, x: float, y: float, text: str, **style: Any) -> None:
    axis.text(x + SIDE / 2, y, text, ha="center", va="top", fontsize=7, linespacing=1.15, **style)


def _heading(axis: Any, x: float, y: float, title: str, text: str = "") -> None:
    """Write a bold title and plain text in the heading column of a row."""
    axis.text(MARGIN, y + 0.05, title, ha="left", va="top", fontsize=9, fontweight="bold", linespacing=1.3)
    axis.text(MARGIN, y + 0.3, text, ha="left", va="top", fontsize=8, linespacing=1.4)
