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

from edgefer.contract.preprocessing import InputSpec
from edgefer.contract.quantization_params import QuantParams, dequantize
from edgefer.errors import DataError
from edgefer.progress import Progress, silent
from edgefer.workstation.quantization.bit_exact import is_mean
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

    def add(self, expected: npt.NDArray[Any], actual: npt.NDArray[Any], outside: int) -> None:
        expected, actual = expected.ravel(), actual.ravel()
        difference = expected - actual
        self.signal += float(np.dot(expected, expected))
        self.other += float(np.dot(actual, actual))
        self.noise += float(np.dot(difference, difference))
        self.product += float(np.dot(expected, actual))
        self.outside += outside
        self.count += expected.size

    @property
    def distance(self) -> Distance:
        norms = math.sqrt(self.signal * self.other)
        # Two vectors of zeros are equal.
        cosine = self.product / norms if norms else float(self.signal == self.other)
        return Distance(self.snr_db, min(1.0, cosine), self.outside / max(1, self.count))

    @property
    def snr_db(self) -> float:
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def layer_errors(
    float_model: bytes, quantized: bytes, faces: npt.NDArray[np.uint8], spec: InputSpec = InputSpec()
) -> list[LayerError]:
    """Compare each operator of a quantized model with the same operator of its float model.

    Args:
        float_model: float32 .tflite.
        quantized: .tflite of the same network with any scheme.
        faces: preprocessed faces, uint8 (n, *spec.shape).
        spec: input of both models.

    Returns:
        The errors in execution order, without operators that only convert between float and integer.

    Raises:
        DataError: the models do not have the same operators.
    """
    origin, graph = Flatbuffer(float_model), Flatbuffer(quantized)
    pairs = list(zip(origin.computing, graph.computing))
    if _kinds(origin) != _kinds(graph):
        raise DataError(
            "the quantized model does not have the operators of the float model",
            why=f"{len(graph.computing)} operators, expected {len(origin.computing)}, both without QUANTIZE and "
            "DEQUANTIZE",
            hint="compare models of the same network",
        )
    sums = [_Sums() for _ in pairs]
    limits = [_limits(graph, op.outputs[0]) for _, op in pairs]
    params = [_params(graph, op.outputs[0]) for _, op in pairs]
    for float_values, values in zip(activations(float_model, faces, spec), activations(quantized, faces, spec)):
        for (float_op, op), total, (low, high), affine in zip(pairs, sums, limits, params):
            expected = float_values(float_op.outputs[0])
            outside = int(np.count_nonzero((expected < low) | (expected > high)))
            total.add(expected, _as_float(values(op.outputs[0]), affine), outside)
    return [
        LayerError(index, op.kind, float_op.layer, total.distance, _weights(origin, float_op, graph, op))
        for index, ((float_op, op), total) in enumerate(zip(pairs, sums))
    ]


def _kinds(graph: Flatbuffer) -> list[str]:
    """Return the operator types of the float network; a mean can be a convolution in int8."""
    return ["MEAN" if is_mean(graph, op) else op.kind for op in graph.computing]


def sensitivity(
    calibrated: Calibrator, options: QuantizationOptions, faces: npt.NDArray[np.uint8], *, progress: Progress = silent
) -> dict[str, float]:
    """Measure the gain of the logits' signal-to-noise ratio, in dB, when one layer stays in float.

    Returns:
        The gain of each weighted layer by name.
    """
    layers = list(dict.fromkeys(op.layer for op in calibrated.graph.computing if op.weighted))
    expected = _logits(calibrated.model, faces, calibrated.spec)
    basis = _snr_db(expected, _logits(calibrated.quantize(options), faces, calibrated.spec))
    gains = {}
    for index, layer in enumerate(layers):
        progress(index, len(layers), f"{layer} in float")
        patterns = (*options.float_layers, f"^{re.escape(layer)}$")
        model = calibrated.quantize(dataclasses.replace(options, float_layers=patterns))
        ratio = _snr_db(expected, _logits(model, faces, calibrated.spec))
        # The difference of two infinite ratios is not a number.
        gains[layer] = 0.0 if ratio == basis else ratio - basis
    progress(len(layers), len(layers), "done")
    return gains


def sensitive_layers(gains: dict[str, float]) -> Sequence[str]:
    """Return the layers whose gain in float is at least 1 dB, in descending order."""
    sensitive = [layer for layer, gain in gains.items() if gain >= SENSITIVE_DB]
    return sorted(sensitive, key=lambda layer: -gains[layer])


def _weights(origin: Flatbuffer, float_op: Op, graph: Flatbuffer, op: Op) -> Distance | None:
    """Return the error of the int8 weights of ``op``, or None."""
    if not float_op.weighted or graph.dtype(op.inputs[1]) != "int8":
        return None
    expected, steps = origin.values(float_op.inputs[1]), graph.values(op.inputs[1])
    scales, zero_points = graph.scales(op.inputs[1])
    # Per-channel scales belong to the axis of the output channels: the last of a depthwise kernel, else the first.
    axis = 0 if scales.size == steps.shape[0] else steps.ndim - 1
    shape = [-1 if index == axis else 1 for index in range(steps.ndim)] if scales.size > 1 else [1] * steps.ndim
    scale, zero_point = scales.reshape(shape), zero_points.reshape(shape)
    actual = (steps.astype(np.float64) - zero_point) * scale
    sums = _Sums()
    sums.add(expected, actual, int(np.count_nonzero(np.abs(expected) > 127.5 * scale)))
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


def _logits(model: bytes, faces: npt.NDArray[np.uint8], spec: InputSpec) -> npt.NDArray[np.float32]:
    graph = Flatbuffer(model)
    (output,) = graph.outputs
    params = _params(graph, output)
    return np.stack([_as_float(values(output)[0], params) for values in activations(model, faces, spec)])


def _snr_db(expected: npt.NDArray[np.float32], actual: npt.NDArray[np.float32]) -> float:
    sums = _Sums()
    sums.add(expected, actual, 0)
    return sums.snr_db
