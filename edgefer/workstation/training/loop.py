"""Train with Keras 3 on any backend, with bit-exact resumption after an interruption.

    run = train(dataset, settings, run=new_run(Path("runs"), settings))
    run = train(dataset, run.settings(), run=run)   # resumes the run, or returns it unchanged if complete

All randomness in an epoch derives from (seed, epoch): the image order and, through reset seed generators, augmentation
and dropout. The state after an epoch therefore determines all later epochs. It is a single file, renamed into place
after the weights of that epoch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Dataset, Split
from edgefer.errors import DataError
from edgefer.progress import Progress, silent
from edgefer.statistics import cross_entropy
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.distillation import soft_targets
from edgefer.workstation.training.epoch_data import epoch_loader, make_epoch
from edgefer.workstation.training.model import check_options
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import Epoch, best_epoch, has_stalled
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.tensorboard import log_epoch
from edgefer.workstation.training.trainer import Trainer

__all__ = ["check_trainable", "drop_validation", "train", "validation_loss", "validation_split"]

# Estimates the recall of the rarest class within a few points, for a tenth of the cost of an epoch.
RECALLED = 8192


def validation_split(dataset: Dataset, settings: TrainSettings) -> tuple[Split, Split, str]:
    """Split ``dataset`` into training images and validation images.

    PublicTest is the validation split if it exists and ``settings.selection`` is "public". Otherwise a stratified share
    of Training is held out. PrivateTest is never used.

    Returns:
        The training images, the validation images that select the best epoch, and the name of the latter.
    """
    training = dataset.split("Training")
    if settings.selection == "public" and "PublicTest" in dataset.splits:
        return training, dataset.split("PublicTest"), "PublicTest"
    generator = np.random.default_rng([settings.seed, 1])
    held_out = np.zeros(len(training), bool)
    for label in range(len(LABELS)):
        members = generator.permutation(np.flatnonzero(training.labels == label))
        held_out[members[: round(len(members) * settings.selection_share)]] = True
    return _subset(training, ~held_out), _subset(training, held_out), f"{settings.selection_share:.0%} of Training"


def drop_validation(dataset: Dataset, settings: TrainSettings) -> Dataset:
    """Return ``dataset`` with the validation images moved out of Training into a split of their own."""
    learn, select, name = validation_split(dataset, settings)
    return dataclasses.replace(dataset, splits={**dataset.splits, "Training": learn, name: select})


def _subset(split: Split, chosen: npt.NDArray[np.bool_]) -> Split:
    votes = None if split.votes is None else split.votes[chosen]
    return Split(split.pixels[chosen], split.labels[chosen], split.rows[chosen], votes)


def check_trainable(dataset: Dataset, settings: TrainSettings) -> None:
    """Validate ``dataset`` and ``settings`` before any slow work.

    Raises:
        UsageError: the architecture does not exist, or does not accept the options.
        DataError: the training split or the validation split is empty.
    """
    check_options(settings)
    learn, select, _ = validation_split(dataset, settings)
    if not len(learn) or not len(select):
        raise DataError(
            f"{len(select)} of {len(learn) + len(select)} Training images are left to choose the best epoch on",
            why="they are held out of Training, and of each class the share of selection_share is rounded",
            hint="--set selection_share=0.5, or a data set with a PublicTest split",
        )


def train(
    dataset: Dataset, settings: TrainSettings, *, run: Run, progress: Progress = silent, tensorboard: bool = False
) -> Run:
    """Train until the last epoch or early stopping, starting from the state in the run folder.

    Args:
        dataset: raw images with labels.
        settings: training settings.
        run: run folder to write to.
        progress: callback with (completed epochs, total epochs, latest result); fractions of an epoch are rounded down.
        tensorboard: also log each epoch to ``tensorboard/`` in the run folder.

    Raises:
        DataError: the state file is damaged or belongs to other settings, the loss is not finite, or another process
            trains in the folder.
    """
    check_trainable(dataset, settings)
    with run.only_trainer():
        _train(dataset, settings, run, progress, tensorboard=tensorboard)
    return run


def _train(dataset: Dataset, settings: TrainSettings, run: Run, progress: Progress, *, tensorboard: bool) -> None:
    learn, select = (
        dataclasses.replace(split, pixels=prepare_all(split.pixels, settings.input))
        for split in validation_split(dataset, settings)[:2]
    )
    keras, soft = load_keras(), soft_targets(run, learn, settings)
    steps = len(make_epoch(learn, settings, epoch=0)[0]) // settings.batch_size
    trainer = Trainer(keras, settings, steps_per_epoch=max(1, steps), taught=soft is not None)
    history = trainer.restore(run)
    if run.parent is not None and not history:
        _begin_with_parent(trainer, run, select, settings)
    baseline = run.baseline()
    with epoch_loader(learn, settings, soft=soft) as lessons:
        while len(history) < settings.epochs and not has_stalled(history, settings):
            epoch = trainer.run_epoch(lessons.of(len(history), recalls=trainer.recalls), history, progress)
            epoch = _validated(trainer, epoch, select, settings)
            if settings.class_weights == "dynamic":
                trainer.recalls = _recalls(trainer, learn)
            history.append(epoch)
            # Best weights first: after a crash in between, the repeated epoch writes the same bytes again.
            if best_epoch(history, settings, baseline=baseline) == len(history) - 1:
                trainer.save_averaged(run.best_weights)
            trainer.save_averaged(run.last_weights)
            trainer.save(run, history)
            run.save_history(history)
            if tensorboard:
                log_epoch(run.folder / "tensorboard", epoch)
            progress(len(history), settings.epochs, _remark(history, settings))


def _begin_with_parent(trainer: Trainer, run: Run, select: Split, settings: TrainSettings) -> None:
    """Load the parent's weights and save them, with their validation score, as the best weights so far."""
    trainer.load(run.parent_weights)
    trainer.save_averaged(run.best_weights)
    unknown = Epoch(0, 0.0, float("nan"), float("nan"), float("nan"), float("nan"), 0.0)
    run.save_baseline(_validated(trainer, unknown, select, settings))


