"""Run one training from settings to plots: the steps of ``edgefer train``.

    split = validation_split(dataset, settings)
    run = start(settings, dataset, split=split, opened_with={"data": "fer2013.csv"})
    evaluation = complete(run, dataset, split=split)    # trains or resumes, then evaluates and plots
    record = training_record(run)

complete() accepts any run folder and performs only the remaining steps.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgefer import plugins
from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset
from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.errors import DataError
from edgefer.progress import Progress, silent
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.networks.data_parallel import DataParallel
from edgefer.workstation.plots.curves import draw_confusion, draw_curves
from edgefer.workstation.training.distillation import check_teachers, compute_teacher_logits, save_teacher_logits
from edgefer.workstation.training.keras_inference import evaluate_run
from edgefer.workstation.training.loop import check_trainable, train
from edgefer.workstation.training.model import build_network, check_options, save_weights
from edgefer.workstation.training.run import RUNS, Run, check_new_folder, new_run
from edgefer.workstation.training.schedule import best_epoch
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.teachers import Teacher
from edgefer.workstation.training.trainer import read_training_state
from edgefer.workstation.training.validation import ValidationSplit, validation_split
from edgefer.workstation.workflows.environment import describe_data, describe_machine, votes_sha256
from edgefer.workstation.workflows.initial_weights import (
    InitialWeights,
    check_initial_weights,
    initialize,
    new_classes,
)

__all__ = ["check_resume", "check_start", "complete", "load_system", "start", "training_record"]

SYSTEMS = "edgefer.workstation.training.systems"
# Paths on this machine. A training record may be published; the run folder stays private.
PRIVATE = ("source", "opened_with")


def load_system(name: str) -> TrainSettings:
    """Return the settings of a system.

    Raises:
        UsageError: the system does not exist.
    """
    system: TrainSettings = plugins.load(SYSTEMS, name).SYSTEM
    return system


def check_start(
    settings: TrainSettings,
    *,
    labels: Sequence[str] = LABELS,
    folder: Path | None = None,
    parent: InitialWeights | None = None,
    teachers: Sequence[Teacher] = (),
) -> None:
    """Check everything about a new run that does not need its data set, before the data set is read.

    Args:
        settings, folder, parent, teachers: as in start().
        labels: class names; before the data set is read, any number of classes serves to check the settings.

    Raises:
        UsageError: the architecture does not exist or lacks an option, the settings ignore the teachers, or describe
            another network than that of the parent.
        DataError: the folder contains a run, or the weights of the parent cannot be loaded.
    """
    check_options(settings)
    check_teachers(teachers, settings)
    if parent is None:
        build_network(load_keras(), settings, classes=len(labels))
    else:
        check_initial_weights(parent, settings)
    check_new_folder(folder)


def start(
    settings: TrainSettings,
    dataset: Dataset,
    *,
    opened_with: Mapping[str, Any],
    split: ValidationSplit | None = None,
    folder: Path | None = None,
    root: Path = RUNS,
    parent: InitialWeights | None = None,
    teachers: Sequence[Teacher] = (),
    devices: int = 1,
    progress: Progress = silent,
) -> Run:
    """Create the folder of a new run, without training it.

    Args:
        settings: training settings.
        dataset: data set with a Training split.
        opened_with: options that opened the data set; later commands reopen it with them.
        split: result of validation_split(), which is computed if omitted.
        folder: run folder, or None for a new folder in ``root``.
        root: folder of all runs.
        parent: source of the initial weights; optimizer and schedule start from the beginning. Outputs for classes that
            it lacks get fresh weights.
        teachers: classifiers to distill. Their logits on the training images are computed here, which takes a while.
        devices: number of devices that share each batch.
        progress: progress callback of the teachers.

    Raises:
        UsageError: the architecture does not exist or lacks an option, or the settings ignore the teachers.
        DataError: the folder contains a run, the data set lacks a split, or the weights of the parent or of a teacher
            cannot be loaded.
    """
    check_start(settings, labels=dataset.labels, folder=folder, parent=parent, teachers=teachers)
    split = split or validation_split(dataset, settings)
    check_trainable(split, settings)
    environment = describe_machine(load_keras().backend.backend())
    if devices > 1:
        environment["devices"] = devices
    environment["data"] = describe_data(dataset, opened_with)
    if dataset.labels != LABELS:
        environment["labels"] = list(dataset.labels)
    initial = None
    if parent is not None:
        initial = initialize(parent, settings, labels=dataset.labels, faces=split.training.pixels)
        added = new_classes(parent, dataset.labels)
        environment["parent"] = {**parent.reference, **({"new_classes": list(added)} if added else {})}
    logits = compute_teacher_logits(teachers, split.training, settings, progress=progress) if teachers else None
    environment["teachers"] = [teacher.reference for teacher in teachers]

    def prepare(run: Run) -> None:
        if initial is not None:
            save_weights(initial, run.parent_weights)
        if logits is not None:
            save_teacher_logits(run, logits, split.training.rows, settings)
        run.save_json("environment.json", environment)

    # Create the folder after everything that can fail: without weights, it would still be the newest run.
    return new_run(root, settings, folder=folder, prepare=prepare)


def check_resume(run: Run, *, writes: bool = True) -> None:
    """Check everything about the continuation of a run that does not need its data set.

    Args:
        run: run folder with an interrupted training.
        writes: False in a process that trains along and leaves the run folder to another one.

    Raises:
        UsageError: this process uses another Keras backend than the run.
        DataError: settings, history or state are damaged or do not match, or another process trains in the folder.
    """
    run.history()
    run.metrics()
    load_keras(backend=run.environment()["backend"])
    check_options(run.settings())
    with run.only_trainer() if writes else contextlib.nullcontext():
        read_training_state(run)


def complete(
    run: Run,
    dataset: Dataset,
    *,
    split: ValidationSplit | None = None,
    progress: Progress = silent,
    tensorboard: bool = False,
    parallel: DataParallel | None = None,
) -> Evaluation:
    """Train a run to its end, evaluate its best weights on the validation split, and plot the results.

    Args:
        run: run folder that start() created.
        dataset: data set of the run.
        split: result of validation_split() for the settings of the run, which is computed if omitted.
        progress: progress callback of the training.
        tensorboard: also write TensorBoard logs.
        parallel: devices that share each batch; None for one device.

    Raises:
        DataError: the run was started with other data.
        UsageError: this process uses another Keras backend than the run.
    """
    settings, environment = run.settings(), run.environment()
    run.require_data(dataset)
    if environment["data"].get("votes_sha256") != votes_sha256(dataset):
        votes = environment["data"]["opened_with"].get("ferplus")
        raise DataError(
            f"{run.folder} was started with {'other' if votes else 'no'} FER+ votes",
            why="a resumed run needs the same targets",
            hint=f"--ferplus {votes}" if votes else "omit --ferplus",
        )
    # Backends draw different random numbers, so a run keeps its backend whatever $KERAS_BACKEND is now.
    load_keras(backend=environment["backend"])
    split = split or validation_split(dataset, settings)
    train(split, settings, run=run, progress=progress, tensorboard=tensorboard, parallel=parallel)
    images = make_evaluation_set(dataset, split.validation, name=split.name, spec=settings.input)
    evaluation = evaluate_run(run, images)
    history = run.history()
    best = best_epoch(history, settings, baseline=run.baseline())
    # Number 0 means the initial weights, if no epoch exceeded them.
    number = history[best].epoch if best >= 0 else 0
    metrics = {"best_epoch": number, "epochs": len(history), "evaluation": evaluation.to_json()}
    run.save_json("metrics.json", metrics)
    draw_curves(history, run.folder / "curves.png", best=None if best < 0 else best)
    draw_confusion(evaluation, run.folder / "confusion.png")
    return evaluation


def training_record(run: Run) -> dict[str, Any]:
    """Return the record of a completed run.

    Raises:
        DataError: the training is not complete.
    """
    metrics = run.metrics()
    if metrics is None:
        raise DataError(f"the training in {run.folder} is not complete", hint=run.resume_command)
    environment = run.environment()
    data = environment["data"]
    return {
        **schema.header("training", 1),
        "run": str(run.folder),
        "settings": dataclasses.asdict(run.settings()),
        "environment": {**environment, "data": {name: data[name] for name in data if name not in PRIVATE}},
        **metrics,
        "duration_s": sum(epoch.duration_s for epoch in run.history()),
    }
