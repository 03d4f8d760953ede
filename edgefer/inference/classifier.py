"""From a picture of a face to one of the seven expressions, with a model that carries its contract.

    classifier = Classifier.open("small-int8.tflite")
    prediction = classifier.predict(image)          # uint8 grey, BGR or BGRA of any size
    prediction.label, prediction.probability

Opening replays the golden vectors: a runtime that computes something else than the workstation did is an error at the
start, not a wrong answer later. A classifier belongs to one thread.
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
from edgefer.contract.preprocessing import encoder, prepare
from edgefer.contract.quantization_params import dequantize
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.runtime import Runtime, select_runtime

__all__ = ["Classifier", "Prediction"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a classifier makes of one face.

    Attributes:
        label: the most probable expression.
        probability: its probability, calibrated by the temperature of the contract, in 0..1.
        probabilities: float32 (classes,), in the order of the artifact's labels; they sum to one.
        logits: float32 (classes,), what the model put out.
    """

    label: str
    probability: float
    probabilities: npt.NDArray[np.float32]
    logits: npt.NDArray[np.float32]


class Classifier:
    """A model, its contract and the runtime that runs it.

    Attributes:
        artifact: model and contract.
        runtime: the loaded model.
    """

    def __init__(self, artifact: Artifact, runtime: Runtime) -> None:
        """``runtime`` has ``artifact.model`` loaded; open() and from_artifact() see to that.

        Raises:
            IncompatibleError: the model's input or output does not have the shape that the contract says.
        """
        spec, classes = artifact.input_spec, len(artifact.labels)
        _check_shape("input", runtime.input.shape, (1, spec.height, spec.width, 1))
        _check_shape("output", runtime.output.shape, (1, classes))
        self.artifact, self.runtime = artifact, runtime
        self._table = encoder(runtime.input.params)

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
        """Load the model file ``path``; the rest as from_artifact().

        Raises:
            DataError: no such file, no contract in it, or damaged.
        """
        artifact = Artifact.load(Path(path))
        return cls.from_artifact(artifact, runtime=runtime, threads=threads, kernels=kernels, check=check)

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
        """Load a model that is in memory.

        Args:
            artifact: model and contract.
            runtime: an entry of ``board/runtimes``; None or "auto" takes the best that is installed.
            threads: how many threads the kernels may use.
            kernels: "default", "builtin" or "reference"; see board/runtime.py.
            check: whether to replay the golden vectors.

        Raises:
            UsageError: no such runtime or kernels, or no thread.
            IncompatibleError: the runtime is not installed, cannot load the model, or computes something else.
        """
        loaded = select_runtime(runtime).open_model(artifact.model, threads=threads, kernels=kernels)
        classifier = cls(artifact, loaded)
        if check:
            classifier.replay()
        return classifier

    @property
    def subject(self) -> dict[str, Any]:
        """Which model this is, in plain values, for the records of measurements and evaluations."""
        artifact = self.artifact
        subject = {"sha256": artifact.sha256, "size_bytes": len(artifact.model), "scheme": artifact.scheme}
        return subject | {key: artifact.provenance[key] for key in ("system",) if key in artifact.provenance}

    def replay(self) -> float:
        """Run the golden vectors; return the largest difference, in steps or logits.

        Raises:
            IncompatibleError: some output is further off than the contract tolerates.
        """
        return self.artifact.golden.check(self.raw(self.artifact.golden.inputs))

    def predict(self, image: npt.NDArray[np.uint8]) -> Prediction:
        """Classify one picture of a face: uint8 (h, w), (h, w, 1), BGR (h, w, 3) or BGRA (h, w, 4).

        Raises:
            DataError: not such an array.
        """
        return self.predict_all([image])[0]

    def predict_all(self, images: Sequence[npt.NDArray[np.uint8]]) -> list[Prediction]:
        """predict() of each of the pictures; for small ones in half the time of single calls.

        Raises:
            DataError: one is not such an array.
        """
        spec, labels = self.artifact.input_spec, self.artifact.labels
        if not images:
            return []
        logits = self.logits(np.stack([prepare(image, spec) for image in images]))
        probabilities = self.artifact.probabilities(logits)
        best = logits.argmax(axis=1).tolist()
        return [
            Prediction(labels[index], float(shares[index]), shares, row)
            for index, shares, row in zip(best, probabilities, logits)
        ]

    def logits(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """uint8 (n, height, width), prepared faces -> float32 (n, classes)."""
        return dequantize(self.raw(faces), self.runtime.output.params)

    def raw(self, faces: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """uint8 (n, height, width), prepared faces -> (n, classes) as the model puts it out: integer steps, or floats.

        Raises:
            DataError: another shape or dtype.
        """
        spec, runtime = self.artifact.input_spec, self.runtime
        if faces.dtype != np.uint8 or faces.ndim != 3 or faces.shape[1:] != (spec.height, spec.width):
            raise DataError(
                f"faces of shape {faces.shape} and dtype {faces.dtype}",
                why=f"uint8 (n, {spec.height}, {spec.width}) was expected",
                hint="edgefer.contract.preprocessing.prepare(image, artifact.input_spec)",
            )
        outputs = np.empty((len(faces), len(self.artifact.labels)), runtime.output.params.dtype)
        for row, face in enumerate(faces):
            runtime.set_input(self.encode(face))
            runtime.invoke()
            outputs[row] = runtime.get_output()[0]
        return outputs

    def encode(self, face: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
        """uint8 (height, width) -> the array that runtime.set_input() takes."""
        return self._table[face].reshape(self.runtime.input.shape)


def _check_shape(what: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise IncompatibleError(f"the model's {what} has shape {shape}", why=f"its contract says {expected}")