def _recalls(trainer: Trainer, learn: Split) -> npt.NDArray[np.float64]:
    """Compute the recall of each class on at most RECALLED unaugmented training images, as float64 (7,)."""
    chosen = np.linspace(0, len(learn) - 1, min(len(learn), RECALLED)).astype(np.int64)
    labels, answers = learn.labels[chosen], trainer.averaged_logits(learn.pixels[chosen]).argmax(axis=1)
    counts = np.bincount(labels, minlength=len(LABELS))
    found = np.bincount(labels[answers == labels], minlength=len(LABELS))
    return found / np.maximum(counts, 1)


def _remark(history: Sequence[Epoch], settings: TrainSettings) -> str:
    last, best = history[-1], history[best_epoch(history, settings)]
    return (
        f"loss {last.loss:.3f}, selection {last.selection_accuracy:.2%}, "
        f"best {best.selection_accuracy:.2%} in epoch {best.epoch}"
    )


def validation_loss(logits: npt.NDArray[np.float32], select: Split, *, what: str, hint: str) -> float:
    """Compute the cross-entropy of ``logits`` (n, 7) in nats.

    Args:
        logits: float32 (n, 7).
        select: validation images, with n labels.
        what: message of the error.
        hint: hint of the error.

    Raises:
        DataError: the loss is not finite.
    """
    loss = cross_entropy(logits, select.labels)
    if not np.isfinite(loss):
        raise DataError(what, why="its loss is no number any more", hint=hint)
    return loss


def _validated(trainer: Trainer, epoch: Epoch, select: Split, settings: TrainSettings) -> Epoch:
    logits = trainer.averaged_logits(select.pixels)
    hint = f"edgefer train --system {settings.system} --set learning_rate={settings.learning_rate / 10:g}"
    loss = validation_loss(logits, select, what=f"the training has diverged in epoch {epoch.epoch}", hint=hint)
    accuracy = float((logits.argmax(axis=1) == select.labels).mean())
    return dataclasses.replace(epoch, selection_loss=loss, selection_accuracy=accuracy)
