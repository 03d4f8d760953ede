"""Classify face images with a model that carries its contract.

    classifier = Classifier.open("small-int8.tflite")
    prediction = classifier.predict(image)          # uint8 gray, BGR or BGRA of any size
    prediction.label, prediction.probability

Opening a model replays its golden vectors: a runtime whose outputs differ from the workstation's raises an error before
the first prediction. Use one classifier per thread.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.artifact import Artifact
from edgefer.contract.preprocessing import encode, encoder, prepare
from edgefer.contract.quantization_params import dequantize
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.first_load import check_first_load
from edgefer.inference.runtime import MODEL_HINT, Runtime, cannot_run, require_classifier, select_runtime

__all__ = ["Classifier", "Prediction"]

SMALLEST_PROBABILITY = np.float32(1e-7)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Result for one face.

    Attributes:
        label: most probable expression.
        probability: probability of ``label`` in 0..1, calibrated by the temperature of the contract.
        probabilities: float32 (classes,), in the order of the artifact's labels; the sum is one.
        logits: float32 (classes,), output of the model.
    """

    label: str
    probability: float
    probabilities: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]


class Classifier:
    """Model with its contract, loaded by a runtime.

    Attributes:
        artifact: model and contract.
        runtime: loaded model.
    """

    def __init__(self, artifact: Artifact, runtime: Runtime) -> None:
        """Combine a contract with its loaded model; open() and from_artifact() load the model first.

        Args:
            artifact: model and contract.
            runtime: runtime that has loaded ``artifact.model``.

        Raises:
            IncompatibleError: the input or output of the model differs in shape from the contract.
        """
        spec, classes = artifact.input_spec, len(artifact.labels)
        _check_shape("input", runtime.input.shape, spec.tensor_shape)
        _check_shape("output", runtime.output.shape, (1, classes))
        self.artifact, self.runtime = artifact, runtime
        self._table = encoder(runtime.input.params, spec)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        runtime: str | None = None,
        threads: int = 1,
        kernels: str = "default",
        check: bool = True,
    ) -> Classifier:
        """Load a model file; an unknown model is first loaded and run in a subprocess.

        Args:
            path: a .tflite with a contract.
            runtime: a module in ``inference/runtimes``; None or "auto" selects the best that is installed.
            threads: threads of the kernels.
            kernels: "default", "builtin" or "reference"; see RuntimeModule.open_model().
            check: replay the golden vectors.

        Raises:
            DataError: the file does not exist, has no contract, is damaged, crashes the runtime, or exceeds the limits
                of memory or CPU time.
            UsageError: the runtime or the kernels do not exist, or ``threads`` is out of range.
            IncompatibleError: the runtime is not installed, cannot load the model, or computes other outputs.
        """
        artifact = Artifact.load(Path(path))
        _check(artifact, runtime, kernels, name=os.fspath(path))
        classifier = cls.from_artifact(artifact, runtime=runtime, threads=threads, kernels=kernels, check=check)
        require_classifier(classifier.runtime)
        return classifier

    @classmethod
    def from_artifact(
        cls,
        artifact: Artifact,
        *,
        runtime: str | None = None,
        threads: int = 1,
        kernels: str = "default",
        check: bool = True,
    ) -> Classifier:
        """Load a model from memory; an unknown model is first loaded and run in a subprocess.

        Args:
            artifact: model and contract.
            runtime: a module in ``inference/runtimes``; None or "auto" selects the best that is installed.
            threads: threads of the kernels.
            kernels: "default", "builtin" or "reference"; see RuntimeModule.open_model().
            check: replay the golden vectors.

        Raises:
            DataError: the model crashes the runtime, or exceeds the limits of memory or CPU time.
            UsageError: the runtime or the kernels do not exist, or ``threads`` is out of range.
            IncompatibleError: the runtime is not installed, cannot load the model, or computes other outputs.
        """
        _check(artifact, runtime, kernels)
        loaded = select_runtime(runtime).open_model(artifact.model, threads=threads, kernels=kernels)
        classifier = cls(artifact, loaded)
        if check:
            classifier.replay()
        return classifier

    @property
    def subject(self) -> dict[str, Any]:
        """Identity of the model as JSON-compatible values, for result records."""
        artifact = self.artifact
        subject = {"sha256": artifact.sha256, "size_bytes": len(artifact.model), "scheme": artifact.scheme}
        return subject | {key: artifact.provenance[key] for key in ("system",) if key in artifact.provenance}

    def replay(self) -> float:
        """Run the golden vectors and return the largest difference, in quantization steps or logits.

        Raises:
            IncompatibleError: a difference exceeds the tolerance of the contract.
        """
        return self.artifact.golden.check(self.raw(self.artifact.golden.inputs))

    def predict(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """Classify one face image: uint8 (h, w), (h, w, 1), BGR (h, w, 3) or BGRA (h, w, 4).

        Raises:
            DataError: ``image`` has another shape or dtype.
        """
        return self.predict_all([image])[0]

    def predict_all(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Prediction]:
        """Classify several face images; for small ones, in half the time of single calls.

        Args:
            images: uint8 arrays as for predict(), of any sizes.

        Raises:
            DataError: an image has another shape or dtype.
        """
        spec, labels = self.artifact.input_spec, self.artifact.labels
        faces = [prepare(image, spec) for image in images]
        if not faces:
            return []
        logits = self.logits(np.stack(faces))
        probabilities = self.artifact.probabilities(logits)
        classes = logits.argmax(axis=1).tolist()
        return [
            Prediction(labels[index], float(shares[index]), shares, row)
            for index, shares, row in zip(classes, probabilities, logits)
        ]

    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Return the logits, float32 (n, classes), of prepared faces, uint8 (n, *spec.shape).

        The logits of a model that ends in a softmax or sigmoid are the logarithms of its scores.

        Raises:
            DataError: ``faces`` has another shape or dtype.
        """
        params = self.runtime.output.params
        outputs = dequantize(self.raw(faces), params)
        if self.artifact.output == "logits":
            return outputs
        # An integer output rounds probabilities of up to half a step to zero.
        return np.log(np.maximum(outputs, params.scale / 2 or SMALLEST_PROBABILITY))

    def raw(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Return the raw outputs (n, classes) of prepared faces, uint8 (n, *spec.shape): integers or floats.

        Raises:
            DataError: ``faces`` has another shape or dtype.
            IncompatibleError: the runtime cannot run the model.
        """
        spec, runtime = self.artifact.input_spec, self.runtime
        if faces.dtype != np.uint8 or faces.shape[1:] != spec.shape:
            raise DataError(
                f"faces of shape {faces.shape} and dtype {faces.dtype}",
                why=f"expected uint8 (n, {', '.join(map(str, spec.shape))})",
                hint="edgefer.contract.preprocessing.prepare(image, artifact.input_spec)",
            )
        outputs = np.empty((len(faces), len(self.artifact.labels)), runtime.output.params.dtype)
        try:
            for row, face in enumerate(faces):
                runtime.set_input(self.encode(face))
                runtime.invoke()
                outputs[row] = runtime.get_output()[0]
        except (RuntimeError, ValueError) as error:
            raise cannot_run(runtime, error) from error
        return outputs

    def encode(self, face: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """Convert a prepared face, uint8 ``spec.shape``, to the input array of the model."""
        return encode(self._table, face).reshape(self.runtime.input.shape)


def _check(artifact: Artifact, runtime: str | None, kernels: str, *, name: str = "the model") -> None:
    check_first_load(
        artifact.model,
        select_runtime(runtime),
        kernels=kernels,
        inputs=artifact.golden.inputs,
        spec=artifact.input_spec,
        sha256=artifact.sha256,
        name=name,
    )


def _check_shape(tensor: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        what, why = f"the model's {tensor} has shape {shape}", f"its contract specifies {expected}"
        raise IncompatibleError(what, why=why, hint=MODEL_HINT)
