"""Open teachers: training runs, and .tflite models with a contract.

    teachers = [open_teacher("runs/wide-1"), open_teacher("small")]
    teacher.logits(pixels)                          # float32 (n, classes), for raw uint8 (n, h, w) images
    teacher.reference                               # name and identity, for the record of the student
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgefer import cache
from edgefer.data.pixels import Pixels, prepared
from edgefer.inference.classifier import Classifier
from edgefer.models import find_model, is_model
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.keras_inference import flatbuffer_logits, keras_logits, load_network, parallel_logits
from edgefer.workstation.training.run import Run, find_run

__all__ = ["ModelTeacher", "RunTeacher", "Teacher", "open_teacher"]


class Teacher(Protocol):
    """A trained classifier whose logits a student learns."""

    @property
    def name(self) -> str:
        """System or file name."""

    @property
    def reference(self) -> dict[str, Any]:
        """Name, system, scheme and SHA-256 digest."""

    @property
    def cache(self) -> Path | None:
        """Folder of stored logits, or None if there is none."""

    @property
    def cache_key(self) -> str:
        """Identity of the classifier in the cache: its weights and its input."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""

    def logits(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute the logits, float32 (n, classes), of unprepared images, uint8 (n, h, w)."""


class RunTeacher:
    """The float network of a training run, with its best weights."""

    def __init__(self, run: Run) -> None:
        """Create a teacher; raise DataError if ``run`` has no weights."""
        run.require_weights()
        self.run = run
        self.name = run.settings().system
        self.labels = run.labels
        self.reference = run.reference
        self.cache: Path | None = run.folder
        self.cache_key = str(self.reference["sha256"])
        self._network: Any = None

    def logits(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute the logits, float32 (n, classes), of unprepared images, uint8 (n, h, w)."""
        spec = self.run.settings().input
        faces = prepared(pixels, spec)
        if self.run.is_imported:
            flatbuffer = self.run.imported_flatbuffer()
            return flatbuffer_logits(flatbuffer, faces, spec, self.run.labels, output=self.run.output)
        self._network = self._network or load_network(load_keras(), self.run)
        return keras_logits(self._network, faces, spec)


class ModelTeacher:
    """A .tflite model with a contract, float or quantized."""

    def __init__(self, path: Path) -> None:
        """Open the model."""
        classifier = Classifier.open(path)
        self._artifact = artifact = classifier.artifact
        self.name = path.name
        self.labels = artifact.labels
        self.reference = {"run": path.name, **classifier.subject}
        self.cache = cache.folder("teachers")
        # The digest is that of the flatbuffer; a contract with another input gives it other pixels.
        self.cache_key = json.dumps([artifact.sha256, artifact.input_spec.to_json(), artifact.output])

    def logits(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Compute the logits, float32 (n, classes), of unprepared images, uint8 (n, h, w)."""
        return parallel_logits(self._artifact, prepared(pixels, self._artifact.input_spec))


def open_teacher(name: str) -> Teacher:
    """Open a run folder, a .tflite file, or a shipped model by its name.

    Raises:
        DataError: there is no such run or model, or it has no weights.
    """
    path = Path(name)
    if is_model(path):
        return ModelTeacher(find_model(path)[0])
    return RunTeacher(find_run(path))
