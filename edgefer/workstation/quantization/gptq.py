"""Round the weights of an int8 model and correct its biases, using statistics of the layer inputs.

    statistics = InputStatistics(graph, faces=len(faces))
    for values in activations(model, faces):
        statistics.observe(values)
    better = apply_gptq(int8_model, statistics, origin=graph, second_order=True, bias_correction=True)

Rounding each weight to the nearest step minimizes the error of the weight, not of the layer output. Inputs of a layer
are correlated (the pixels of a face are all bright or all dark), so rounding errors of one sign add up. Two methods
reduce the output error; both use the inputs of the layer in the float model:

- GPTQ rounding: weights are rounded one by one, and the remaining weights compensate for the error according to the
  covariance of the inputs (Frantar et al., "GPTQ", ICLR 2023, after Hassibi and Stork, "Optimal Brain Surgeon", 1993).
- Bias correction: the bias absorbs the remaining mean error (Nagel et al., "Data-Free Quantization Through Weight
  Equalization and Bias Correction", ICCV 2019, section 4.2).

The scales of the quantizer stay unchanged, so model size and speed do not change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer, Op

__all__ = ["LARGEST", "InputStatistics", "absorb_constant_inputs", "apply_gptq", "pair_layers", "weight_rows"]

Array = npt.NDArray[Any]
# Sampled patches per face; neighboring patches are nearly identical.
PATCHES = 50
# Faces per matrix product, whose size does not depend on the number of faces.
BATCH_FACES = 25
# Damping of the covariance diagonal, relative to its mean (Frantar et al. 2022): bounds weights of constant inputs.
DAMPING = 1e-3
# Minimum damping, relative to the mean square of the inputs: the rounding error of float32 sums.
NOISE = 1e-5
# Share of the output variance from which the rounding error of nearly constant inputs counts.
NOISE_SHARE = 0.1
ATTEMPTS = 6
LARGEST = 127
"""Largest integer weight."""
LIMITS = (-(2**31), 2**31 - 1)
SAME = 0  # Padding in the schema


class InputStatistics:
    """Mean and covariance of the inputs of each weighted operator in the float model ``graph``.

    The covariance is omitted if the faces provide fewer patches than an output has weights.
    """

    def __init__(self, graph: Flatbuffer, *, faces: int) -> None:
        self.graph = graph
        self._ops = [(index, op) for index, op in enumerate(graph.computing) if op.weighted and _is_plain(graph, op)]
        self._generator = np.random.default_rng(0)
        self._counts = dict.fromkeys((index for index, _ in self._ops), 0)
        self._sums: dict[int, Array] = {}
        self._products: dict[int, Array] = {}
        self._rounded: dict[tuple[int, bool, int, bytes], Array] = {}
        self._enough = {
            index for index, op in self._ops
            if faces * min(PATCHES, _positions(graph, op)) >= weight_rows(graph, op).shape[2]
        }  # fmt: skip
        self._waiting: dict[int, list[Array]] = {index: [] for index in self._enough}

    def observe(self, values: Callable[[int], Array]) -> None:
        """Add the activations of one face."""
        for index, op in self._ops:
            patches = _patches(self.graph, op, values(op.inputs[0]), self._generator)
            self._counts[index] += len(patches)
            self._sums[index] = self._sums.get(index, 0.0) + patches.sum(axis=0, dtype=np.float64)
            if index in self._enough:
                self._waiting[index].append(patches)
                if len(self._waiting[index]) == BATCH_FACES:
                    self._multiply(index)

    def _multiply(self, index: int) -> None:
        by_group = np.concatenate(self._waiting[index]).transpose(1, 0, 2)
        products = np.matmul(by_group.transpose(0, 2, 1), by_group)
        self._products[index] = self._products.get(index, 0.0) + products
        self._waiting[index].clear()

    def mean(self, index: int) -> Array | None:
        """Return the mean input of an operator of ``graph.computing``, float64 (groups, inputs), or None."""
        return self._sums[index] / self._counts[index] if index in self._sums else None

    def covariance(self, index: int, *, centred: bool) -> Array | None:
        """Return the covariance, float64 (groups, inputs, inputs), or the second moment if not ``centred``.

        None if the faces provide too few patches.
        """
        if self._waiting.get(index):
            self._multiply(index)
        if index not in self._products:
            return None
        second = self._products[index].astype(np.float64) / self._counts[index]
        mean = self._sums[index] / self._counts[index]
        return second - mean[:, :, None] * mean[:, None, :] if centred else second

    def round(self, index: int, weights: Array, scales: Array, *, centred: bool, multiple: int = 1) -> Array | None:
        """Return weights (groups, outputs, inputs) of an operator in multiples of ``multiple`` steps.

        None without a covariance.
        """
        key = (index, centred, multiple, scales.tobytes() + weights.tobytes())
        # Variants of one network differ in ranges and float layers, but share the scales of their weights.
        if key not in self._rounded:
            covariance, second = (self.covariance(index, centred=option) for option in (centred, False))
            if covariance is None or second is None:
                return None
            floors = NOISE * np.einsum("gii->g", second) / second.shape[1]
            groups = zip(weights, scales, covariance, floors)
            self._rounded[key] = np.stack(
                [_round(*arrays, floor=floor, multiple=multiple) for *arrays, floor in groups]
            )
        return self._rounded[key]


def absorb_constant_inputs(model: bytes, observed: InputStatistics, step_of: Callable[[int], float]) -> bytes:
    """Return the float model with inputs of layers that int8 cannot resolve replaced by their mean, in the bias.

    A normalization after an activation gives nearly constant inputs large weights, which multiply the rounding error of
    the input and widen the scale of all other weights. A layer changes only if that error would exceed NOISE_SHARE of
    the variance of its outputs.

    Args:
        model: float .tflite, the graph in ``observed``.
        observed: input statistics of the float graph.
        step_of: function from a tensor index to the quantization step of the activation.
    """
    graph, is_changed = Flatbuffer(model), False
    for index, op in enumerate(graph.computing):
        mean = observed.mean(index)
        covariance = observed.covariance(index, centred=True) if mean is not None else None
        if mean is None or covariance is None or graph.uses(op.inputs[1]) > 1:
            continue
        weights = weight_rows(graph, op).astype(np.float64)
        error = step_of(op.inputs[0]) ** 2 / 12  # variance of a uniform rounding error
        variance = np.maximum(np.einsum("gii->gi", covariance), 0.0)
        share = np.where(variance < error, variance / (variance + error), 1.0)[:, None, :]
        lost = float((np.square(weights) * (share < 1)).sum()) * error
        if lost <= NOISE_SHARE * float(np.einsum("goi,gij,goj->", weights, covariance, weights)):
            continue
        kept = weights * share
        bias = graph.values(op.inputs[2]) + np.einsum("goi,gi->go", weights - kept, mean).reshape(-1)
        graph.set_values(op.inputs[1], _from_rows(kept, op, graph.shape(op.inputs[1])))
        graph.set_values(op.inputs[2], bias)
        is_changed = True
    return graph.to_bytes() if is_changed else model


def apply_gptq(
    model: bytes,
    observed: InputStatistics,
    *,
    origin: Flatbuffer,
    second_order: bool,
    bias_correction: bool,
    multiple: int = 1,
) -> bytes:
    """Return the int8 model with GPTQ-rounded weights and corrected biases; float layers stay unchanged.

    The model is returned unchanged if the quantizer has merged or split layers, so that none can be paired.

    Args:
        model: int8 .tflite of ``origin``.
        observed: input statistics of the float graph.
        origin: the float graph, or a variant of it with other weights.
        second_order: round weights with GPTQ.
        bias_correction: correct biases.
        multiple: common factor of all weights and biases. If it is not 1, weights that GPTQ cannot round are rounded to
            the nearest multiple, with the scales of ``model``.
    """
    graph = Flatbuffer(model)
    for index, float_op, op in pair_layers(origin, graph):
        # Weights shared by two operators cannot fit the inputs of both.
        if graph.dtype(op.inputs[1]) != "int8" or graph.uses(op.inputs[1]) > 1:
            continue
        mean = observed.mean(index)
        weights, steps = weight_rows(origin, float_op).astype(np.float64), weight_rows(graph, op)
        scales = np.broadcast_to(graph.scales(op.inputs[1])[0], steps.shape[0] * steps.shape[1])
        scales = scales.reshape(*steps.shape[:2], 1)
        rounded = None
        if second_order:
            rounded = observed.round(index, weights, scales[..., 0], centred=bias_correction, multiple=multiple)
        if rounded is None and multiple > 1:
            rounded = _nearest(weights, scales, multiple)
        if rounded is not None:
            steps = rounded
            graph.set_values(op.inputs[1], _from_rows(steps, op, graph.shape(op.inputs[1])))
        error_mean = mean if bias_correction else None
        if op.has_bias and (error_mean is not None or multiple > 1):
            bias = origin.values(float_op.inputs[2]).astype(np.float64)
            if error_mean is not None:
                bias += np.einsum("goi,gi->go", weights - steps * scales, error_mean).reshape(-1)
            bias_scale, _ = graph.scales(op.inputs[2])
            bias = np.round(bias / (bias_scale * multiple))
            graph.set_values(op.inputs[2], np.clip(bias, LIMITS[0] // multiple + 1, LIMITS[1] // multiple) * multiple)
    return graph.to_bytes()


def pair_layers(origin: Flatbuffer, graph: Flatbuffer) -> list[tuple[int, Op, Op]]:
    """Return the index in ``origin.computing`` of each weighted operator, the operator, and its int8 counterpart.

    The quantizer may rewrite other operators, such as activations. Empty if the weighted ones are not the same.
    """
    indexed = [(index, op) for index, op in enumerate(origin.computing) if op.weighted]
    partners = [op for op in graph.computing if op.weighted]
    kinds, partner_kinds = (
        [(op.kind, source.shape(op.inputs[1])) for op in ops]
        for source, ops in ((origin, [op for _, op in indexed]), (graph, partners))
    )
    if kinds != partner_kinds:
        return []
    return [(index, op, partner) for (index, op), partner in zip(indexed, partners)]


def _round(weights: Array, scales: Array, covariance: Array, *, floor: float = 0.0, multiple: int = 1) -> Array:
    """Round weights, float64 (outputs, inputs) with one scale per output, to steps in -127..127, input by input.

    ``floor`` is the minimum damping of the diagonal of the covariance. All steps are multiples of ``multiple``.
    """
    # Round inputs of high variance first, while many others can compensate for the error.
    order = np.argsort(-np.diag(covariance), kind="stable")
    factor = _factor(covariance[np.ix_(order, order)], floor)
    remaining, steps = weights[:, order].copy(), np.empty_like(weights)
    for position, column in enumerate(order):
        rounded = _nearest(remaining[:, position], scales, multiple)
        steps[:, column] = rounded
        error = (remaining[:, position] - rounded * scales) / factor[position, position]
        remaining[:, position + 1 :] -= np.outer(error, factor[position, position + 1 :])
    return steps


def _nearest(weights: Array, scales: Array, multiple: int) -> Array:
    """Return the nearest multiples of ``multiple`` steps in -127..127."""
    largest = LARGEST // multiple
    nearest: Array = np.clip(np.round(weights / (scales * multiple)), -largest, largest) * multiple
    return nearest


def _factor(covariance: Array, floor: float) -> Array:
    """Return the upper Cholesky factor of the inverse; row j distributes the error of input j over later inputs."""
    size = len(covariance)
    damping = max(DAMPING * np.trace(covariance) / size, floor) + 1e-12
    for _ in range(ATTEMPTS):
        try:
            return np.linalg.cholesky(np.linalg.inv(covariance + np.eye(size) * damping)).T
        except np.linalg.LinAlgError:
            # The rounding error of the sums can exceed the damping if many inputs are nearly constant.
            damping *= 10
    return np.eye(size)


def _is_plain(graph: Flatbuffer, op: Op) -> bool:
    """Return True if _patches() supports the operator and it has a bias."""
    if not op.has_bias:
        return False
    if op.kind == "FULLY_CONNECTED":
        return True
    dilated = (op.options.dilationHFactor, op.options.dilationWFactor) != (1, 1)
    if op.kind == "CONV_2D":
        return not dilated and graph.shape(op.inputs[1])[3] == graph.shape(op.inputs[0])[3]  # one group
    return not dilated and op.options.depthMultiplier == 1


def weight_rows(graph: Flatbuffer, op: Op) -> Array:
    """Return the weights as (groups, outputs, inputs): one group per channel of a depthwise convolution, else one."""
    weights = graph.values(op.inputs[1])
    if op.kind == "DEPTHWISE_CONV_2D":
        return weights.reshape(-1, weights.shape[-1]).T[:, None, :]
    return weights.reshape(1, len(weights), -1)


def _from_rows(rows: Array, op: Op, shape: tuple[int, ...]) -> Array:
    """Invert weight_rows()."""
    return (rows[:, 0].T if op.kind == "DEPTHWISE_CONV_2D" else rows[0]).reshape(shape)


def _positions(graph: Flatbuffer, op: Op) -> int:
    """Return the number of positions per face to which an operator applies its weights."""
    shape = graph.shape(op.outputs[0])
    return math.prod(shape[:-1]) if op.kind == "FULLY_CONNECTED" else shape[1] * shape[2]


def _patches(graph: Flatbuffer, op: Op, source: Array, generator: np.random.Generator) -> Array:
    """Return the inputs of the weights at up to PATCHES positions, float32 (positions, groups, inputs)."""
    if op.kind == "FULLY_CONNECTED":
        rows = source.reshape(-1, 1, graph.shape(op.inputs[1])[1])
        return rows if len(rows) == 1 else generator.choice(rows, min(PATCHES, len(rows)), replace=False)
    height, width = graph.shape(op.inputs[1])[1:3]
    image = source[0]
    strides = (op.options.strideH, op.options.strideW)
    if op.options.padding == SAME:
        sizes = zip(image.shape[:2], (height, width), strides)
        pads = [max((-(-size // stride) - 1) * stride + kernel - size, 0) for size, kernel, stride in sizes]
        image = np.pad(image, (*((pad // 2, pad - pad // 2) for pad in pads), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(image, (height, width), axis=(0, 1))
    windows = windows[:: strides[0], :: strides[1]]  # (rows, columns, channels, height, width)
    rows, columns = windows.shape[:2]
    positions = generator.choice(rows * columns, min(PATCHES, rows * columns), replace=False)
    patches: Array = windows[positions // columns, positions % columns]
    if op.kind == "DEPTHWISE_CONV_2D":
        return patches.reshape(len(patches), image.shape[2], height * width)
    return patches.transpose(0, 2, 3, 1).reshape(len(patches), 1, height * width * image.shape[2])
