"""Accuracy over a test set, with the same code on a board as on the workstation.

    evaluation = evaluate_classifier(classifier, faces, labels, split="public", data="fer2013")

    logits = read_logits(classifier, faces)         # the same in two steps, for those who want the answers too
    evaluation = score_logits(classifier, logits, labels, split="public", data="fer2013")
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.board.classifier import Classifier
from edgefer.errors import DataError
from edgefer.evaluation import Evaluation, evaluate
from edgefer.progress import Progress, silent

__all__ = ["evaluate_classifier", "read_logits", "score_logits"]

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
        labels: integers (n,), indices into the artefact's labels.
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
    return score_logits(
        classifier,
        read_logits(classifier, faces, progress=progress),
        labels,
        split=split,
        model=model,
        data=data,
        seen_in_training=seen_in_training,
        subject=subject,
    )


def read_logits(
    classifier: Classifier, faces: npt.NDArray[np.uint8], *, progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """What ``classifier`` answers to prepared faces, uint8 (n, height, width) -> float32 (n, classes)."""
    logits = np.empty((len(faces), len(classifier.artefact.labels)), np.float32)
    for start in range(0, len(faces), FACES_PER_REPORT):
        stop = min(start + FACES_PER_REPORT, len(faces))
        logits[start:stop] = classifier.logits(faces[start:stop])
        progress(stop, len(faces), "")
    return logits


def score_logits(
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
        label_names=classifier.artefact.labels,
        split=split,
        model=model,
        data=data,
        seen_in_training=seen_in_training,
        subject={**classifier.subject, **ran_on, **(subject or {})},
    )
