"""One training from the first epoch to its pictures: what ``edgefer train`` does.

    run = start(settings, dataset)                  # a run folder with settings and environment in it
    evaluation = complete(run, dataset)             # trains, or goes on training, then scores and draws

complete() may be called on any run folder, however far it has come; it does what is left.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import edgefer
from edgefer import files, plugins
from edgefer.data.dataset import Dataset
from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.errors import DataError
from edgefer.progress import Progress, silent
from edgefer.report.terminal.evaluation import describe
from edgefer.results import schema
from edgefer.results.evaluation import Evaluation
from edgefer.text_table import Result
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.plots.curves import draw_confusion, draw_curves
from edgefer.workstation.training.distillation import (
    check_teachers as check_teachers,
    compute_teacher_logits,
    describe_teachers,
    save_teacher_logits as keep_answers,
)
from edgefer.workstation.training.keras_inference import evaluate_run
from edgefer.workstation.training.loop import check_trainable, train, validation_split
from edgefer.workstation.training.model import build_network, load_weights
from edgefer.workstation.training.run import RUNS, Run, new_run
from edgefer.workstation.training.schedule import best_epoch
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["complete", "load_system", "start", "summary"]

SYSTEMS = "edgefer.workstation.training.systems"
# Paths of a machine; the record of a training is made to be shown to others, the run folder is not.
PRIVATE = ("source", "opened_with")
PACKAGES = ("keras", "tensorflow", "jax", "torch", "numpy", "opencv-python-headless")


def load_system(name: str) -> TrainSettings:
    """The settings of the system ``name``; UsageError where there is none."""
    system: TrainSettings = plugins.load(SYSTEMS, name).SYSTEM
    return system


def start(
    settings: TrainSettings,
    dataset: Dataset,
    *,
    opened_with: Mapping[str, Any],
    folder: Path | None = None,
    root: Path = RUNS,
    parent: Run | None = None,
    teachers: Sequence[Run] = (),
    progress: Progress = silent,
) -> Run:
    """Make the folder of a new run; nothing is trained yet.

    Args:
        opened_with: how ``dataset`` was asked for, in plain values; the run remembers it, so that later commands find
            the same data.
        parent: begin with the best weights of this run; optimizer and schedule begin anew.
        teachers: runs whose answers to the training images are learned too. They are asked here, and take a while.
        progress: told of the teachers.

    Raises:
        UsageError: the settings name an architecture that does not exist, or options that it does not have, or do not
            listen to teachers.
        DataError: ``folder`` holds a run, the data set lacks what training needs, or the weights of the parent or of a
            teacher cannot be loaded.
    """
    check_trainable(dataset, settings)
    check_teachers(teachers, settings)
    # Whatever can fail comes before the folder: one without weights would be the newest run of all later commands.
    environment = _environment(dataset, opened_with)
    network = build_network(load_keras(), settings)
    if parent is not None:
        parent.require_weights()
        hint = f"leave architecture, model and input as they are in {parent.folder / 'settings.toml'}"
        load_weights(network, parent.best_weights, hint=hint)
        environment["parent"] = describe_teachers([parent])[0]
    learn, _, _ = validation_split(dataset, settings)
    answers = compute_teacher_logits(teachers, learn, settings, progress=progress) if teachers else None
    environment["teachers"] = describe_teachers(teachers)
    run = new_run(root, settings, folder=folder)
    if parent is not None:
        files.write_bytes(run.parent_weights, parent.best_weights.read_bytes())
    if answers is not None:
        keep_answers(run, answers, learn.rows)
    run.save_json("environment.json", environment)
    return run


def complete(run: Run, dataset: Dataset, *, progress: Progress = silent, tensorboard: bool = False) -> Evaluation:
    """Train ``run`` to its end, score its best weights on the selection split, and draw the pictures.

    Raises:
        DataError: the data are not those that the run was started on.
        UsageError: this process runs Keras on another backend than the run was started on.
    """
    settings, environment = run.settings(), run.environment()
    run.require_data(dataset)
    if environment["data"].get("votes_sha256") != _votes_sha256(dataset):
        votes = environment["data"]["opened_with"].get("ferplus")
        raise DataError(
            f"{run.folder} was started with {'other' if votes else 'no'} FER+ votes",
            why="a run goes on with the targets that it began with",
            hint=f"--ferplus {votes}" if votes else "leave --ferplus out",
        )
    # Another backend draws other numbers, so a run stays on its own whatever $KERAS_BACKEND says by now.
    load_keras(backend=environment["backend"])
    train(dataset, settings, run=run, progress=progress, tensorboard=tensorboard)
    _, select, name = validation_split(dataset, settings)
    evaluation = evaluate_run(run, make_evaluation_set(dataset, select, name=name, spec=settings.input))
    history = run.history()
    best = best_epoch(history, settings, baseline=run.baseline())
    # 0 is the parent's weights, where no epoch was better than they are.
    number = history[best].epoch if best >= 0 else 0
    metrics = {"best_epoch": number, "epochs": len(history), "evaluation": evaluation.to_json()}
    run.save_json("metrics.json", metrics)
    draw_curves(history, run.folder / "curves.png", best=None if best < 0 else best)
    draw_confusion(evaluation, run.folder / "confusion.png")
    return evaluation


def _environment(dataset: Dataset, opened_with: Mapping[str, Any]) -> dict[str, Any]:
    """What the numbers of a run depend on beside its settings."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "edgefer": edgefer.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "cpu_count": os.cpu_count(),
        "backend": load_keras().backend.backend(),
        "packages": versions,
        "data": {
            "source": dataset.source,
            "layout": dataset.layout,
            "sha256": dataset.sha256,
            "votes_sha256": _votes_sha256(dataset),
            "opened_with": dict(opened_with),
            "images": {name: len(split) for name, split in dataset.splits.items()},
        },
    }


def _votes_sha256(dataset: Dataset) -> str | None:
    """Hash of the FER+ votes of Training; None where nobody has voted."""
    votes = dataset.split("Training").votes
    return None if votes is None else hashlib.sha256(votes.tobytes()).hexdigest()


def summary(run: Run) -> Result:
    """What a finished run came to."""
    metrics = run.metrics()
    if metrics is None:
        raise DataError(f"{run.folder} is not finished", hint=f"edgefer train --resume {run.folder}")
    evaluation = Evaluation.from_json(metrics["evaluation"])
    environment = run.environment()
    data = environment["data"]
    record = {
        **schema.header("training", 1),
        "run": str(run.folder),
        "settings": dataclasses.asdict(run.settings()),
        "environment": {**environment, "data": {name: data[name] for name in data if name not in PRIVATE}},
        **metrics,
        "duration_s": sum(epoch.duration_s for epoch in run.history()),
    }
    best = f"best epoch {metrics['best_epoch']} of {metrics['epochs']}"
    if metrics["best_epoch"] == 0:
        best = f"none of {metrics['epochs']} epochs was better than the weights it began with, so these are kept"
    text = (
        f"{run.settings().system}: {describe(evaluation)},\n"
        f"{best}; everything is in {run.folder}\n"
        "next: edgefer quantize --int8"
    )
    return Result(record, text)
