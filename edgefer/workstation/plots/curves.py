"""Plot the numbers of a training, an evaluation and a quantization.

    draw_curves(run.history(), path, best=30)
    draw_confusion(evaluation, path)
    draw_reliability(reliability(probabilities, labels), path, title="ECE 4.1 %")
    draw_layers(names, {"activations": snr_db, "weights": weights_snr_db}, path, named=("stem_conv",))
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from edgefer.results.evaluation import Evaluation
from edgefer.statistics import ConfidenceBin, wilson_interval
from edgefer.workstation.plots import figure
from edgefer.workstation.training.schedule import Epoch, rate_drops

__all__ = ["draw_confusion", "draw_curves", "draw_layers", "draw_reliability"]

TRAINING, VALIDATION, BEST, RATE = figure.BLUE, figure.VERMILION, figure.GREEN, figure.GRAY


@figure.default_style
def draw_curves(history: Sequence[Epoch], path: Path, *, best: int | None) -> None:
    """Plot loss, accuracy and learning rate over the epochs, and mark the drops of the learning rate.

    Args:
        history: completed epochs.
        path: PNG file to write.
        best: index of the epoch whose weights were kept, or None if the initial weights were kept.
    """
    from matplotlib.ticker import LogFormatter, MaxNLocator

    epochs, drops = [epoch.epoch for epoch in history], rate_drops(history)
    panels = (
        ("loss, nats", {"training": "loss", "validation": "selection_loss"}, 1.0),
        ("accuracy, %", {"training": "accuracy", "validation": "selection_accuracy"}, 100.0),
        ("learning rate", {"": "learning_rate"}, 1.0),
    )
    fig, axes = figure.figure(3, size=(7, 7.5))
    for axis, (title, curves, factor) in zip(axes, panels):
        for (name, field), color in zip(curves.items(), (TRAINING, VALIDATION) if len(curves) > 1 else (RATE,)):
            values = [factor * getattr(epoch, field) for epoch in history]
            # A stepped learning rate is constant between its drops.
            drawstyle = "steps-mid" if drops and field == "learning_rate" else "default"
            style = {"marker": "o", "markersize": 2.5, "linewidth": 1.4, "drawstyle": drawstyle}
            axis.plot(epochs, values, color=color, label=name or None, **style)
        for drop in drops:
            # The new rate applies from this epoch on, so mark the start of the epoch.
            label = "learning rate drops" if drop == drops[0] else None
            axis.axvline(epochs[drop] - 0.5, color=RATE, linestyle=":", linewidth=1.2, label=label)
        if best is not None:
            axis.axvline(epochs[best], color=BEST, linestyle="--", linewidth=1.2, label=f"best: epoch {epochs[best]}")
        axis.set_ylabel(title)
        axis.grid(alpha=0.3)
        # Epochs are integers, so allow no tick at 1.5.
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axis.tick_params(labelbottom=axis is axes[-1])
    axes[-1].set_xlabel("epoch")
    if drops:
        # Each drop divides the rate, so later drops are visible only on a logarithmic scale.
        axes[-1].set_yscale("log")
        for set_formatter in (axes[-1].yaxis.set_major_formatter, axes[-1].yaxis.set_minor_formatter):
            set_formatter(LogFormatter())
    axes[0].set_title("Training values include augmentation and label smoothing; validation values do not", fontsize=9)
    # Put the legend outside the panels, where it cannot hide a mark.
    fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    fig.align_ylabels(axes)
    figure.save(fig, path)


@figure.default_style
def draw_confusion(evaluation: Evaluation, path: Path, *, cells: str = "both") -> None:
    """Plot a confusion matrix with labels as rows and predictions as columns; cells without images are blank.

    Args:
        evaluation: evaluation of a model.
        path: PNG file to write.
        cells: content of the cells: "counts", colored by count; "shares" of the row, in percent; or "both". The last
            two are colored by share.
    """
    counts, shares = evaluation.confusion, evaluation.confusion_shares
    tones = counts / counts.max() if cells == "counts" else shares
    fig, (axis,) = figure.figure(1, size=(6.8, 6.2))
    axis.imshow(tones, cmap="Blues", vmin=0, vmax=1)
    names = evaluation.label_names
    axis.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
    axis.set_yticks(range(len(names)), [f"{score.label} (n={score.n:,})" for score in evaluation.per_class])
    # Separate the cells by white lines.
    axis.set_xticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.set_yticks(np.arange(len(names) - 1) + 0.5, minor=True)
    axis.grid(which="minor", color="white", linewidth=2)
    axis.tick_params(which="both", length=0)
    axis.spines[:].set_visible(False)
    for row, column in np.argwhere(counts > 0):
        count, share = f"{counts[row, column]:,}", shares[row, column]
        text = {"counts": count, "shares": f"{100 * share:.1f}", "both": f"{count}\n{share:.0%}"}[cells]
        color = "white" if tones[row, column] > 0.55 else "black"
        weight = "bold" if row == column else "normal"
        axis.text(column, row, text, ha="center", va="center", fontsize=8, color=color, fontweight=weight)
    axis.set_xlabel("prediction")
    axis.set_ylabel("label")
    accuracy = evaluation.accuracy
    share = "-" if accuracy.share is None else f"{100 * accuracy.share:.2f} %"
    unit = {"counts": "\nnumber of images", "shares": "\n% of the images with that label", "both": ""}[cells]
    title = f"{evaluation.model}, {evaluation.split_name}: {share} of {accuracy.n:,} images{unit}"
    fig.suptitle(title, fontsize=10)
    figure.save(fig, path)


@figure.default_style
def draw_reliability(bins: Sequence[ConfidenceBin], path: Path, *, title: str) -> None:
    """Plot the accuracy of each confidence bin with its 95 % interval, and below it the number of predictions.

    A bar below the diagonal shows overconfidence. A marker shows the mean confidence of the bin. Empty bins have
    neither bar nor marker.

    Args:
        bins: result of reliability().
        path: PNG file to write.
        title: title of the plot.
    """
    fig, (upper, lower) = figure.figure(2, size=(6.8, 7), sharex=True, height_ratios=(3, 1))
    edges, width = [bin_.low for bin_ in bins], bins[0].high - bins[0].low
    filled = [bin_ for bin_ in bins if bin_.n]
    accuracies = np.array([bin_.correct / bin_.n for bin_ in filled])
    centers = [(bin_.low + bin_.high) / 2 for bin_ in filled]
    bounds = np.array([wilson_interval(bin_.correct, bin_.n) for bin_ in filled])
    reach = np.abs(bounds - accuracies[:, None]).T
    style = {"align": "edge", "edgecolor": "white", "linewidth": 1.5}
    upper.bar([bin_.low for bin_ in filled], accuracies, width, color=figure.SKY, label="accuracy, 95 %", **style)
    upper.errorbar(centers, accuracies, reach, fmt="none", ecolor="black", elinewidth=1, capsize=2.5)
    confidences = [bin_.confidence for bin_ in filled]
    upper.plot(centers, confidences, "D", color=figure.VERMILION, markeredgecolor="white", label="mean confidence")
    upper.plot([0, 1], [0, 1], color="black", linestyle="--", linewidth=1.2, label="perfect calibration")
    upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    upper.set_title(title, fontsize=10)
    upper.grid(axis="y", alpha=0.3)
    upper.set_axisbelow(True)
    lower.bar(edges, [bin_.n for bin_ in bins], width, color=RATE, **style)
    for bin_ in bins:
        lower.text((bin_.low + bin_.high) / 2, bin_.n, f"{bin_.n:,}", ha="center", va="bottom", fontsize=7)
    lower.margins(y=0.18)
    lower.set(xlabel="confidence", ylabel="images")
    for axis in (upper, lower):
        axis.spines[["top", "right"]].set_visible(False)
    fig.align_ylabels((upper, lower))
    # Put the legend outside the axes, where it cannot hide a bar or an interval.
    fig.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.save(fig, path)


@figure.default_style
def draw_layers(
    names: Sequence[str], series: Mapping[str, Sequence[float | None]], path: Path, *, named: Collection[str]
) -> None:
    """Plot one group of bars per layer, in the order of execution.

    Args:
        names: names of the layers.
        series: values in dB by name of the series; None and infinite values have no bar.
        path: PNG file to write.
        named: layers to print in bold.
    """
    fig, (axis,) = figure.figure(1, size=(8, 1.2 + 0.42 * len(names)))
    height = 0.8 / len(series)
    for offset, ((name, values), color) in enumerate(zip(series.items(), (TRAINING, VALIDATION, BEST))):
        finite = [(index, value) for index, value in enumerate(values) if value is not None and np.isfinite(value)]
        positions = [index + (offset - (len(series) - 1) / 2) * height for index, _ in finite]
        axis.barh(positions, [value for _, value in finite], height, color=color, label=name)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    for tick, name in zip(axis.get_yticklabels(), names):
        tick.set_fontweight("bold" if name in named else "normal")
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="x", alpha=0.3)
    axis.set_xlabel("dB; bold: a layer that reduces the logit SNR by at least 1 dB" if named else "dB")
    axis.spines[["top", "right"]].set_visible(False)
    fig.legend(loc="outside upper center", ncols=len(series), frameon=False, fontsize=9)
    figure.save(fig, path)
