"""Pictures of a training and of a quantization, drawn when the numbers behind them are safe on disk.

    draw_curves(run.history(), path)
    draw_confusion(evaluation, path)
    draw_flips(images.faces, flips, path, label_names=LABELS)
    draw_layers(names, {"activations": snr_db, "weights": others_db}, path, named=("stem_conv",))

Colours are Okabe and Ito's, which stay apart for colour-blind readers (https://jfly.uni-koeln.de/color/).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import atomic
from edgefer.evaluation import Evaluation
from edgefer.result import percent
from edgefer.verdict import Flip
from edgefer.workstation.schedule import Epoch

__all__ = ["draw_confusion", "draw_curves", "draw_flips", "draw_layers"]

TRAINING, SELECTION, BEST, RATE = "#0072B2", "#D55E00", "#009E73", "#555555"


def draw_curves(history: Sequence[Epoch], path: Path, *, best: int | None) -> None:
    """Loss, accuracy and learning rate over the epochs, one panel each; ``best`` is the index of the kept one."""
    from matplotlib.ticker import MaxNLocator

    epochs = [epoch.epoch for epoch in history]
    panels = (
        ("loss, nats", {"training": "loss", "selection": "selection_loss"}, 1.0),
        ("accuracy, %", {"training": "accuracy", "selection": "selection_accuracy"}, 100.0),
        ("learning rate", {"": "learning_rate"}, 1.0),
    )
    figure, axes = _figure(3, size=(7, 7.5))
    for axis, (title, curves, unit) in zip(axes, panels):
        for (name, field), colour in zip(curves.items(), (TRAINING, SELECTION) if len(curves) > 1 else (RATE,)):
            values = [unit * getattr(epoch, field) for epoch in history]
            axis.plot(epochs, values, color=colour, label=name or None, marker="o", markersize=2.5, linewidth=1.4)
        if best is not None:
            axis.axvline(epochs[best], color=BEST, linestyle="--", linewidth=1.2, label=f"best: epoch {epochs[best]}")
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        # There is no epoch 1.5.
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.tick_params(labelbottom=axis is axes[-1])
    axes[-1].set_xlabel("epoch")
    axes[0].set_title("Training values are with augmentation and smoothing, selection values without", fontsize=9)
    # One legend for all panels, where the falling curves leave room, beside the line of a late best epoch.
    axes[0].legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(0.9, 1.0))
    figure.align_ylabels(axes)
    _save(figure, path)


def draw_confusion(evaluation: Evaluation, path: Path) -> None:
    """Counts above zero, coloured by their share of the row; rows are labels, columns are predictions."""
    shares = evaluation.confusion_shares
    figure, (axis,) = _figure(1, size=(6.8, 6.2))
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = evaluation.label_names
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), [f"{score.label} (n={score.n:,})" for score in evaluation.per_class])
    # White lines between the cells, which are pale for the most part.
    axis.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="both", length=0)
    axis.spines[:].set_visible(False)
    for row, column in np.argwhere(evaluation.confusion > 0):
        share = shares[row, column]
        text = f"{evaluation.confusion[row, column]:,}\n{share:.0%}"
        colour = "white" if share > 0.55 else "black"
        weight = "bold" if row == column else "normal"
        axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour, fontweight=weight)
    axis.set_xlabel("prediction")
    axis.set_ylabel("label")
    accuracy = evaluation.accuracy
    score = f"{percent(accuracy.share)} of {accuracy.n:,} images"
    figure.suptitle(f"{evaluation.model}, {evaluation.split}: {score}", fontsize=10)
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


def draw_layers(
    names: Sequence[str], series: Mapping[str, Sequence[float | None]], path: Path, *, named: Collection[str]
) -> None:
    """Decibels as bars, a group a layer, in the order in which the layers run; those in ``named`` are set apart."""
    figure, (axis,) = _figure(1, size=(8, 1.2 + 0.42 * len(names)))
    height = 0.8 / len(series)
    for offset, ((name, values), colour) in enumerate(zip(series.items(), (TRAINING, SELECTION, BEST))):
        # A layer without weights has no bar for them.
        shown = [(place, value) for place, value in enumerate(values) if value is not None and np.isfinite(value)]
        places = [place + (offset - (len(series) - 1) / 2) * height for place, _ in shown]
        axis.barh(places, [value for _, value in shown], height, color=colour, label=name)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    for tick, name in zip(axis.get_yticklabels(), names):
        tick.set_fontweight("bold" if name in named else "normal")
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    axis.set_xlabel("dB; bold: a layer that costs the logits at least 1 dB" if named else "dB")
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", ncols=len(series), frameon=False, fontsize=9)
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
