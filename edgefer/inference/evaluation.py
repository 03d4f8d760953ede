"""Accuracy over a test set, with the same code on a board as on the workstation.

    evaluation = evaluate_classifier(classifier, faces, labels, split="public", data="fer2013")

    logits = read_logits(classifier, faces)         # the same in two steps, for those who want the answers too
    evaluation = score_logits(classifier, logits, labels, split="public", data="fer2013")

The accuracy of a model over a test set, on the device that runs it.

    np.savez(path, **test_set(faces, labels, seen_in_training, split="PublicTest", data="fer2013.csv"))
    python -m edgefer.inference.evaluation REQUEST.json REPLY.json       # a ScoreRequest and the Evaluation
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError
from edgefer.inference.classifier import Classifier
from edgefer.processes import serve_request
from edgefer.progress import Progress, silent
from edgefer.results.evaluation import Evaluation, evaluate

__all__ = [
    "EvaluationRequest",
    "compute_logits",
    "evaluate_classifier",
    "evaluate_logits",
    "evaluate_request",
    "pack_test_set",
]

FACES_PER_REPORT = 128


def evaluate_classifier(
    classifier: Classifier,
    faces: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.integer[Any]],
    *,
    split: str,
    model: str = "",
    data: str = "",
    seen_in_training: npt.NDArray[np.bool_] | None = None,
    subject: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Evaluation:
    """Run prepared faces through a classifier and score its answers.

    Args:
        classifier: an opened model.
        faces: uint8 (n, height, width), prepared.
        labels: integers (n,), indices into the artifact's labels.
        split: which part of the data this is.
        model: the model's name, for people.
        data: the data set's name.
        seen_in_training: bool (n,), whether the same pixels are also in Training; None where that is not known.
        subject: added to classifier.subject, which identifies the model.
        progress: told after every 128 faces.

    Raises:
        DataError: no faces, not as many labels, or what evaluate() refuses.
    """
    if len(faces) != len(labels) or len(faces) == 0:
        raise DataError(f"{len(faces)} faces and {len(labels)} labels", why="as many of each were expected, n >= 1")
    return evaluate_logits(
        classifier,
        compute_logits(classifier, faces, progress=progress),
        labels,
        split=split,
        model=model,
        data=data,
        seen_in_training=seen_in_training,
        subject=subject,
    )


def compute_logits(
    classifier: Classifier, faces: npt.NDArray[np.uint8], *, progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """What ``classifier`` answers to prepared faces, uint8 (n, height, width) -> float32 (n, classes)."""
    logits = np.empty((len(faces), len(classifier.artifact.labels)), np.float32)
    for start in range(0, len(faces), FACES_PER_REPORT):
        stop = min(start + FACES_PER_REPORT, len(faces))
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
    """Score the ``logits``, float32 (n, classes), that ``classifier`` gave; the rest as evaluate_classifier()."""
    runtime = classifier.runtime
    ran_on = {"runtime": runtime.name, "runtime_version": runtime.version}
    return evaluate(
        logits,
        labels,
        label_names=classifier.artifact.labels,
        split=split,
        model=model,
        data=data,
        seen_in_training=seen_in_training,
        subject={**classifier.subject, **ran_on, **(subject or {})},
    )


@dataclass(frozen=True)
class EvaluationRequest:
    """What to score; plain values, because it travels as JSON.

    Attributes:
        model: path of the model.
        test_set: path of an .npz with what test_set() gives.
        most: of its faces, spread evenly over it; None takes all.
        runtime, threads, kernels: as Classifier.open().
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
    split: str,
    data: str,
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a test set, for np.savez; arguments as evaluate_classifier()."""
    arrays = {"faces": faces, "labels": labels, "about": np.array(json.dumps({"split": split, "data": data}))}
    return arrays if seen_in_training is None else {**arrays, "seen_in_training": seen_in_training}


def evaluate_request(request: EvaluationRequest) -> Evaluation:
    """Score a model in this process.

    Raises:
        DataError: the model or the test set cannot be used.
        IncompatibleError: as Classifier.open().
    """
    model = Path(request.model)
    try:
        with np.load(request.test_set, allow_pickle=False) as arrays:
            about = json.loads(str(arrays["about"]))
            count = len(arrays["faces"])
            rows = np.linspace(0, count - 1, min(count, request.most or count)).astype(np.int64)
            seen = arrays["seen_in_training"][rows] if "seen_in_training" in arrays.files else None
            faces, labels = arrays["faces"][rows], arrays["labels"][rows]
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the test set {request.test_set}", why=str(error)) from error
    classifier = Classifier.open(model, runtime=request.runtime, threads=request.threads, kernels=request.kernels)
    return evaluate_classifier(
        classifier, faces, labels, split=about["split"], data=about["data"], model=model.stem, seen_in_training=seen,
        subject={"file": model.name, "file_bytes": model.stat().st_size},
    )  # fmt: skip


def main(request_path: str, reply_path: str) -> int:
    """Evaluate as a request file says, write the reply file, and return the exit code."""

    def reply(fields: dict[str, Any]) -> dict[str, Any]:
        return evaluate_request(EvaluationRequest(**fields)).to_json()

    return serve_request(request_path, reply_path, reply)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
