"""Pictures of the numbers of a training, an evaluation and a quantization, drawn when these are safe on disk.

    draw_curves(run.history(), path, best=30)
    draw_confusion(evaluation, path)
    draw_reliability(reliability(probabilities, labels), path, title="ECE 4.1 %")
    draw_layers(names, {"activations": snr_db, "weights": others_db}, path, named=("stem_conv",))
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgefer.results.evaluation import Evaluation
from edgefer.statistics import ConfidenceBin, wilson_interval
from edgefer.text_table import percent
from edgefer.workstation.plots import figure
from edgefer.workstation.training.schedule import Epoch, rate_drops

__all__ = ["draw_confusion", "draw_curves", "draw_layers", "draw_reliability"]

TRAINING, SELECTION, BEST, RATE = figure.BLUE, figure.VERMILION, figure.GREEN, figure.GREY


def draw_curves(history: Sequence[Epoch], path: Path, *, best: int | None) -> None:
    """Loss, accuracy and learning rate over the epochs, one panel each, with the drops of the rate marked.

    ``best`` is the index of the kept epoch, None where none was kept.
    """
    from matplotlib.ticker import MaxNLocator

    epochs, drops = [epoch.epoch for epoch in history], rate_drops(history)
    panels = (
        ("loss, nats", {"training": "loss", "selection": "selection_loss"}, 1.0),
        ("accuracy, %", {"training": "accuracy", "selection": "selection_accuracy"}, 100.0),
        ("learning rate", {"": "learning_rate"}, 1.0),
    )
    fig, axes = figure.figure(3, size=(7, 7.5))
    for axis, (title, curves, unit) in zip(axes, panels):
        for (name, field), colour in zip(curves.items(), (TRAINING, SELECTION) if len(curves) > 1 else (RATE,)):
            values = [unit * getattr(epoch, field) for epoch in history]
            # A rate that drops is constant in between.
            drawn = "steps-mid" if drops and field == "learning_rate" else "default"
            style = {"marker": "o", "markersize": 2.5, "linewidth": 1.4, "drawstyle": drawn}
            axis.plot(epochs, values, color=colour, label=name or None, **style)
        for drop in drops:
            # The new rate holds from this epoch on, so the mark stands before it.
            label = "learning rate drops" if drop == drops[0] else None
            axis.axvline(epochs[drop] - 0.5, color=RATE, linestyle=":", linewidth=1.2, label=label)
        if best is not None:
            axis.axvline(epochs[best], color=BEST, linestyle="--", linewidth=1.2, label=f"best: epoch {epochs[best]}")
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        # There is no epoch 1.5.
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.tick_params(labelbottom=axis is axes[-1])
    axes[-1].set_xlabel("epoch")
    if drops:
        # Each drop is a factor, and the later ones would all lie on the ground.
        axes[-1].set_yscale("log")
    axes[0].set_title("Training values are with augmentation and smoothing, selection values without", fontsize=9)
    # One legend for all panels, and outside of them: within, a mark may stand anywhere.
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    fig.align_ylabels(axes)
    figure.save(fig, path)


def draw_confusion(evaluation: Evaluation, path: Path, *, cells: str = "both") -> None:
    """Rows are labels, columns are predictions; cells without images stay blank.

    ``cells`` says what stands in the others: "counts", coloured by count; "shares" of the row, coloured so; or "both",
    coloured by share.
    """
    counts, shares = evaluation.confusion, evaluation.confusion_shares
    tones = counts / counts.max() if cells == "counts" else shares
    fig, (axis,) = figure.figure(1, size=(6.8, 6.2))
    axis.imshow(tones, cmap="Blues", vmin=0, vmax=1)
    names = evaluation.label_names
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), [f"{score.label} (n={score.n:,})" for score in evaluation.per_class])
    # White lines between the cells, which are pale for the most part.
    axis.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="both", length=0)
    axis.spines[:].set_visible(False)
    for row, column in np.argwhere(counts > 0):
        count, share = f"{counts[row, column]:,}", shares[row, column]
        text = {"counts": count, "shares": f"{100 * share:.1f}", "both": f"{count}\n{share:.0%}"}[cells]
        colour = "white" if tones[row, column] > 0.55 else "black"
        weight = "bold" if row == column else "normal"
        axis.text(column, row, text, ha="center", va="center", fontsize=8, color=colour, fontweight=weight)
    axis.set_xlabel("prediction")
    axis.set_ylabel("label")
    accuracy = evaluation.accuracy
    score = f"{percent(accuracy.share)} of {accuracy.n:,} images"
    told = {"counts": "\ncounts of images", "shares": "\n% of the images with that label", "both": ""}[cells]
    fig.suptitle(f"{evaluation.model}, {evaluation.split}: {score}{told}", fontsize=10)
    figure.save(fig, path)


def draw_reliability(bins: Sequence[ConfidenceBin], path: Path, *, title: str) -> None:
    """How often a model is right against how sure it is, a bar a bin with its 95 % interval; below, how many answers.

    A bar under the diagonal is overconfidence. The dot is the mean confidence of the bin, and what a bin without
    answers would say is left out.
    """
    fig, (upper, lower) = figure.figure(2, size=(6.8, 7), sharex=True, height_ratios=(3, 1))
    edges, width = [each.low for each in bins], bins[0].high - bins[0].low
    filled = [each for each in bins if each.n]
    accuracies = np.array([each.correct / each.n for each in filled])
    middles = [(each.low + each.high) / 2 for each in filled]
    bounds = np.array([wilson_interval(each.correct, each.n) for each in filled])
    reach = np.abs(bounds - accuracies[:, None]).T
    style = {"align": "edge", "edgecolor": "white", "linewidth": 1.5}
    upper.bar([each.low for each in filled], accuracies, width, color=figure.SKY, label="accuracy, 95 %", **style)
    upper.errorbar(middles, accuracies, reach, fmt="none", ecolor="black", elinewidth=1, capsize=2.5)
    confidences = [each.confidence for each in filled]
    upper.plot(middles, confidences, "D", color=figure.VERMILION, markeredgecolor="white", label="mean confidence")
    upper.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1.2, label="as sure as right")
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    upper.set_title(title, fontsize=10)
    upper.grid(axis="y", alpha=0.3)
    upper.set_axisbelow(True)
    lower.bar(edges, [each.n for each in bins], width, color=RATE, **style)
    for each in bins:
        lower.text((each.low + each.high) / 2, each.n, f"{each.n:,}", ha="center", va="bottom", fontsize=7)
    lower.margins(y=0.18)
    lower.set(xlabel="confidence", ylabel="images")
    for axis in (upper, lower):
        axis.spines[["top", "right"]].set_visible(False)
    fig.align_ylabels((upper, lower))
    # Any place within the axes may hold a bar or an interval.
    fig.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.save(fig, path)


def draw_layers(
    names: Sequence[str], series: Mapping[str, Sequence[float | None]], path: Path, *, named: Collection[str]
) -> None:
    """Decibels as bars, a group a layer, in the order in which the layers run; those in ``named`` are set apart."""
    fig, (axis,) = figure.figure(1, size=(8, 1.2 + 0.42 * len(names)))
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
    fig.legend(loc="outside upper center", ncols=len(series), frameon=False, fontsize=9)
    figure.save(fig, path)
