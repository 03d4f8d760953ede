"""Scoring what Keras trained, with the same record and the same images as a .tflite on a board is scored.

    evaluation = evaluate_run(run, score_set(dataset, split, name="PublicTest", spec=InputSpec()))
    scored = score_run(run, images)                 # with the logits behind it
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs
from edgefer.inference.classifier import Classifier
from edgefer.results.evaluation import Evaluation, evaluate
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.model import build_network, load_weights
from edgefer.workstation.training.run import Run

__all__ = [
    "bare_artifact", "evaluate_logits", "evaluate_run", "flatbuffer_logits", "keras_logits", "load_network",
    "score_run",
]  # fmt: skip

BATCH = 256


def load_network(keras: Any, run: Run) -> Any:
    """The float32 network of ``run`` with the weights of its best epoch.

    Raises:
        DataError: the run has no weights yet, or they are damaged or of another network than its settings say.
    """
    run.require_weights()
    network = build_network(keras, run.settings())
    hint = f"edgefer train --settings {run.folder / 'settings.toml'}   (a new run)"
    load_weights(network, run.best_weights, hint=hint)
    return network


def keras_logits(network: Any, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """uint8 (n, h, w) -> float32 (n, 7)."""
    batches = (faces[start : start + BATCH, ..., None] for start in range(0, len(faces), BATCH))
    scaled = (batch.astype(np.float32) / np.float32(255) for batch in batches)
    return np.concatenate([np.asarray(network.predict_on_batch(batch), np.float32) for batch in scaled])


def bare_artifact(model: bytes, spec: InputSpec, *, scheme: str = "") -> Artifact:
    """A flatbuffer that is on its way: it can be run, and has neither golden vectors nor provenance yet."""
    nothing = np.empty((0, len(LABELS)), np.float32)
    golden = Golden(np.empty((0, spec.height, spec.width), np.uint8), nothing, nothing, 0.0)
    return Artifact(model, LABELS, spec, scheme, golden, {})


def flatbuffer_logits(model: bytes, faces: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.float32]:
    """What a flatbuffer answers to prepared faces, uint8 (n, h, w) -> float32 (n, 7)."""
    return Classifier.from_artifact(bare_artifact(model, spec), check=False).logits(faces)


def evaluate_run(run: Run, images: EvaluationSet) -> Evaluation:
    """Score the best weights of ``run``, in float32, on the backend that trains."""
    return score_run(run, images).evaluation


def score_run(run: Run, images: EvaluationSet) -> ModelOutputs:
    """As evaluate_run(), with the answers that the record was made of."""
    logits = keras_logits(load_network(load_keras(), run), images.faces)
    evaluation = evaluate_logits(logits, images, model=run.settings().system, subject=run.subject)
    return ModelOutputs(images, logits, evaluation)


def evaluate_logits(
    logits: npt.NDArray[np.float32], images: EvaluationSet, *, model: str, subject: dict[str, Any]
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
