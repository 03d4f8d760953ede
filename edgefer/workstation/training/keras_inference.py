"""Run and evaluate Keras networks on the same images, and with the same record, as converted models.

evaluation = evaluate_run(run, make_evaluation_set(dataset, split, name="PublicTest", spec=InputSpec()))
outputs = score_run(run, images)                # also returns the logits
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
from edgefer.inference.first_load import trust_model
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
    """Load the float32 network of ``run`` with the weights of its best epoch.

    Raises:
        DataError: the run has no weights, or they are damaged or do not match the settings.
    """
    run.require_weights()
    network = build_network(keras, run.settings())
    hint = f"edgefer train --settings {run.folder / 'settings.toml'}   (a new run)"
    load_weights(network, run.best_weights, hint=hint)
    return network


def keras_logits(network: Any, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Compute the logits of uint8 (n, h, w) as float32 (n, 7)."""
    batches = (faces[start : start + BATCH, ..., None] for start in range(0, len(faces), BATCH))
    scaled = (batch.astype(np.float32) / np.float32(255) for batch in batches)
    return np.concatenate([np.asarray(network.predict_on_batch(batch), np.float32) for batch in scaled])


def bare_artifact(model: bytes, spec: InputSpec, *, scheme: str = "") -> Artifact:
    """Wrap a flatbuffer of the converter in an artifact without golden vectors or provenance, ready for inference."""
    trust_model(model)
    no_logits = np.empty((0, len(LABELS)), np.float32)
    golden = Golden(np.empty((0, spec.height, spec.width), np.uint8), no_logits, no_logits, 0.0)
    return Artifact(model, LABELS, spec, scheme, golden, {})


def flatbuffer_logits(model: bytes, faces: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.float32]:
    """Compute the logits of a flatbuffer for prepared faces, uint8 (n, h, w), as float32 (n, 7)."""
    return Classifier.from_artifact(bare_artifact(model, spec), check=False).logits(faces)


def evaluate_run(run: Run, images: EvaluationSet) -> Evaluation:
    """Evaluate the best weights of ``run`` in float32 on the current backend."""
    return score_run(run, images).evaluation


def score_run(run: Run, images: EvaluationSet) -> ModelOutputs:
    """Evaluate the best weights of ``run`` in float32 and return the evaluation with its logits."""
    logits = keras_logits(load_network(load_keras(), run), images.faces)
    evaluation = evaluate_logits(logits, images, model=run.settings().system, subject=run.subject)
    return ModelOutputs(images, logits, evaluation)


def evaluate_logits(
    logits: npt.NDArray[np.float32], images: EvaluationSet, *, model: str, subject: dict[str, Any]
) -> Evaluation:
    """Create the evaluation record of the ``logits`` of one model.

    Args:
        logits: float32 (n, 7).
        images: evaluation set with n images.
        model: name of the model.
        subject: identity of the model.
    """
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
