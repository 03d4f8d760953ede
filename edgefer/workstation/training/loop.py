"""Train with Keras 3 on any backend, with bit-exact resumption after an interruption.

    split = validation_split(dataset, settings)
    run = train(split, settings, run=new_run(Path("runs"), settings))
    run = train(split, run.settings(), run=run)     # resumes the run, or returns it unchanged if complete

All randomness in an epoch derives from (seed, epoch): the image order and, through reset seed generators, augmentation
and dropout. The state after an epoch therefore determines all later epochs. It is a single file, renamed into place
after the weights of that epoch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import numpy as np

from edgefer.data.naming import list_names
from edgefer.errors import DataError
from edgefer.progress import Progress, silent
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.networks.data_parallel import DataParallel
from edgefer.workstation.training.distillation import soft_targets
from edgefer.workstation.training.epoch_data import epoch_loader, steps_per_epoch
from edgefer.workstation.training.model import check_options
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.schedule import Epoch, ValidationScore, best_epoch, has_stalled, learning_rate
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.tensorboard import log_epoch
from edgefer.workstation.training.trainer import SEGMENT_BYTES, Trainer
from edgefer.workstation.training.validation import ValidationSplit, validation_loss

__all__ = ["check_trainable", "train"]


def check_trainable(split: ValidationSplit, settings: TrainSettings) -> None:
    """Validate the images and the settings before any slow work.

    Raises:
        UsageError: the architecture does not exist, or does not accept the options.
        DataError: there are no training images, no validation images, or all images have one class.
    """
    check_options(settings)
    labels = split.training.label_names
    if len(labels) < 2:
        why, hint = "a network learns to distinguish two or more", "--data with images of another class"
        raise DataError(f"all images have the class {list_names(labels)}", why=why, hint=hint)
    training, validation = len(split.training), len(split.validation)
    if not training or not validation:
        raise DataError(
            f"the validation split has {validation} of {training + validation} Training images",
            why="selection_share is rounded to whole images in each class",
            hint="--set selection_share=0.5, or a data set with a validation split",
        )


def train(
    split: ValidationSplit,
    settings: TrainSettings,
    *,
    run: Run,
    progress: Progress = silent,
    tensorboard: bool = False,
    parallel: DataParallel | None = None,
) -> Run:
    """Train until the last epoch or early stopping, starting from the state in the run folder.

    Args:
        split: training and validation images, not preprocessed.
        settings: training settings.
        run: run folder to write to.
        progress: callback with (completed epochs, total epochs, latest result); fractions of an epoch are rounded down.
        tensorboard: also log each epoch to ``tensorboard/`` in the run folder.
        parallel: devices that share each batch; None for one device. Only the writing process writes to the folder.

    Raises:
        DataError: the state file is damaged or belongs to other settings, the loss is not finite, or another process
            trains in the folder.
    """
    check_trainable(split, settings)
    with contextlib.ExitStack() as stack:
        if parallel is None or parallel.is_writer:
            stack.enter_context(run.only_trainer())
        if parallel is not None:
            parallel.check_images(len(split.training), settings.batch_size)
            stack.enter_context(parallel.active(load_keras()))
        _train(split, settings, run, progress, tensorboard=tensorboard, parallel=parallel)
    return run


def _train(
    split: ValidationSplit,
    settings: TrainSettings,
    run: Run,
    progress: Progress,
    *,
    tensorboard: bool,
    parallel: DataParallel | None,
) -> None:
    soft = soft_targets(run, split.training, settings)
    # Views are augmented before the preprocessing.
    unprepared, split = split.training, split.prepare(settings.input)
    steps = steps_per_epoch(split.training, settings)
    classes = len(split.training.label_names)
    trainer = Trainer(
        load_keras(), settings, steps_per_epoch=steps, classes=classes, distill=soft is not None, parallel=parallel
    )
    writes = parallel is None or parallel.is_writer
    history = trainer.restore(run)
    if writes and history != run.history():
        run.save_history(history)  # the process was killed between the two files
    if run.parent is not None and not history:
        _load_parent(trainer, run, split, writes=writes)
    if parallel is not None:
        parallel.wait("initial weights")
    baseline = run.baseline()
    # A compiled epoch waits for its images, so the next one is built during the current one if it fits.
    memory_bytes = SEGMENT_BYTES if trainer.compiles_epochs else 0
    training = unprepared if settings.views else split.training
    with epoch_loader(training, settings, soft_targets=soft, memory_bytes=memory_bytes) as loader:
        while len(history) < settings.epochs and not has_stalled(history, settings):
            epoch, rate = len(history), learning_rate(history, settings)
            batches = loader.load(epoch, per_class_recall=trainer.per_class_recall)
            plain = split.training.pixels if settings.views else None
            metrics = trainer.run_epoch(batches, epoch=epoch, learning_rate=rate, progress=progress, plain=plain)
            score = _validate(trainer, split, epoch=epoch + 1)
            trainer.update_per_class_recall(split.training)
            history.append(
                Epoch(
                    epoch=epoch + 1,
                    learning_rate=rate,
                    loss=metrics.loss,
                    accuracy=metrics.accuracy,
                    selection_loss=score.selection_loss,
                    selection_accuracy=score.selection_accuracy,
                    duration_s=metrics.duration_s,
                )
            )
            if writes:
                # Best weights first: after a crash in between, the repeated epoch writes the same bytes again.
                if best_epoch(history, settings, baseline=baseline) == epoch:
                    trainer.save_averaged(run.best_weights)
                trainer.save_averaged(run.last_weights)
                trainer.save(run, history)
                run.save_history(history)
                if tensorboard:
                    log_epoch(run.folder / "tensorboard", history[-1])
            else:
                trainer.restore_raw_weights()
            progress(len(history), settings.epochs, _note(history, settings))


def _load_parent(trainer: Trainer, run: Run, split: ValidationSplit, *, writes: bool) -> None:
    """Load the initial weights and save them, with their validation score, as the best weights so far.

    Weights with outputs for new classes are no result: the first epoch always replaces them.
    """
    trainer.load(run.parent_weights)
    if (run.parent or {}).get("new_classes"):
        return
    score = _validate(trainer, split, epoch=0)
    if writes:
        trainer.save_averaged(run.best_weights)
        run.save_baseline(score)


def _validate(trainer: Trainer, split: ValidationSplit, *, epoch: int) -> ValidationScore:
    """Score the weights in the network on the validation images, after ``epoch`` epochs."""
    settings, validation = trainer.settings, split.validation
    logits = trainer.averaged_logits(validation.pixels)
    hint = f"--set learning_rate={settings.learning_rate / 10:g}   (a new run)"
    loss = validation_loss(logits, validation, what=f"the training has diverged in epoch {epoch}", hint=hint)
    accuracy = float((logits.argmax(axis=1) == validation.labels).mean())
    if trainer.parallel is not None:  # other processors may round differently, and the score decides what follows
        loss, accuracy = map(float, trainer.parallel.broadcast(np.array([loss, accuracy])))
    return ValidationScore(loss, accuracy)


def _note(history: Sequence[Epoch], settings: TrainSettings) -> str:
    last, best = history[-1], history[best_epoch(history, settings)]
    return (
        f"loss {last.loss:.3f}, validation {last.selection_accuracy:.2%}, "
        f"best {best.selection_accuracy:.2%} in epoch {best.epoch}"
    )
