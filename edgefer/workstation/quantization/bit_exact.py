"""Choose scales with which all kernels compute the same int8 outputs, to the bit.

    float_model = replace_means(float_model)
    int8_model = align_scales(int8_model, origin=graph)     # graph: parsed float_model
    apply_gptq(int8_model, ..., multiple=WEIGHT_MULTIPLE)   # even weights and biases

The specification of int8 (https://ai.google.dev/edge/litert/models/quantization_spec) leaves the rounding to the
kernels. XNNPACK multiplies the int32 sum of a layer by a float32 factor M and rounds once, ties to even. The built-in
and the reference kernels, TensorFlow Lite Micro and CMSIS-NN multiply in fixed point: M is m * 2^-k with m in
[0.5, 1), the first rounding is to multiples of 2^-k, and the second one breaks ties away from zero (gemmlowp,
fixedpoint.h). The outputs differ if M times the sum is within 2^-k / 2 of a tie. That happens once in 400 to 3,000
outputs, and all later layers see the difference. Here no product comes that close to a tie:

- Convolutions and fully connected layers: M is 1 / q with an even q whose half is odd, and weights and biases are even.
  The sum is then even, so that the product is never a tie, and at least 1 / q away from one. 1 / q is m * 2^-k, more
  than the error of the first rounding. Weights keep 127 of 255 values.
- Sums of two tensors: their scales are integer multiples of 1 / 255 of the output scale. The result is then a multiple
  of 1 / 255, and at least 1 / 510 away from a tie; kernels approximate the scales better than that.
- Means over all rows and columns before a fully connected layer or a convolution: the first rounding of the built-in
  kernel is to multiples of 1/2 to 1/8, and no scale avoids that. They become depthwise convolutions with equal weights.

Ranges become slightly wider, never narrower. Other operators stay as they are. MAX_POOL_2D, CONCATENATION, PAD and
RESHAPE do not round, and XNNPACK computes AVERAGE_POOL_2D, PRELU, HARD_SWISH, TANH and MAXIMUM like the other kernels.
LEAKY_RELU, MUL, RESIZE_BILINEAR, TRANSPOSE_CONV and other means can still differ.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.flatbuffer_editor import WEIGHTED, Flatbuffer, Op
from edgefer.workstation.quantization.gptq import LARGEST, pair_layers, weight_rows

__all__ = ["WEIGHT_MULTIPLE", "align_scales", "is_mean", "replace_means"]

WEIGHT_MULTIPLE = 2
"""Common factor of all weights and biases."""
SUMS = ("ADD", "SUB")
# Operators whose inputs and outputs may have any scales.
ANY_SCALES = (*WEIGHTED, *SUMS)
# Denominator of the scales of a sum: odd, so that no multiple of its reciprocal is a tie.
DENOMINATOR = 255
# Divisors q. Beyond the largest one, the error of a float32 product can exceed 1 / q.
SMALLEST, LARGEST_DIVISOR = 6, 2**14 - 2
# Just below a power of two, m is nearly 0.5, and the first rounding can reach the tie.
MINIMUM_FRACTION = 0.51
# Values per mean; the weights of the convolution need as many bytes for each channel.
LARGEST_MEAN = 256


def replace_means(model: bytes) -> bytes:
    """Return a float model with each mean over rows and columns as a DEPTHWISE_CONV_2D.

    Only convolutions and fully connected layers may read the mean. The indices of operators and tensors stay the same.
    """
    graph = Flatbuffer(model)
    for position, op in enumerate(graph.ops):
        source = graph.shape(op.inputs[0])
        readers = {reader.kind for reader in graph.ops if op.outputs[0] in reader.inputs}
        is_read = readers and readers <= {*WEIGHTED} and op.outputs[0] not in graph.outputs
        if op.kind != "MEAN" or len(source) != 4 or not is_read:
            continue
        height, width, channels = source[1:]
        axes = {int(axis) % 4 for axis in graph.values(op.inputs[1]).reshape(-1)}
        if axes == {1, 2} and height * width <= LARGEST_MEAN:
            weights = np.full((1, height, width, channels), 1 / (height * width), np.float32)
            graph.to_depthwise(position, weights)
    return graph.to_bytes()


def is_mean(graph: Flatbuffer, op: Op) -> bool:
    """Return True if an operator is a mean that replace_means() replaced."""
    if op.kind != "DEPTHWISE_CONV_2D" or not op.has_bias or not all(map(graph.constant, op.inputs[1:])):
        return False
    weights, bias = (graph.values(index) for index in op.inputs[1:])
    return not bias.any() and bool(np.ptp(weights) == 0)


def align_scales(model: bytes, origin: Flatbuffer) -> bytes:
    """Return an int8 model with aligned scales; its weights and biases must be rounded anew.

    The model is returned unchanged if the quantizer has merged or split layers, so that none can be paired.

    Args:
        model: int8 .tflite of ``origin``.
        origin: the float graph.
    """
    graph = Flatbuffer(model)
    pairs = pair_layers(origin, graph)
    if not pairs:
        return model
    free = _free_tensors(graph)
    settled: set[int] = set()
    for op in graph.ops:
        if op.kind in SUMS:
            settled |= _align_sum(graph, op, free - settled)
    for _, float_op, op in pairs:
        if graph.dtype(op.inputs[1]) == "int8" and graph.uses(op.inputs[1]) == 1:
            _align_weights(graph, op, weight_rows(origin, float_op), is_free=op.outputs[0] in free - settled)
    return graph.to_bytes()


def _free_tensors(graph: Flatbuffer) -> set[int]:
    """Return the int8 activations whose scale can change without a change of any other scale."""
    readers: dict[int, set[str]] = {}
    for op in graph.ops:
        for index in op.inputs:
            readers.setdefault(index, set()).add(op.kind)
    return {
        index for op in graph.ops if op.kind in ANY_SCALES
        for index in op.outputs
        if graph.dtype(index) == "int8" and index not in graph.outputs and readers.get(index, set()) <= {*ANY_SCALES}
    }  # fmt: skip


def _align_sum(graph: Flatbuffer, op: Op, free: set[int]) -> set[int]:
    """Align the scales of one sum; return its tensors, whose scales must not change again.

    Empty if too many of its scales are fixed.
    """
    tensors = {*op.inputs[:2], op.outputs[0]}
    if any(graph.dtype(index) != "int8" for index in tensors):
        return set()
    scales = {index: float(graph.scales(index)[0][0]) for index in tensors}
    output, fixed = op.outputs[0], {*op.inputs[:2]} - free
    if len(fixed) > (output in free):
        return set()
    unit = scales[output] / DENOMINATOR
    for index in fixed:
        # The other scales follow from that of the fixed input.
        unit = scales[index] / max(1, math.floor(scales[index] / unit))
        if unit * DENOMINATOR < scales[output]:
            return set()
        graph.set_scales(output, np.array([unit * DENOMINATOR]))
    for index in {*op.inputs[:2]} - fixed:
        graph.set_scales(index, np.array([math.ceil(scales[index] / unit) * unit]))
    return tensors


def _align_weights(graph: Flatbuffer, op: Op, weights: npt.NDArray[np.float64], *, is_free: bool) -> None:
    """Set the scales of weights and bias such that input scale * weight scale / output scale is 1 / q.

    A mean, with equal weights, gets another output scale instead, so that the weights remain exact.
    """
    (source,), (target,) = graph.scales(op.inputs[0])[0], graph.scales(op.outputs[0])[0]
    largest = np.abs(weights).max(axis=2).reshape(-1)
    if len(graph.scales(op.inputs[1])[0]) == 1:
        largest = largest.max(keepdims=True)
    smallest_scales = largest / (LARGEST // WEIGHT_MULTIPLE * WEIGHT_MULTIPLE)
    with np.errstate(divide="ignore"):
        limits = np.minimum(target / (source * smallest_scales), LARGEST_DIVISOR)
    if is_free and np.ptp(weights) == 0:
        target *= limits[0] / _divisor(limits[0])
        graph.set_scales(op.outputs[0], np.array([target]))
    scales = [
        target / (source * divisor) if divisor >= SMALLEST else smallest
        for divisor, smallest in zip(map(_divisor, limits), smallest_scales)
    ]
    graph.set_scales(op.inputs[1], np.array(scales))
    if op.has_bias:
        graph.set_scales(op.inputs[2], source * graph.scales(op.inputs[1])[0])


def _divisor(limit: float) -> int:
    """Return the largest q up to ``limit`` whose half is odd and whose 1 / q is not just above a power of two."""
    divisor = (int(limit) + 2) // 4 * 4 - 2
    while divisor >= SMALLEST and math.frexp(1 / divisor)[0] < MINIMUM_FRACTION:
        divisor -= 4
    return divisor
