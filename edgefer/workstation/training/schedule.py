"""Choose the learning rate, the best epoch and the stopping point, and divide a training history into phases.

    rate_drops(history)                             # [30, 45]: indices of the epochs after a learning-rate drop
    found = phases(history, settings)
    phases_text(found)

All functions depend only on the settings and the completed epochs, so a resumed training makes the same decisions.
With a stepped learning rate, each drop starts a phase. With a smooth (cosine) or constant rate, phases end at fixed
shares of the total gain in validation accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.text_table import table
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["Epoch", "Phase", "best_epoch", "has_stalled", "learning_rate", "phases", "phases_text", "rate_drops"]


@dataclass(frozen=True)
class Epoch:
    """One row of history.csv.

    Attributes:
        epoch: epoch number, counted from 1.
        learning_rate: learning rate, constant within the epoch.
        loss, accuracy: means over the augmented training images during the epoch; accuracy is a fraction.
        selection_loss, selection_accuracy: results on the validation split after the epoch; the loss is the
            cross-entropy without label smoothing, in nats.
        duration_s: wall-clock time in seconds.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    selection_loss: float
    selection_accuracy: float
    duration_s: float


def score(epoch: Epoch, settings: TrainSettings) -> float:
    """Return the metric that ``settings.monitor`` selects; higher is better."""
    return epoch.selection_accuracy if settings.monitor == "accuracy" else -epoch.selection_loss


def best_epoch(history: Sequence[Epoch], settings: TrainSettings, *, baseline: Epoch | None = None) -> int:
    """Return the index of the best epoch, or the earliest one in a tie.

    Returns:
        The index, or -1 if the history is empty or no epoch exceeds ``baseline``.
    """
    scores = [score(epoch, settings) for epoch in history]
    if not scores or (baseline is not None and max(scores) <= score(baseline, settings)):
        return -1
    return scores.index(max(scores))


def has_stalled(history: Sequence[Epoch], settings: TrainSettings) -> bool:
    """Return True if early stopping is enabled and its patience is exhausted."""
    return 0 < settings.early_stopping <= len(history) - 1 - best_epoch(history, settings)


def learning_rate(history: Sequence[Epoch], settings: TrainSettings) -> float:
    """Compute the learning rate of the epoch that follows ``history``."""
    epoch, warmup = len(history), settings.warmup_epochs
    if epoch < warmup:
        return settings.learning_rate * (epoch + 1) / (warmup + 1)
    factors = {"cosine": _cosine, "plateau": _plateau, "step": _step, "constant": lambda *_: 1.0}
    factor = factors[settings.schedule](history, settings)
    return settings.learning_rate * max(factor, settings.floor)


def _cosine(history: Sequence[Epoch], settings: TrainSettings) -> float:
    # Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts; the last epoch ends near zero.
    share = (len(history) - settings.warmup_epochs) / max(1, settings.epochs - settings.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _step(history: Sequence[Epoch], settings: TrainSettings) -> float:
    return settings.factor ** ((len(history) - settings.warmup_epochs) // settings.step_epochs)


def _plateau(history: Sequence[Epoch], settings: TrainSettings) -> float:
    factor, best, waited = 1.0, -math.inf, 0
    for epoch in history:
        if score(epoch, settings) > best:
            best, waited = score(epoch, settings), 0
        else:
            waited += 1
        if waited >= settings.plateau_patience:
            factor, waited = factor * settings.factor, 0
    return factor


# Share of the total gain in validation accuracy that ends each phase.
PROGRESS = {"initial learning": 0.7, "steady improvement": 0.95, "plateau": 1.0}


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs of a training.

    Attributes:
        name: name of the phase.
        first, last: first and last epoch; their values are the start and end values of the phase.
        best: best epoch of the phase by the monitored metric.
    """

    name: str
    first: Epoch
    last: Epoch
    best: Epoch


def rate_drops(history: Sequence[Epoch]) -> list[int]:
    """Return the indices of the epochs that start at a lower learning rate than the previous epoch.

    A rate that falls more than once, and between most pairs of epochs, decays smoothly and has no drops.
    """
    falls = [
        index for index in range(1, len(history)) if history[index].learning_rate < history[index - 1].learning_rate
    ]
    return [] if len(falls) > 1 and 2 * len(falls) > len(history) - 1 else falls


def phases(history: Sequence[Epoch], settings: TrainSettings) -> tuple[Phase, ...]:
    """Divide ``history`` into contiguous phases; an empty history has none."""
    if not history:
        return ()
    starts = _by_rate(history) if rate_drops(history) else _by_progress(history)
    ends = [*list(starts)[1:], len(history)]
    return tuple(_phase(name, history[start:end], settings) for (start, name), end in zip(starts.items(), ends))


def phases_text(found: Sequence[Phase]) -> str:
    """Format phases as a table with one row per phase: epochs, learning rate, accuracies and best epoch."""
    rows = [
        [
            phase.name,
            _span(f"{phase.first.epoch}", f"{phase.last.epoch}", "-"),
            _span(f"{phase.first.learning_rate:.2g}", f"{phase.last.learning_rate:.2g}"),
            _span(f"{100 * phase.first.accuracy:.1f}", f"{100 * phase.last.accuracy:.1f}"),
            _span(f"{100 * phase.first.selection_accuracy:.1f}", f"{100 * phase.last.selection_accuracy:.1f}"),
            f"{phase.best.epoch} ({100 * phase.best.selection_accuracy:.1f})",
        ]
        for phase in found
    ]
    grid = table(["phase", "epochs", "rate", "training", "selection", "best"], rows)
    return f"{grid}\naccuracy in %, that of training with augmentation; best: epoch (selection)"


def _phase(name: str, epochs: Sequence[Epoch], settings: TrainSettings) -> Phase:
    return Phase(name, epochs[0], epochs[-1], epochs[best_epoch(epochs, settings)])


def _by_rate(history: Sequence[Epoch]) -> dict[int, str]:
    """Map the index of the first epoch of each phase to the phase name, split at learning-rate drops."""
    drops = rate_drops(history)
    peak = max(range(drops[0]), key=lambda index: history[index].learning_rate)
    starts = {0: "warm-up", peak: "full rate"} if peak else {0: "full rate"}
    return starts | {index: f"after drop {count}" for count, index in enumerate(drops, start=1)}


def _by_progress(history: Sequence[Epoch]) -> dict[int, str]:
    """Map the index of the first epoch of each phase to the phase name, split by accuracy gain; omit empty phases."""
    scores = [epoch.selection_accuracy for epoch in history]
    begin, top = scores[0], max(scores)
    starts, start = {}, 0
    for name, share in PROGRESS.items():
        if start == len(history):
            break
        starts[start] = name
        # The epoch that reaches the bound ends its phase; all epochs after the best one belong to the plateau.
        reached = next(index for index, score in enumerate(scores) if score >= begin + share * (top - begin) - 1e-12)
        start = max(start, reached + 1) if share < 1 else len(history)
    return starts


def _span(first: str, last: str, between: str = "\N{RIGHTWARDS ARROW}") -> str:
    return first if first == last else f"{first}{between}{last}"
