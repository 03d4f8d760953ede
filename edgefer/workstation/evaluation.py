"""Scoring what Keras trained, with the same record and the same images as a .tflite on a board is scored.

    held_out = score_set(dataset, split)                 # faces, labels, and which of them stand in Training too
    evaluation = evaluate_run(run, held_out)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.evaluation import Evaluation, evaluate
from edgefer.labels import LABELS
from edgefer.preprocess import InputSpec, prepare_all
from edgefer.workstation.backend import load_keras
from edgefer.workstation.datacheck import twins_of
from edgefer.workstation.dataset import Dataset, Split
from edgefer.workstation.runs import Run
from edgefer.workstation.training import build_network

__all__ = ["ScoreSet", "evaluate_logits", "evaluate_run", "keras_logits", "load_network", "score_set"]

BATCH = 256


@dataclass(frozen=True)
class ScoreSet:
    """The images that a model is scored on.

    Attributes:
        data: the data set, for people.
        split: the name that results are quoted with.
        faces: uint8 (n, h, w). labels: int64 (n,).
        seen_in_training: bool (n,), whether the same pixels stand in Training; None where Training is not at hand.
    """

    data: str
    split: str
    faces: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    seen_in_training: npt.NDArray[np.bool_] | None


def score_set(dataset: Dataset, split: Split, *, name: str, spec: InputSpec) -> ScoreSet:
    """The images of ``split`` as ``spec`` wants them; ``name`` is how the result will be quoted."""
    training = dataset.splits.get("Training")
    seen = None
    if training is not None and name != "Training":
        seen = twins_of(split.pixels, training.pixels)
    return ScoreSet(dataset.layout, name, prepare_all(split.pixels, spec), split.labels, seen)


def load_network(keras: Any, run: Run) -> Any:
    """The float32 network of ``run`` with the weights of its best epoch.

    Raises:
        DataError: the run has no weights yet.
    """
    run.require_weights()
    network = build_network(keras, run.settings())
    network.load_weights(run.best_weights)
    return network


def keras_logits(network: Any, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """uint8 (n, h, w) -> float32 (n, 7)."""
    batches = (faces[start : start + BATCH, ..., None] for start in range(0, len(faces), BATCH))
    scaled = (batch.astype(np.float32) / np.float32(255) for batch in batches)
    return np.concatenate([np.asarray(network.predict_on_batch(batch), np.float32) for batch in scaled])


def evaluate_run(run: Run, images: ScoreSet) -> Evaluation:
    """Score the best weights of ``run``, in float32, on the backend that trains."""
    network = load_network(load_keras(), run)
    return evaluate_logits(keras_logits(network, images.faces), images, model=run.settings().system, subject=run.subject)


def evaluate_logits(
    logits: npt.NDArray[np.float32], images: ScoreSet, *, model: str, subject: dict[str, Any]
) -> Evaluation:
    """The record of the ``logits`` that ``model`` gave for ``images``; ``subject`` identifies the model."""
    return evaluate(
        logits,
        images.labels,
        label_names=LABELS,
        split=images.split,
        model=model,
        data=images.data,
        seen_in_training=images.seen_in_training,
        subject=subject,
    )
