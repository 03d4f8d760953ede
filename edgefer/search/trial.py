"""Run one trial in a worker: train in a run folder, quantize to int8, and score on the validation split.

    result = run_trial(plan, task, report=lambda epoch, accuracy: None)
    result["accuracy"], result["file_bytes"]

The run folder is the one of ``edgefer train``. A trial that was interrupted continues from its last epoch, if its
folder is on a file system that the worker reaches; otherwise it starts again, with the same result.
"""

from __future__ import annotations

import dataclasses
import os
import pickle
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgefer import files
from edgefer.errors import DataError, EdgeferError
from edgefer.processes import ChildResult, allow_output_suppression, call_module, serve_request
from edgefer.search.space import trial_name
from edgefer.workstation.training.settings_toml import from_toml

if TYPE_CHECKING:
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.data.dataset import Dataset
    from edgefer.workstation.training.run import Run

__all__ = ["Report", "Task", "TrialPlan", "quantize_trial", "run_trial", "take_faces"]

SCHEME = "int8"
Report = Callable[[int, float], None]
"""report(epoch, accuracy): called after each epoch with the accuracy of the float network, in 0..1."""


@dataclass(frozen=True)
class TrialPlan:
    """Facts that all trials of a search share.

    Attributes:
        folder: folder of the run folders, absolute.
        open_dataset: opens the data set for a model input; it can be pickled.
        opened_with: options that opened the data set, for later commands.
        faces: Training images; 0 for all.
        search: name of the search, for the records of the runs.
        variables: environment variables of the workers.
    """

    folder: Path
    open_dataset: Callable[[InputSpec], Dataset]
    opened_with: Mapping[str, Any]
    faces: int
    search: str
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """One trial.

    Attributes:
        number: number of the trial.
        settings: its settings, as TOML.
        teacher: its teachers, separated by commas; empty for none.
    """

    number: int
    settings: str
    teacher: str = ""


def run_trial(plan: TrialPlan, task: Task, *, report: Report) -> dict[str, Any]:
    """Train, quantize and score a trial.

    Args:
        plan: facts of the search.
        task: the trial.
        report: called after each epoch; an exception from it ends the trial.

    Returns:
        "accuracy", "float_accuracy", "epochs", "file_bytes", "duration_s" and "run"; or "reason", if the training
        failed in a way that would repeat.
    """
    os.environ.update(plan.variables)
    started = time.monotonic()
    with allow_output_suppression():
        try:
            run, dataset = _train(plan, task, report)
            scores = _quantize(plan, run, dataset)
        except EdgeferError as error:
            return {"reason": str(error).partition("\n")[0]}
    return {**scores, "run": str(run.folder.relative_to(plan.folder.parent)), "duration_s": time.monotonic() - started}


def take_faces(dataset: Dataset, count: int, *, seed: int) -> Dataset:
    """Return a data set with ``count`` of its Training images, a stratified draw; 0, or too many, keeps all.

    The digest stays that of the whole data set, so that later commands accept it for the run.
    """
    training = dataset.split("Training")
    if not 0 < count < len(training):
        return dataset
    generator = np.random.default_rng([seed, count])
    order = generator.permutation(len(training))
    labels = np.asarray(training.labels)[order]
    # The rank of an image within its class, in 0..1: the images with the lowest ranks have the shares of the classes.
    ranks = np.empty(len(order))
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        ranks[members] = (np.arange(len(members)) + 0.5) / len(members)
    chosen = np.sort(order[np.argsort(ranks, kind="stable")[:count]])
    return dataclasses.replace(dataset, splits={**dataset.splits, "Training": training.take(chosen)})


def quantize_trial(run: Run, dataset: Dataset) -> dict[str, Any]:
    """Quantize a trained run to int8, as ``edgefer quantize --int8`` does, write the .tflite, and return its scores."""
    from edgefer.workstation.workflows.quantization_context import QuantizationContext
    from edgefer.workstation.workflows.quantize import quantize

    quantized = quantize(QuantizationContext(run, dataset), SCHEME)
    path = run.artifact(SCHEME)
    quantized.artifact.save(path)
    return {
        "accuracy": quantized.evaluation.accuracy.share,
        "float_accuracy": quantized.float_evaluation.accuracy.share,
        "epochs": len(run.history()),
        "file_bytes": path.stat().st_size,
    }


# The data set that this worker opened last, with its key; most trials of a search share it.
_opened: list[Any] = []


def _open_once(open_dataset: Callable[[InputSpec], Dataset], spec: InputSpec) -> Dataset:
    """Open the data set, or return it if the last trial of this worker has opened it."""
    if not _opened or _opened[:2] != [open_dataset, spec]:
        _opened[:] = [open_dataset, spec, open_dataset(spec)]
    dataset: Dataset = _opened[2]
    return dataset


def _train(plan: TrialPlan, task: Task, report: Report) -> tuple[Run, Dataset]:
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.training.run import Run
    from edgefer.workstation.training.teachers import open_teacher
    from edgefer.workstation.workflows.train import complete, start

    settings = from_toml(task.settings)
    load_keras().utils.clear_session()
    dataset = take_faces(_open_once(plan.open_dataset, settings.input), plan.faces, seed=settings.seed)
    run = Run(plan.folder / trial_name(task.number))
    if (run.folder / "settings.toml").exists() and not (run.folder / "environment.json").exists():
        shutil.rmtree(run.folder)  # the worker was killed before its first epoch
    if not (run.folder / "settings.toml").exists():
        teachers = [open_teacher(name) for name in task.teacher.split(",") if name]
        run = start(
            settings, dataset, opened_with=plan.opened_with, folder=run.folder, root=plan.folder, teachers=teachers
        )
        record = {"name": plan.search, "trial": task.number, "faces": plan.faces}
        run.save_json("environment.json", {**run.environment(), "search": record})
    reported = 0

    def progress(done: int, total: int, note: str = "") -> None:
        nonlocal reported
        history = run.history() if done > reported else []
        for epoch in history[reported:]:
            report(epoch.epoch, epoch.selection_accuracy)
        reported = max(reported, len(history))

    complete(run, dataset, progress=progress)
    return run, dataset


def _quantize(plan: TrialPlan, run: Run, dataset: Dataset) -> dict[str, Any]:
    """Quantize in this process if it runs TensorFlow, and else in another one: Keras has one backend per process."""
    from edgefer.workstation.networks.backend import load_keras

    if load_keras().backend.backend() == "tensorflow":
        return quantize_trial(run, dataset)

    def describe_crash(child: ChildResult) -> EdgeferError:
        what = f"the quantization of {run.folder} ended with exit code {child.exit_code}"
        return DataError(what, why=child.last_line)

    with tempfile.TemporaryDirectory(prefix="edgefer-search-") as name:
        plan_path = Path(name, "plan.pickle")
        files.write_bytes(plan_path, pickle.dumps(plan))
        return call_module(
            "edgefer.search.trial", {"plan": str(plan_path), "run": str(run.folder)}, folder=Path(name),
            describe_crash=describe_crash, variables={"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""},
        )  # fmt: skip


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    from edgefer.workstation.training.run import Run

    plan, run = pickle.loads(Path(request["plan"]).read_bytes()), Run(Path(request["run"]))
    settings = run.settings()
    dataset = take_faces(plan.open_dataset(settings.input), plan.faces, seed=settings.seed)
    return quantize_trial(run, dataset)


def main(request_path: str, reply_path: str) -> int:
    """Serve one request of _quantize() and return the exit code."""
    return serve_request(request_path, reply_path, _serve)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
