"""Evaluate a model on a test set, with the same code on a board as on the workstation.

    logits = compute_logits(classifier, faces)
    evaluation = evaluate_logits(classifier, logits, labels, split="public", data="fer2013")

A benchmark evaluates in a subprocess. It packs the test set into a file and sends an EvaluationRequest:

    arrays = pack_test_set(faces, labels, seen, label_names=artifact.labels, split="PublicTest", data="fer2013.csv")
    np.savez(path, **arrays)
    python -m edgefer.inference.evaluation REQUEST.json REPLY.json       # the reply is an Evaluation
"""

from __future__ import annotations

import json
import shlex
import sys
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.data.pixels import Pixels
from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier
from edgefer.processes import serve_request
from edgefer.progress import Progress, silent
from edgefer.results.evaluation import Evaluation, evaluate

__all__ = [
    "EvaluationRequest",
    "compute_logits",
    "count_faces",
    "evaluate_logits",
    "evaluate_request",
    "pack_test_set",
]

FACES_PER_UPDATE = 128


def compute_logits(
    classifier: Classifier, faces: Pixels, *, progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """Run prepared faces through a classifier and return the logits, float32 (n, classes).

    Args:
        classifier: opened model.
        faces: uint8 (n, height, width).
        progress: called after every 128 faces.

    Raises:
        DataError: ``faces`` has another shape or dtype.
    """
    logits = np.empty((len(faces), len(classifier.artifact.labels)), np.float32)
    for start in range(0, len(faces), FACES_PER_UPDATE):
        stop = min(start + FACES_PER_UPDATE, len(faces))
        logits[start:stop] = classifier.logits(faces[start:stop])
        progress(stop, len(faces), "")
    return logits


def evaluate_logits(
    classifier: Classifier,
    logits: npt.NDArray[np.float32],
    labels: npt.NDArray[np.integer[Any]],
    *,
    split: str,
    model: str = "",
    data: str = "",
    seen_in_training: npt.NDArray[np.bool_] | None = None,
    subject: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Compare the logits of a classifier with the labels.

    Args:
        classifier: model that computed the logits.
        logits: float32 (n, classes).
        labels: integers (n,), indices into the artifact's labels.
        split: name of the split.
        model: name of the model.
        data: name of the data set.
        seen_in_training: bool (n,), True for images that are also in Training; None if unknown.
        subject: values to add to classifier.subject, which identifies the model.

    Raises:
        DataError: there are no logits, the numbers of logits and labels differ, or a label is out of range.
    """
    runtime = classifier.runtime
    environment = {"runtime": runtime.name, "runtime_version": runtime.version}
    return evaluate(
        logits,
        labels,
        label_names=classifier.artifact.labels,
        split=split,
        model=model,
        data=data,
        seen_in_training=seen_in_training,
        subject={**classifier.subject, **environment, **(subject or {})},
    )


@dataclass(frozen=True)
class EvaluationRequest:
    """Request for an evaluation in a subprocess; JSON-compatible.

    Attributes:
        model: path of the model.
        test_set: path of an .npz with the arrays of pack_test_set().
        most: number of faces to evaluate, evenly spaced over the test set; None evaluates all.
        runtime: a module in ``inference/runtimes``; None or "auto" selects the best that is installed.
        threads: threads of the kernels.
        kernels: "default", "builtin" or "reference".
    """

    model: str
    test_set: str
    most: int | None = None
    runtime: str | None = None
    threads: int = 1
    kernels: str = "default"


def pack_test_set(
    faces: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    seen_in_training: npt.NDArray[np.bool_] | None,
    *,
    label_names: Sequence[str],
    split: str,
    data: str,
) -> dict[str, npt.NDArray[Any]]:
    """Return a test set as arrays for np.savez.

    Args:
        faces: uint8 (n, height, width), prepared.
        labels: integers (n,), indices into ``label_names``.
        seen_in_training: bool (n,), True for images that are also in Training; None if unknown.
        label_names: names of the classes, in the order of the model's outputs.
        split: name of the split.
        data: name of the data set.
    """
    about = {"split": split, "data": data, "labels": list(label_names)}
    arrays = {"faces": faces, "labels": labels, "about": np.array(json.dumps(about))}
    return arrays if seen_in_training is None else {**arrays, "seen_in_training": seen_in_training}


def count_faces(request: EvaluationRequest) -> int:
    """Return the number of faces to evaluate; 0 for a test set that evaluate_request() cannot read."""
    try:
        with np.load(request.test_set, allow_pickle=False) as arrays:
            count = len(arrays["labels"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return 0
    return min(count, request.most or count)


def _read_about(text: str) -> Mapping[str, Any]:
    about: dict[str, Any] = json.loads(text)
    missing = [key for key in ("split", "data", "labels") if key not in about]
    if missing:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return about


def evaluate_request(request: EvaluationRequest) -> Evaluation:
    """Evaluate a model in this process.

    Raises:
        DataError: the model or the test set cannot be read, faces and labels differ in number, or the test set has
            other classes than the model, or the same in another order.
        UsageError: the runtime or the kernels do not exist, or ``threads`` is out of range.
        IncompatibleError: the runtime is not installed, cannot load the model, or computes other outputs.
    """
    model = Path(request.model)
    try:
        with np.load(request.test_set, allow_pickle=False) as arrays:
            about = _read_about(str(arrays["about"]))
            count = len(arrays["faces"])
            if count == 0 or count != len(arrays["labels"]):
                raise ValueError(f"{count} faces and {len(arrays['labels'])} labels")
            rows = np.linspace(0, count - 1, min(count, request.most or count)).astype(np.int64)
            seen = arrays["seen_in_training"][rows] if "seen_in_training" in arrays.files else None
            faces, labels = arrays["faces"][rows], arrays["labels"][rows]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the test set {request.test_set}", why=str(error)) from error
    classifier = Classifier.open(model, runtime=request.runtime, threads=request.threads, kernels=request.kernels)
    label_names = classifier.artifact.labels
    if tuple(about["labels"]) != label_names:
        what = f"the test set {request.test_set} has the labels {', '.join(about['labels'])}"
        why = f"{model.name} has {', '.join(label_names)}"
        raise DataError(what, why=why, hint=f"edgefer bench {shlex.quote(model.name)} --accuracy full --data PATH")
    return evaluate_logits(
        classifier, compute_logits(classifier, faces), labels, split=about["split"], data=about["data"],
        model=model.stem, seen_in_training=seen, subject={"file": model.name, "file_bytes": model.stat().st_size},
    )  # fmt: skip


def main(request_path: str, reply_path: str) -> int:
    """Evaluate the request of another process, write the reply file and return the exit code."""

    def reply(fields: dict[str, Any]) -> dict[str, Any]:
        return evaluate_request(EvaluationRequest(**fields)).to_json()

    return serve_request(request_path, reply_path, reply)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
