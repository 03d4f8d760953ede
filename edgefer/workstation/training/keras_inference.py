"""Run and evaluate Keras networks on the same images, and with the same record, as converted models.

    evaluation = evaluate_run(run, make_evaluation_set(dataset, split, name="PublicTest", spec=InputSpec()))
    outputs = score_run(run, images)                # also returns the logits
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder
from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs
from edgefer.data.pixels import Pixels, subset
from edgefer.device import sysfs
from edgefer.errors import DataError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.evaluation import compute_logits
from edgefer.inference.first_load import trust_model
from edgefer.results.evaluation import Evaluation, evaluate
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.model import build_network, load_weights
from edgefer.workstation.training.run import Run

__all__ = [
    "evaluate_logits", "evaluate_run", "flatbuffer_logits", "keras_logits", "load_imported", "load_keras_file",
    "load_network", "load_trained", "parallel_logits", "score_run",
]  # fmt: skip

BATCH = 256
# Faces that are worth a thread of their own.
FACES_PER_THREAD = 512


def load_network(keras: Any, run: Run) -> Any:
    """Load the float32 network of ``run`` with the weights of its best epoch.

    Raises:
        DataError: the run has no weights, or they are damaged or do not match the settings.
        UsageError: the run was imported from a file without a Keras network.
    """
    run.require_weights()
    if run.is_imported:
        return load_imported(keras, run)
    network = build_network(keras, run.settings(), classes=len(run.labels))
    load_weights(network, run.best_weights, hint=run.restart_command)
    return network


def load_trained(run: Run, *, backend: str | None = None) -> Any | None:
    """Load the network of a trained run before any slow work; return None for an imported run, which is a flatbuffer.

    Args:
        run: trained or imported run.
        backend: Keras backend that loads it; None for the current one.

    Raises:
        DataError: the run has no weights, or they are damaged or do not match the settings.
    """
    return None if run.is_imported else load_network(load_keras(backend=backend), run)


def load_imported(keras: Any, run: Run) -> Any:
    """Load the Keras network of an imported run.

    Raises:
        UsageError: the file had no Keras network.
        DataError: the network cannot be loaded.
    """
    if not run.imported_network.exists():
        what = f"{run.folder} has no Keras network"
        why = "it was imported from a file that holds a graph; only the schemes int8 and float32 convert it"
        raise UsageError(what, why=why, hint=f"edgefer quantize --int8 {run.folder}")
    return load_keras_file(keras, run.imported_network)


def load_keras_file(keras: Any, path: Path) -> Any:
    """Load a Keras network from a file that an import wrote: .keras, or .h5 of tf_keras.

    Raises:
        DataError: the network cannot be loaded.
    """
    try:
        if path.suffix == ".h5":
            import tf_keras

            return tf_keras.models.load_model(path, compile=False)
        return keras.saving.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        why = str(error).strip().partition("\n")[0]
        raise DataError(f"cannot load {path}", why=why, hint="edgefer import MODEL") from error


def keras_logits(network: Any, faces: Pixels, spec: InputSpec = InputSpec()) -> npt.NDArray[np.float32]:
    """Compute the logits of prepared faces, uint8 (n, *spec.shape), as float32 (n, classes)."""
    table = encoder(FLOAT32, spec)
    encoded = (encode(table, faces[start : start + BATCH]) for start in range(0, len(faces), BATCH))
    batches = (batch.reshape(*batch.shape[:3], -1) for batch in encoded)
    return np.concatenate([np.asarray(network.predict_on_batch(batch), np.float32) for batch in batches])


def flatbuffer_logits(
    model: bytes,
    faces: Pixels,
    spec: InputSpec,
    labels: tuple[str, ...] = LABELS,
    *,
    output: str = "logits",
) -> npt.NDArray[np.float32]:
    """Compute the logits of a converted flatbuffer for prepared faces, uint8 (n, *spec.shape), float32 (n, classes)."""
    trust_model(model)
    return parallel_logits(Artifact.bare(model, labels, spec, output=output), faces)


def parallel_logits(artifact: Artifact, faces: Pixels) -> npt.NDArray[np.float32]:
    """Compute the logits of prepared faces, uint8 (n, *spec.shape), as float32 (n, classes), on all usable cores.

    Each thread has a classifier of its own, without a check of golden vectors. The logits do not depend on their
    number.
    """
    threads = max(1, min(len(sysfs.affinity()), len(faces) // FACES_PER_THREAD))
    parts = np.array_split(np.arange(len(faces)), threads)

    def compute(part: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return compute_logits(Classifier.from_artifact(artifact, check=False), subset(faces, part))

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(compute, parts)))


def evaluate_run(run: Run, images: EvaluationSet) -> Evaluation:
    """Evaluate the best weights of ``run`` in float32 on the current backend."""
    return score_run(run, images).evaluation


def score_run(run: Run, images: EvaluationSet, network: Any | None = None) -> ModelOutputs:
    """Evaluate the best weights of ``run`` in float32 and return the evaluation with its logits.

    Args:
        run: trained or imported run.
        images: evaluation set.
        network: result of load_trained(), which is loaded if omitted.
    """
    spec = run.settings().input
    if run.is_imported:
        logits = flatbuffer_logits(run.imported_flatbuffer(), images.faces, spec, run.labels, output=run.output)
    else:
        logits = keras_logits(network or load_network(load_keras(), run), images.faces, spec)
    evaluation = evaluate_logits(logits, images, model=run.settings().system, subject=run.subject, labels=run.labels)
    return ModelOutputs(images, logits, evaluation)


def evaluate_logits(
    logits: npt.NDArray[np.float32],
    images: EvaluationSet,
    *,
    model: str,
    subject: dict[str, Any],
    labels: tuple[str, ...] = LABELS,
) -> Evaluation:
    """Create the evaluation record of the ``logits`` of one model.

    Args:
        logits: float32 (n, classes).
        images: evaluation set with n images.
        model: name of the model.
        subject: identity of the model.
        labels: class names.
    """
    return evaluate(
        logits,
        images.labels,
        label_names=labels,
        split=images.split,
        model=model,
        data=images.data,
        seen_in_training=images.seen_in_training,
        subject=subject,
    )
