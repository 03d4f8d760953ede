"""State shared by everything that one ``edgefer quantize`` does with a run.

    context = QuantizationContext(run, dataset)
    context.float_logits                            # computed on first use, like every other part
    context.flatbuffer("int8", options)             # converted once per scheme and options
    context.logits("int8", options)                 # on the validation images
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Dataset
from edgefer.data.evaluation_set import EvaluationSet, make_evaluation_set
from edgefer.progress import Progress, silent
from edgefer.results.evaluation import Evaluation
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import (
    DrawnFaces,
    SelectedFaces,
    calibration_pool,
    draw_faces,
)
from edgefer.workstation.quantization.calibration_set import CalibrationSet
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions
from edgefer.workstation.quantization.sensitivity import sensitivity
from edgefer.workstation.training.keras_inference import (
    evaluate_logits,
    flatbuffer_logits,
    keras_logits,
    load_imported,
    load_network,
)
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.validation import ValidationSplit, drop_validation, validation_split

__all__ = ["SCHEMES", "QuantizationContext"]

SCHEMES = "edgefer.workstation.quantization.schemes"
# Enough faces to rank layers, which differ by decibels.
SENSITIVITY_FACES = 100


class QuantizationContext:
    """A run, its data and its calibration faces, with everything computed from them; each part is computed once.

    Attributes:
        run: training run with weights.
        dataset: data set of that training.
        settings: settings of that training.
        calibration: calibration faces and their provenance; assign it before the first use of any other part.
    """

    def __init__(
        self,
        run: Run,
        dataset: Dataset,
        calibration: CalibrationSet | DrawnFaces | None = None,
        *,
        model: Any | None = None,
    ) -> None:
        """Create a context.

        Args:
            run: training run.
            dataset: Training calibrates, the validation split scores.
            calibration: calibration faces; None draws 500 faces from Training, or all if there are fewer.
            model: Keras network of a trained run with the weights of its best epoch; None loads it on first use.

        Raises:
            DataError: the run was trained on other data.
        """
        run.require_data(dataset)
        self.run, self.dataset, self.settings = run, dataset, run.settings()
        if calibration is not None:
            self.calibration = calibration
        self._model = model
        self._flatbuffers: dict[tuple[str, QuantizationOptions], bytes] = {}
        self._logits: dict[tuple[str, QuantizationOptions], npt.NDArray[np.float32]] = {}
        self._sensitivities: dict[QuantizationOptions, dict[str, float]] = {}

    @cached_property
    def split(self) -> ValidationSplit:
        """Training images and validation images."""
        return validation_split(self.dataset, self.settings)

    @cached_property
    def calibration(self) -> CalibrationSet | DrawnFaces:
        """The calibration faces and their provenance."""
        return draw_faces(self.split.training)

    @cached_property
    def faces(self) -> npt.NDArray[np.uint8]:
        """Prepared calibration faces, uint8 (n, h, w)."""
        return prepare_all(self.calibration.faces, self.settings.input)

    @cached_property
    def images(self) -> EvaluationSet:
        """The validation images, prepared."""
        _, validation, name = self.split
        return make_evaluation_set(self.dataset, validation, name=name, spec=self.settings.input)

    @cached_property
    def network(self) -> FloatNetwork:
        """The float network with the weights of the best epoch, without calibration faces.

        Raises:
            DataError: the run has no weights, or they are damaged or do not match the settings.
        """
        keras, spec = load_keras(backend="tensorflow"), self.settings.input
        if self.run.is_imported:
            flatbuffer = self.run.imported_flatbuffer()
            return FloatNetwork(
                None, spec=spec, flatbuffer=flatbuffer, load_model=lambda: load_imported(keras, self.run)
            )
        return FloatNetwork(self._model or load_network(keras, self.run), spec=spec)

    @cached_property
    def calibrated(self) -> FloatNetwork:
        """The float network with the calibration faces."""
        return self.network.with_faces(self.faces)

    @cached_property
    def float_logits(self) -> npt.NDArray[np.float32]:
        """Logits of the float network for the validation images, float32 (n, classes)."""
        if self.run.is_imported:
            return self.score(self.network.flatbuffer)
        return keras_logits(self.network.model, self.images.faces, self.settings.input)

    @cached_property
    def float_evaluation(self) -> Evaluation:
        """Evaluation of the float network on the validation images."""
        return evaluate_logits(
            self.float_logits,
            self.images,
            model=self.settings.system,
            subject=self.run.subject,
            labels=self.run.labels,
        )

    def flatbuffer(self, scheme: str, options: QuantizationOptions) -> bytes:
        """Convert the network with a scheme that does not train."""
        key = scheme, options
        if key not in self._flatbuffers:
            module = plugins.load(SCHEMES, scheme)
            network = self.calibrated if module.NEEDS_CALIBRATION else self.network
            self._flatbuffers[key] = module.convert(network, options)
        return self._flatbuffers[key]

    def logits(self, scheme: str, options: QuantizationOptions) -> npt.NDArray[np.float32]:
        """Compute the logits of flatbuffer() for the validation images, float32 (n, classes)."""
        key = scheme, options
        if key not in self._logits:
            self._logits[key] = self.score(self.flatbuffer(scheme, options))
        return self._logits[key]

    def score(self, flatbuffer: bytes) -> npt.NDArray[np.float32]:
        """Compute the logits of a flatbuffer for the validation images, float32 (n, classes)."""
        return flatbuffer_logits(
            flatbuffer, self.images.faces, self.settings.input, self.run.labels, output=self.run.output
        )

    def sensitivity(self, options: QuantizationOptions, progress: Progress = silent) -> dict[str, float]:
        """Return the gain of the logits, in dB, from keeping each layer in float."""
        if options not in self._sensitivities:
            self._sensitivities[options] = sensitivity(
                self.calibrated.calibrator, options, self.faces[:SENSITIVITY_FACES], progress=progress
            )
        return self._sensitivities[options]

    def select_disjoint(self, sets: int) -> list[SelectedFaces]:
        """Select disjoint calibration sets, each as large as the calibration of this context.

        Raises:
            DataError: Training has too few images.
        """
        size = len(self.calibration.faces)
        seed = self.calibration.seed if isinstance(self.calibration, DrawnFaces) else 0
        return calibration_pool(drop_validation(self.dataset, self.split)).select_disjoint(
            sets=sets, size=size, seed=seed
        )
