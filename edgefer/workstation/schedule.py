"""What a training decides between epochs: the learning rate, the best epoch, whether to stop.

All of it is a pure function of the settings and the epochs so far, so a resumed training decides alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.workstation.settings import TrainSettings

__all__ = ["Epoch", "best_epoch", "has_stalled", "learning_rate"]


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
