"""Measure the quantization error of each layer and its effect on the logits.

    errors = layer_errors(float_model, int8_model, faces)
    errors[0].layer, errors[0].activation.snr_db, errors[0].weights.saturation
    gains = sensitivity(calibrator, options, faces)     # gain in dB from keeping each layer in float

The error of an activation includes the errors of all layers before it. A layer with a large error is therefore not
always its cause. sensitivity() finds the cause: it measures how much closer the logits come to those of the float
network when one layer stays in float.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.quantization_params import QuantParams, dequantize
from edgefer.errors import DataError
from edgefer.progress import Progress, silent
from edgefer.workstation.quantization.calibrator import Calibrator, activations
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer, Op
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["Distance", "LayerError", "layer_errors", "sensitive_layers", "sensitivity"]

# Minimum gain of a sensitive layer when it stays in float; 1 dB is a fifth of the error power of the logits.
SENSITIVE_DB = 1.0


@dataclass(frozen=True)
class Distance:
    """The error of quantized values against float values.

    Attributes:
        snr_db: signal-to-noise ratio in decibels; infinite if the values are equal.
        cosine: cosine similarity.
        saturation: share of the float values, 0 to 1, outside the range of the integers.
    """

    snr_db: float
    cosine: float
    saturation: float


@dataclass(frozen=True)
class LayerError:
    """The quantization error of one operator.

    Attributes:
        index: index among the operators.
        kind, layer: operator type and layer name, such as "CONV_2D" and "stem_conv".
        activation: error of its output.
        weights: error of its weights; None without weights or with float weights.
        gain_db: gain of the logits' signal-to-noise ratio when the layer stays in float; None if not measured.
    """

    index: int
    kind: str
    layer: str
    activation: Distance
    weights: Distance | None
    gain_db: float | None = None


class _Sums:
    """Accumulated sums of a Distance."""

    def __init__(self) -> None:
        self.signal = self.noise = self.other = self.product = 0.0
        self.outside = self.count = 0

    def add(self, wanted: npt.NDArray[Any], found: npt.NDArray[Any], outside: int) -> None:
        wanted, found = wanted.ravel(), found.ravel()
        difference = wanted - found
        self.signal += float(np.dot(wanted, wanted))
        self.other += float(np.dot(found, found))
        self.noise += float(np.dot(difference, difference))
        self.product += float(np.dot(wanted, found))
        self.outside += outside
        self.count += wanted.size

    @property
    def distance(self) -> Distance:
        norms = math.sqrt(self.signal * self.other)
        # All zeros on both sides is no error.
        cosine = self.product / norms if norms else float(self.signal == self.other)
        return Distance(self.snr_db, min(1.0, cosine), self.outside / max(1, self.count))

    @property
    def snr_db(self) -> float:
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def layer_errors(float_model: bytes, quantized: bytes, faces: npt.NDArray[np.uint8]) -> list[LayerError]:
    """Compare each operator of the two models of one network, over prepared faces, uint8 (n, h, w).

    Raises:
        DataError: the two do not have the same operators.
    """
    origin, graph = Flatbuffer(float_model), Flatbuffer(quantized)
    pairs = list(zip(origin.computing, graph.computing))
    if [op.kind for op in origin.computing] != [op.kind for op in graph.computing]:
        raise DataError(
            "the quantized model has other operators than its parent",
            why=f"{len(graph.computing)} against {len(origin.computing)}, without those between float and integer",
        )
    sums = [_Sums() for _ in pairs]
    limits = [_limits(graph, own.outputs[0]) for _, own in pairs]
    params = [_params(graph, own.outputs[0]) for _, own in pairs]
    for theirs, ours in zip(activations(float_model, faces), activations(quantized, faces)):
        for (wanted, own), total, (low, high), affine in zip(pairs, sums, limits, params):
            expected = theirs(wanted.outputs[0])
            outside = int(np.count_nonzero((expected < low) | (expected > high)))
            total.add(expected, _as_float(ours(own.outputs[0]), affine), outside)
    return [
        LayerError(index, own.kind, wanted.layer, total.distance, _weights(origin, wanted, graph, own))
        for index, ((wanted, own), total) in enumerate(zip(pairs, sums))
    ]


def sensitivity(
    calibrated: Calibrator, options: QuantizationOptions, faces: npt.NDArray[np.uint8], *, progress: Progress = silent
) -> dict[str, float]:
    """Measure the gain of the logits' signal-to-noise ratio, in dB, when one layer stays in float.

    Returns:
        The gain of each weighted layer by name.
    """
    layers = list(dict.fromkeys(op.layer for op in calibrated.graph.computing if op.weighted))
    wanted = _logits(calibrated.model, faces)
    basis = _snr_db(wanted, _logits(calibrated.quantize(options), faces))
    gains = {}
    for index, layer in enumerate(layers):
        progress(index, len(layers), f"{layer} in float")
        patterns = (*options.float_layers, f"^{re.escape(layer)}$")
        model = calibrated.quantize(dataclasses.replace(options, float_layers=patterns))
        found = _snr_db(wanted, _logits(model, faces))
        # Of two infinite ones there is no difference.
        gains[layer] = 0.0 if found == basis else found - basis
    progress(len(layers), len(layers), "done")
    return gains


def sensitive_layers(gains: dict[str, float]) -> Sequence[str]:
    """Return the layers whose gain in float is at least 1 dB, in descending order."""
    named = [layer for layer, gain in gains.items() if gain >= SENSITIVE_DB]
    return sorted(named, key=lambda layer: -gains[layer])


def _weights(origin: Flatbuffer, theirs: Op, graph: Flatbuffer, ours: Op) -> Distance | None:
    if not ours.weighted or graph.dtype(ours.inputs[1]) != "int8":
        return None
    wanted, steps = origin.values(theirs.inputs[1]), graph.values(ours.inputs[1])
    scales, zero_points = graph.scales(ours.inputs[1])
    # One scale, or one along the axis of the output channels, which is the first, or the last of a depthwise filter.
    axis = 0 if scales.size == steps.shape[0] else steps.ndim - 1
    shape = [-1 if index == axis else 1 for index in range(steps.ndim)] if scales.size > 1 else [1] * steps.ndim
    scale, zero_point = scales.reshape(shape), zero_points.reshape(shape)
    found = (steps.astype(np.float64) - zero_point) * scale
    sums = _Sums()
    sums.add(wanted, found, int(np.count_nonzero(np.abs(wanted) > 127.5 * scale)))
    return sums.distance


def _params(graph: Flatbuffer, tensor: int) -> QuantParams | None:
    scales, zero_points = graph.scales(tensor)
    dtype = graph.dtype(tensor)
    return None if dtype == "float32" else QuantParams(float(scales[0]), int(zero_points[0]), dtype)


def _as_float(values: npt.NDArray[Any], params: QuantParams | None) -> npt.NDArray[np.float32]:
    return values if params is None else dequantize(values, params)


def _limits(graph: Flatbuffer, tensor: int) -> tuple[float, float]:
    """Return the range of float values that round to an integer of the tensor's dtype."""
    params = _params(graph, tensor)
    if params is None:
        return -math.inf, math.inf
    ends = np.iinfo(params.dtype)
    low, high = (params.scale * (end - params.zero_point) for end in (ends.min - 0.5, ends.max + 0.5))
    return low, high


def _logits(model: bytes, faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    graph = Flatbuffer(model)
    (output,) = graph.outputs
    params = _params(graph, output)
    return np.stack([_as_float(values(output)[0], params) for values in activations(model, faces)])


def _snr_db(wanted: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    sums = _Sums()
    sums.add(wanted, found, 0)
    return sums.snr_db
