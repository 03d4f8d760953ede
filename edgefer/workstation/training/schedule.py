"""The history of a training, and the decisions that follow from it.

    rate = learning_rate(history, settings)         # of the next epoch
    best = best_epoch(history, settings)            # index of the epoch whose weights are kept
    if has_stalled(history, settings): ...          # early stopping
    for phase in phases(history, settings): ...     # a completed training in a few steps

All functions depend only on the settings and the completed epochs, so a resumed training makes the same decisions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.workstation.training.settings import TrainSettings

__all__ = [
    "Epoch", "Phase", "ValidationScore", "best_epoch", "has_stalled", "learning_rate", "phases", "rate_drops",
]  # fmt: skip

# Share of the total gain in validation accuracy that ends each phase.
PROGRESS = {"initial learning": 0.7, "steady improvement": 0.95, "plateau": 1.0}


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


@dataclass(frozen=True)
class ValidationScore:
    """Results on the validation split.

    Attributes:
        selection_loss: cross-entropy without label smoothing, in nats.
        selection_accuracy: accuracy as a fraction.
    """

    selection_loss: float
    selection_accuracy: float


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


def best_epoch(history: Sequence[Epoch], settings: TrainSettings, *, baseline: ValidationScore | None = None) -> int:
    """Return the index of the best epoch by ``settings.monitor``, or the earliest one in a tie.

    Args:
        history: completed epochs.
        settings: training settings.
        baseline: score of the initial weights, which an epoch must exceed.

    Returns:
        The index, or -1 if the history is empty or no epoch exceeds the baseline.
    """
    scores = [_monitored(epoch, settings) for epoch in history]
    if not scores or (baseline is not None and max(scores) <= _monitored(baseline, settings)):
        return -1
    return scores.index(max(scores))


def has_stalled(history: Sequence[Epoch], settings: TrainSettings) -> bool:
    """Return True if early stopping is enabled and its patience is exhausted."""
    return 0 < settings.early_stopping <= len(history) - 1 - best_epoch(history, settings)


def learning_rate(history: Sequence[Epoch], settings: TrainSettings, *, ahead: int = 0) -> float:
    """Compute the learning rate of the epoch that follows ``history``.

    Args:
        history: completed epochs.
        settings: training settings.
        ahead: number of further epochs to skip, which are assumed not to improve the monitored metric.
    """
    epoch, warmup = len(history) + ahead, settings.warmup_epochs
    if epoch < warmup:
        return settings.learning_rate * (epoch + 1) / (warmup + 1)
    factors = {"cosine": _cosine, "plateau": _plateau, "step": _step, "constant": lambda *_: 1.0}
    scores = [*(_monitored(result, settings) for result in history), *[-math.inf] * ahead]
    factor = factors[settings.schedule](scores, settings)
    return settings.learning_rate * max(factor, settings.floor)


def _monitored(result: Epoch | ValidationScore, settings: TrainSettings) -> float:
    """Return the metric that ``settings.monitor`` selects; higher is better."""
    return result.selection_accuracy if settings.monitor == "accuracy" else -result.selection_loss


def _cosine(scores: Sequence[float], settings: TrainSettings) -> float:
    # Loshchilov and Hutter, "SGDR", ICLR 2017, without restarts; the last epoch ends near zero.
    share = (len(scores) - settings.warmup_epochs) / max(1, settings.epochs - settings.warmup_epochs)
    return 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _step(scores: Sequence[float], settings: TrainSettings) -> float:
    return settings.factor ** ((len(scores) - settings.warmup_epochs) // settings.step_epochs)


def _plateau(scores: Sequence[float], settings: TrainSettings) -> float:
    factor, best, waited = 1.0, -math.inf, 0
    for score in scores:
        if score > best:
            best, waited = score, 0
        else:
            waited += 1
        if waited >= settings.plateau_patience:
            factor, waited = factor * settings.factor, 0
    return factor


def rate_drops(history: Sequence[Epoch]) -> list[int]:
    """Return the indices of the epochs that start at a lower learning rate than the previous epoch.

    A rate that falls more than once, and between most pairs of epochs, decays smoothly and has no drops.
    """
    rates = [epoch.learning_rate for epoch in history]
    falls = [index for index in range(1, len(rates)) if rates[index] < rates[index - 1]]
    return [] if len(falls) > 1 and 2 * len(falls) > len(history) - 1 else falls


def phases(history: Sequence[Epoch], settings: TrainSettings) -> tuple[Phase, ...]:
    """Divide a history into contiguous phases; an empty history has none.

    With a stepped learning rate, each drop starts a phase. With a smooth (cosine) or constant rate, phases end at fixed
    shares of the total gain in validation accuracy.
    """
    if not history:
        return ()
    starts = _by_rate(history) if rate_drops(history) else _by_progress(history)
    ends = [*list(starts)[1:], len(history)]
    return tuple(_phase(name, history[start:end], settings) for (start, name), end in zip(starts.items(), ends))


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
