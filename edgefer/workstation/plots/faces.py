"""Pictures that show faces of the data set: for the user's disk, and for nobody else's.

    draw_samples(images, samples(images, classes=7), path, label_names=LABELS)
    draw_answers(images.faces, random_answers(scored), path, label_names=LABELS, title="small-int8, PublicTest")
    draw_errors(images.faces, error_pairs(scored), path, label_names=LABELS, title="small-int8, PublicTest")
    draw_flips(images.faces, flips, path, label_names=LABELS)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.data.evaluation_set import EvaluationSet
from edgefer.results.paired_comparison import LabelChange
from edgefer.workstation.plots import figure
from edgefer.workstation.plots.error_analysis import Answer, ErrorPair

__all__ = ["draw_answers", "draw_errors", "draw_flips", "draw_samples"]

Faces = npt.NDArray[np.uint8]

# Faces in a row, for a title to stand above them.
NARROWEST = 6
# Inches: the side of a face, the margin around all, and the height of the title.
SIDE, MARGIN, TITLE = 0.95, 0.25, 0.55
RIGHT, WRONG = "\N{CHECK MARK}", "\N{BALLOT X}"


def draw_samples(
    images: EvaluationSet, chosen: Sequence[Sequence[int]], path: Path, *, label_names: Sequence[str]
) -> None:
    """A row of faces for each class, under each its row in the source; ``chosen`` are positions, class by class."""
    place = _Grid(columns=max([NARROWEST, *map(len, chosen)]), rows=len(chosen), across=1.1, down=1.3, heading=1.25)
    fig, axis = place.blank(f"{images.data}, {images.split}: images of each class, drawn at random")
    for line, (name, indices) in enumerate(zip(label_names, chosen)):
        count = int((images.labels == line).sum())
        _heading(axis, *place.at(line, 0), f"{name}\nn = {count:,}")
        for column, index in enumerate(indices):
            _face(axis, images.faces[index], *place.at(line, column), f"row {images.rows[index]}")
    figure.save(fig, path)


def draw_answers(
    faces: Faces, answers: Sequence[Answer], path: Path, *, label_names: Sequence[str], title: str
) -> None:
    """Faces in rows of ten, each with the prediction, its confidence, the label and the row in the source.

    A wrong one has a cross before its answer, bold letters and a thick frame.

    Args:
        faces: uint8 (n, h, w), what Answer.index counts.
    """
    place = _Grid(columns=10, rows=-(-len(answers) // 10), across=1.25, down=1.6)
    right = sum(answer.right for answer in answers)
    fig, axis = place.blank(
        f"{title}: {len(answers)} images drawn at random; {right} {RIGHT} right, {len(answers) - right} {WRONG} wrong\n"
        "prediction with its confidence, label, row in the source"
    )
    for number, answer in enumerate(answers):
        mark, colour, width = (RIGHT, figure.GREEN, 1.0) if answer.right else (WRONG, figure.VERMILION, 4.0)
        x, y = place.at(*divmod(number, 10))
        said = f"{mark} {label_names[answer.prediction]} {answer.confidence:.0%}"
        _face(axis, faces[answer.index], x, y, "", frame=colour, width=width)
        weight = "normal" if answer.right else "bold"
        _caption(axis, x, y + SIDE + 0.09, said, color="black" if answer.right else colour, fontweight=weight)
        _caption(axis, x, y + SIDE + 0.23, f"is {label_names[answer.label]}\nrow {answer.row}")
    figure.save(fig, path)


def draw_errors(
    faces: Faces, pairs: Sequence[ErrorPair], path: Path, *, label_names: Sequence[str], title: str, most: int = 10
) -> None:
    """The ``most`` frequent ways to be wrong, a row each: label, prediction, how often, and its examples.

    Args:
        faces: uint8 (n, h, w), what Answer.index counts.
        pairs: as error_pairs() gives them.
    """
    shown = pairs[:most]
    columns = max([NARROWEST, *(len(pair.examples) for pair in shown)])
    place = _Grid(columns=columns, rows=max(1, len(shown)), across=1.1, down=1.42, heading=2.05)
    what = f"the {len(shown)} most frequent kinds of error, of {len(pairs)}" if shown else "no error"
    fig, axis = place.blank(
        f"{title}: {what}\n"
        "label \N{RIGHTWARDS ARROW} prediction; examples are those that the model was surest of"
    )
    for line, pair in enumerate(shown):
        kind = f"{label_names[pair.label]} \N{RIGHTWARDS ARROW} {label_names[pair.prediction]}"
        shares = f"{pair.share_of_label:.1%} of {label_names[pair.label]}\n{pair.share_of_errors:.1%} of all errors"
        _heading(axis, *place.at(line, 0), kind, f"{pair.n:,} images\n{shares}")
        for column, answer in enumerate(pair.examples):
            caption = f"{answer.confidence:.0%} sure\nrow {answer.row}"
            _face(axis, faces[answer.index], *place.at(line, column), caption)
    figure.save(fig, path)


def draw_flips(faces: Faces, flips: Sequence[LabelChange], path: Path, *, label_names: Sequence[str]) -> None:
    """The first 50 images that changed their label, with both answers; green where the new one is right.

    Args:
        faces: uint8 (n, h, w), what Flip.index counts.
        flips: in the order in which they are shown.
    """
    columns, shown = 10, list(flips[:50])
    fig, axes = figure.figure(5, size=(13, 8.5), columns=columns)
    for axis in axes.flat:
        axis.axis("off")
    for axis, flip in zip(axes.flat, shown):
        axis.imshow(faces[flip.index], cmap="gray", vmin=0, vmax=255)
        colour = figure.GREEN if flip.own == flip.label else figure.VERMILION if flip.parent == flip.label else "black"
        before = f"{label_names[flip.parent]} {flip.parent_probability:.0%}"
        after = f"{label_names[flip.own]} {flip.own_probability:.0%}"
        axis.set_title(f"is {label_names[flip.label]}\n{before}\nnow {after}", fontsize=7, color=colour)
    fig.suptitle(f"{len(shown)} of {len(flips)} changed labels: green mended, orange broken, black wrong both times")
    figure.save(fig, path)


class _Grid:
    """Where faces stand on a sheet, in inches; ``heading`` is kept free at the left of each row."""

    def __init__(self, *, columns: int, rows: int, across: float, down: float, heading: float = 0.0) -> None:
        self.across, self.down, self.left = across, down, MARGIN + heading
        self.size = (self.left + columns * across + MARGIN, TITLE + rows * down + 2 * MARGIN)

    def blank(self, title: str) -> tuple[Any, Any]:
        """An empty sheet with its title."""
        fig, axis = figure.blank(self.size)
        axis.text(MARGIN, MARGIN, title, ha="left", va="top", fontsize=10)
        return fig, axis

    def at(self, row: int, column: int) -> tuple[float, float]:
        """The upper left corner of a face."""
        return self.left + column * self.across, TITLE + MARGIN + row * self.down


def _face(
    axis: Any, face: Faces, x: float, y: float, caption: str, *, frame: str = figure.GREY, width: float = 0.5
) -> None:
    from matplotlib.patches import Rectangle

    axis.imshow(face, extent=(x, x + SIDE, y + SIDE, y), cmap="gray", vmin=0, vmax=255, aspect="auto")
    # Beside the face and not upon it; a point is 1/72 inch.
    beside = width / 2 / 72
    side = SIDE + 2 * beside
    axis.add_patch(Rectangle((x - beside, y - beside), side, side, fill=False, edgecolor=frame, linewidth=width))
    _caption(axis, x, y + SIDE + 0.06, caption)


def _caption(axis: Any, x: float, y: float, text: str, **style: Any) -> None:
    axis.text(x + SIDE / 2, y, text, ha="center", va="top", fontsize=7, linespacing=1.15, **style)


def _heading(axis: Any, x: float, y: float, title: str, text: str = "") -> None:
    """In the room at the left of a face, bold and then plain."""
    axis.text(MARGIN, y + 0.05, title, ha="left", va="top", fontsize=9, fontweight="bold", linespacing=1.3)
    axis.text(MARGIN, y + 0.3, text, ha="left", va="top", fontsize=8, linespacing=1.4)
