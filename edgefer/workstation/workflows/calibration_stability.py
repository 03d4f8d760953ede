"""Measure how much a quantized model depends on the faces that calibrate it.

    trials = CalibrationTrials(context, context.select_disjoint(5))
    trials.labels(0, "int8", options)               # labels of the model calibrated with the first set
    stability = measure_stability(trials, "int8", options, sets=5)
    stability.accuracies, stability.std_points, stability.agreement
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.preprocessing import prepare_all
from edgefer.progress import Progress, silent
from edgefer.results.calibration_stability import CalibrationStability, pairwise_agreement
from edgefer.workstation.quantization.calibration_data import SelectedFaces
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions
from edgefer.workstation.workflows.quantization_context import SCHEMES, QuantizationContext

__all__ = ["CalibrationTrials", "measure_stability"]


class CalibrationTrials:
    """Models of one network, each calibrated with another set of faces; each set calibrates once.

    Attributes:
        context: the quantization.
        sets: disjoint calibration sets of equal size.
    """

    def __init__(self, context: QuantizationContext, sets: Sequence[SelectedFaces]) -> None:
        self.context, self.sets = context, sets
        self._networks: dict[int, FloatNetwork] = {}
        self._labels: dict[tuple[int, str, QuantizationOptions], npt.NDArray[np.intp]] = {}

    def labels(self, index: int, scheme: str, options: QuantizationOptions) -> npt.NDArray[np.intp]:
        """Return the labels of the validation images, int (n,), from the model calibrated with ``sets[index]``."""
        key = index, scheme, options
        if key not in self._labels:
            flatbuffer = plugins.load(SCHEMES, scheme).convert(self._network(index), options)
            self._labels[key] = self.context.score(flatbuffer).argmax(axis=1)
        return self._labels[key]

    def release(self, index: int) -> None:
        """Free the activations of ``sets[index]``, about 100 MB for 500 faces."""
        self._networks.pop(index, None)

    def _network(self, index: int) -> FloatNetwork:
        if index not in self._networks:
            faces = prepare_all(self.sets[index].faces, self.context.settings.input)
            self._networks[index] = self.context.network.with_faces(faces)
        return self._networks[index]


def measure_stability(
    trials: CalibrationTrials, scheme: str, options: QuantizationOptions, *, sets: int, progress: Progress = silent
) -> CalibrationStability:
    """Quantize once with each of several calibration sets and score all models on the validation images.

    Args:
        trials: the calibration sets.
        scheme: a scheme that calibrates and does not train.
        options: options of every quantization.
        sets: number of calibration sets to use, at least 2.
        progress: called with (models scored, models, current step).
    """
    images, labels = trials.context.images, []
    for index in range(sets):
        progress(index, sets, f"calibration set {index + 1}")
        labels.append(trials.labels(index, scheme, options))
        trials.release(index)
    progress(sets, sets, "done")
    return CalibrationStability(
        size=len(trials.sets[0]),
        split=images.split,
        n=len(images.labels),
        correct=tuple(int((predicted == images.labels).sum()) for predicted in labels),
        agreement=pairwise_agreement(labels),
    )
