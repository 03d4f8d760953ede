"""Pictures of a training and of a quantization, drawn when the numbers behind them are safe on disk.

    draw_curves(run.history(), path)
    draw_confusion(evaluation, path)
    draw_flips(images.faces, flips, path, label_names=LABELS)

Colours are Okabe and Ito's, which stay apart for colour-blind readers (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import atomic
from edgefer.evaluation import Evaluation
from edgefer.verdict import Flip
from edgefer.workstation.schedule import Epoch

__all__ = ["draw_confusion", "draw_curves", "draw_flips"]

TRAINING, SELECTION, BEST = "#0072B2", "#D55E00", "#009E73"


def draw_curves(history: Sequence[Epoch], path: Path, *, best: int) -> None:
    """Loss, accuracy and learning rate over the epochs, one panel each; ``best`` is the index of the kept epoch."""
    epochs = [epoch.epoch for epoch in history]
    panels = (
        ("loss, nats", {"training": "loss", "selection": "selection_loss"}, 1.0),
        ("accuracy, %", {"training": "accuracy", "selection": "selection_accuracy"}, 100.0),
        ("learning rate", {"learning rate": "learning_rate"}, 1.0),
    )
    figure, axes = _figure(3, size=(7, 8))
    for axis, (title, curves, unit) in zip(axes, panels):
        for (name, field), colour in zip(curves.items(), (TRAINING, SELECTION)):
            values = [unit * getattr(epoch, field) for epoch in history]
            axis.plot(epochs, values, color=colour, label=name, marker="o", markersize=2.5, linewidth=1.4)
        axis.axvline(epochs[best], color=BEST, linestyle="--", linewidth=1.2, label=f"best: epoch {epochs[best]}")
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, fontsize=8)
    axes[-1].set_xlabel("epoch")
    axes[0].set_title("Training values are with augmentation and smoothing, selection values without", fontsize=9)
    _save(figure, path)


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Counts, coloured by their share of the row; rows are labels, columns predictions."""
    shares = np.nan_to_num(evaluation.confusion_shares)
    figure, (axis,) = _figure(1, size=(6.4, 5.6))
    axis.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    names = evaluation.label_names
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right")
    axis.set_yticks(range(len(names)), [f"{score.label} (n={score.n})" for score in evaluation.per_class])
    for row, column in np.ndindex(shares.shape):
        text = f"{evaluation.confusion[row, column]}\n{shares[row, column]:.0%}"
        # White on the dark half of the map, black on the light one.
        colour = "white" if shares[row, column] < 0.55 else "black"
        axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour)
    axis.set_xlabel("prediction")
    axis.set_ylabel("label")
    accuracy = evaluation.accuracy
    axis.set_title(f"{evaluation.model}, {evaluation.split}: {accuracy.share:.2%} of {accuracy.n}", fontsize=10)
    _save(figure, path)


def draw_flips(
    faces: npt.NDArray[np.uint8], flips: Sequence[Flip], path: Path, *, label_names: Sequence[str]
) -> None:
    """The first 50 images that changed their label, with both answers; green where the new one is right.

    Args:
        faces: uint8 (n, h, w), what Flip.index counts.
        flips: in the order in which they are shown.
    """
    columns, shown = 10, list(flips[:50])
    figure, axes = _figure(5, size=(13, 8.5), columns=columns)
    for axis in axes.flat:
        axis.axis("off")
    for axis, flip in zip(axes.flat, shown):
        axis.imshow(faces[flip.index], cmap="gray", vmin=0, vmax=255)
        colour = BEST if flip.own == flip.label else SELECTION if flip.parent == flip.label else "black"
        before = f"{label_names[flip.parent]} {flip.parent_probability:.0%}"
        after = f"{label_names[flip.own]} {flip.own_probability:.0%}"
        axis.set_title(f"is {label_names[flip.label]}\n{before}\nnow {after}", fontsize=7, color=colour)
    figure.suptitle(f"{len(shown)} of {len(flips)} changed labels: green mended, orange broken, black wrong both times")
    _save(figure, path)


def _figure(rows: int, *, size: tuple[float, float], columns: int = 1) -> tuple[Any, Any]:
    # Figure without pyplot: no window system is looked for, and no state stays behind.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, axes[:, 0] if columns == 1 else axes


def _save(figure: Any, path: Path) -> None:
    with atomic.writing(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
