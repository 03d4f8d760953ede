"""Training with Keras 3, on any of its backends, in a way that can be killed at any moment and continued bit for bit.

    run = train(dataset, settings, run=new_run(Path("runs"), settings))
    run = train(dataset, run.settings(), run=run)   # goes on where the folder ends, or returns it as it is

Everything random in an epoch follows from (seed, epoch): the order of the images and, through reset seed generators,
augmentation and dropout. So the state after an epoch is enough to repeat what follows, and it is one file, renamed into
place after the weights that belong to it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError
from edgefer.labels import LABELS
from edgefer.preprocess import prepare_all
from edgefer.progress import Progress, silent
from edgefer.statistics import cross_entropy
from edgefer.workstation.backend import load_keras
from edgefer.workstation.dataset import Dataset, Split, ferplus_targets
from edgefer.workstation.network import check_options
from edgefer.workstation.runs import Run
from edgefer.workstation.schedule import Epoch, best_epoch, has_stalled
from edgefer.workstation.settings import TrainSettings
from edgefer.workstation.trainer import Trainer

__all__ = ["check_trainable", "lesson", "selection_loss", "selection_split", "train", "without_selection"]


def selection_split(dataset: Dataset, settings: TrainSettings) -> tuple[Split, Split, str]:
    """(images to learn from, images to choose the best epoch on, the name of the latter).

    PublicTest selects where there is one; else a stratified share of Training is held out. PrivateTest is never
    touched.
    """
    training = dataset.split("Training")
    if "PublicTest" in dataset.splits:
        return training, dataset.split("PublicTest"), "PublicTest"
    generator = np.random.default_rng([settings.seed, 1])
    held_out = np.zeros(len(training), bool)
    for label in range(len(LABELS)):
        members = generator.permutation(np.flatnonzero(training.labels == label))
        held_out[members[: round(len(members) * settings.selection_share)]] = True
    return _subset(training, ~held_out), _subset(training, held_out), f"{settings.selection_share:.0%} of Training"


def without_selection(dataset: Dataset, settings: TrainSettings) -> Dataset:
    """``dataset`` with the images that choose the best epoch in a split of their own, outside Training."""
    learn, select, name = selection_split(dataset, settings)
    return dataclasses.replace(dataset, splits={**dataset.splits, "Training": learn, name: select})


def _subset(split: Split, chosen: npt.NDArray[np.bool_]) -> Split:
    votes = None if split.votes is None else split.votes[chosen]
    return Split(split.pixels[chosen], split.labels[chosen], split.rows[chosen], votes)


def check_trainable(dataset: Dataset, settings: TrainSettings) -> None:
    """Refuse before anything slow what train() would refuse later.

    Raises:
        UsageError: no such architecture, or options that its build() does not have.
        DataError: nothing to learn from, or nothing to select on.
    """
    check_options(settings)
    learn, select, _ = selection_split(dataset, settings)
    if not len(learn) or not len(select):
        raise DataError(
            f"{len(select)} of {len(learn) + len(select)} Training images are left to choose the best epoch on",
            why="there is no PublicTest, and of each class the share of selection_share is rounded",
            fix="--set selection_share=0.5, or a data set with a PublicTest split",
        )


def train(dataset: Dataset, settings: TrainSettings, *, run: Run, progress: Progress = silent) -> Run:
    """Train until ``settings`` says it is done, going on from what the run folder holds already.

    Args:
        progress: is told (epochs done, epochs in all, the last result), with fractions of an epoch rounded down.

    Raises:
        DataError: the state file is damaged or belongs to other settings, the loss is no number any more, or another
            process trains in the folder.
    """
    check_trainable(dataset, settings)
    with run.only_trainer():
        _train(dataset, settings, run, progress)
    return run


def _train(dataset: Dataset, settings: TrainSettings, run: Run, progress: Progress) -> None:
    learn, select = (
        dataclasses.replace(split, pixels=prepare_all(split.pixels, settings.input))
        for split in selection_split(dataset, settings)[:2]
    )
    keras = load_keras()
    trainer = Trainer(keras, settings, steps_per_epoch=max(1, len(learn) // settings.batch_size))
    history = trainer.restore(run)
    while len(history) < settings.epochs and not has_stalled(history, settings):
        epoch = trainer.run_epoch(lesson(learn, settings, epoch=len(history)), history, progress)
        epoch = _validated(trainer, epoch, select, settings)
        history.append(epoch)
        # Best weights first: if the process dies in between, the epoch is repeated and writes the same bytes again.
        if best_epoch(history, settings) == len(history) - 1:
            trainer.save_averaged(run.best_weights)
        trainer.save_averaged(run.last_weights)
        trainer.save(run, history)
        run.save_history(history)
        progress(len(history), settings.epochs, _remark(history, settings))


def _remark(history: Sequence[Epoch], settings: TrainSettings) -> str:
    last, best = history[-1], history[best_epoch(history, settings)]
    return (
        f"loss {last.loss:.3f}, selection {last.selection_accuracy:.2%}, "
        f"best {best.selection_accuracy:.2%} in epoch {best.epoch}"
    )


def lesson(learn: Split, settings: TrainSettings, *, epoch: int) -> tuple[npt.NDArray[Any], ...]:
    """What ``epoch`` (counted from 0) learns, in its order: uint8 (n, h, w, 1), targets (n, 7) and weights (n,).

    A rest that fills no batch is left to another epoch's draw.
    """
    order = np.random.default_rng([settings.seed, 0, epoch]).permutation(len(learn))
    order = order[: max(1, len(order) // settings.batch_size) * settings.batch_size]
    return learn.pixels[order, ..., None], _targets(learn, settings)[order], _sample_weights(learn, settings)[order]


def _targets(split: Split, settings: TrainSettings) -> npt.NDArray[np.float32]:
    """(n, 7) distributions: one-hot, mixed with FER+ votes where there are any, then smoothed."""
    targets = np.eye(len(LABELS), dtype=np.float32)[split.labels]
    if split.votes is not None:
        targets += settings.ferplus_weight * (ferplus_targets(split) - targets)
    return targets * np.float32(1 - settings.label_smoothing) + np.float32(settings.label_smoothing / len(LABELS))


def _sample_weights(split: Split, settings: TrainSettings) -> npt.NDArray[np.float32]:
    if settings.class_weights == "none":
        return np.ones(len(split), np.float32)
    counts = np.bincount(split.labels, minlength=len(LABELS))
    present = counts > 0
    weight = np.where(present, len(split) / (present.sum() * np.maximum(counts, 1)), 0.0)
    return weight.astype(np.float32)[split.labels]


def selection_loss(logits: npt.NDArray[np.float32], select: Split, *, what: str, fix: str) -> float:
    """Cross-entropy of ``logits`` (n, 7) in nats; DataError of ``what`` and ``fix`` where it is no number any more."""
    loss = cross_entropy(logits, select.labels)
    if not np.isfinite(loss):
        raise DataError(what, why="its loss is no number any more", fix=fix)
    return loss


def _validated(trainer: Trainer, epoch: Epoch, select: Split, settings: TrainSettings) -> Epoch:
    logits = trainer.averaged_logits(select.pixels)
    fix = f"edgefer train --system {settings.system} --set learning_rate={settings.learning_rate / 10:g}"
    loss = selection_loss(logits, select, what=f"the training has diverged in epoch {epoch.epoch}", fix=fix)
    accuracy = float((logits.argmax(axis=1) == select.labels).mean())
    return dataclasses.replace(epoch, selection_loss=loss, selection_accuracy=accuracy)
