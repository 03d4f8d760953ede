"""What a training decides between epochs: the learning rate, the best epoch, whether to stop.

All of it is a pure function of the settings and the epochs so far, so a resumed training decides alike.

A training told in a few lines: which phases it went through, and what each of them brought.

    rate_drops(history)                             # [30, 45]: where the learning rate fell, as indices
    found = phases(history, settings)
    phases_text(found)

Where the rate falls now and then, each drop begins a phase. Where it glides (cosine) or never falls, a phase ends when
the best score so far has come a certain part of its way.
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
        epoch: counted from 1.
        learning_rate: constant within the epoch.
        loss, accuracy: on the augmented training images while they were learned; accuracy is a share.
        selection_loss, selection_accuracy: on the selection split after the epoch; the loss is cross-entropy without
            smoothing, in nats.
        duration_s: wall-clock time.
    """

    epoch: int
    learning_rate: float
    loss: float
    accuracy: float
    selection_loss: float
    selection_accuracy: float
    duration_s: float


def score(epoch: Epoch, settings: TrainSettings) -> float:
    """What ``settings.monitor`` asks for; higher is better."""
    return epoch.selection_accuracy if settings.monitor == "accuracy" else -epoch.selection_loss


def best_epoch(history: Sequence[Epoch], settings: TrainSettings, *, baseline: Epoch | None = None) -> int:
    """Index of the best epoch, the earliest of equals; -1 where there is none, or none better than ``baseline``."""
    scores = [score(epoch, settings) for epoch in history]
    if not scores or (baseline is not None and max(scores) <= score(baseline, settings)):
        return -1
    return scores.index(max(scores))


def has_stalled(history: Sequence[Epoch], settings: TrainSettings) -> bool:
    """Whether early stopping is on and its patience has run out."""
    return 0 < settings.early_stopping <= len(history) - 1 - best_epoch(history, settings)


def learning_rate(history: Sequence[Epoch], settings: TrainSettings) -> float:
    """The rate for the epoch that follows ``history``."""
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


# What part of all that selection accuracy gains is there when a phase ends.
PROGRESS = {"initial learning": 0.7, "steady improvement": 0.95, "plateau": 1.0}


@dataclass(frozen=True)
class Phase:
    """Consecutive epochs of a training.

    Attributes:
        name: what they have in common.
        first, last: the epoch that each was the first or last of; their values are what the phase went from and to.
        best: the best of them, by what the training monitors.
    """

    name: str
    first: Epoch
    last: Epoch
    best: Epoch


def rate_drops(history: Sequence[Epoch]) -> list[int]:
    """Indices of the epochs that are the first at a lower learning rate; none for a rate that glides.

    A rate glides when it falls more than once and from most epochs to the next.
    """
    falls = [
        index for index in range(1, len(history)) if history[index].learning_rate < history[index - 1].learning_rate
    ]
    return [] if len(falls) > 1 and 2 * len(falls) > len(history) - 1 else falls


def phases(history: Sequence[Epoch], settings: TrainSettings) -> tuple[Phase, ...]:
    """The phases of ``history``, without a gap; none for an empty one."""
    if not history:
        return ()
    starts = _by_rate(history) if rate_drops(history) else _by_progress(history)
    ends = [*list(starts)[1:], len(history)]
    return tuple(_phase(name, history[start:end], settings) for (start, name), end in zip(starts.items(), ends))


def phases_text(found: Sequence[Phase]) -> str:
    """One row a phase: epochs, learning rate, accuracies from and to, best epoch."""
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
    """Index of the first epoch -> name of the phase that begins there."""
    drops = rate_drops(history)
    peak = max(range(drops[0]), key=lambda index: history[index].learning_rate)
    starts = {0: "warm-up", peak: "full rate"} if peak else {0: "full rate"}
    return starts | {index: f"after drop {count}" for count, index in enumerate(drops, start=1)}


def _by_progress(history: Sequence[Epoch]) -> dict[int, str]:
    """As _by_rate(); a phase that has no epoch is left out."""
    scores = [epoch.selection_accuracy for epoch in history]
    begin, top = scores[0], max(scores)
    starts, start = {}, 0
    for name, share in PROGRESS.items():
        if start == len(history):
            break
        starts[start] = name
        # The epoch that reaches the bound is the last of its phase; what follows the best one is plateau too.
        reached = next(index for index, score in enumerate(scores) if score >= begin + share * (top - begin) - 1e-12)
        start = max(start, reached + 1) if share < 1 else len(history)
    return starts


def _span(first: str, last: str, between: str = "\N{RIGHTWARDS ARROW}") -> str:
    return first if first == last else f"{first}{between}{last}"
