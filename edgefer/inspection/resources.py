"""Compute the resources that a model needs: memory of the activations, multiply-accumulates and parameters.

    plan = plan_arena(model.main)
    plan.peak_bytes                                 # the arena: activations, inputs and outputs
    plan.variable_bytes                             # a second arena: tensors that keep their values between runs
    count_macs(model.main, op)                      # 663552; 0 for an addition or a copy, None if unknown
    parameter_tensors(model.main, op)               # weights and biases

The memory plan follows TensorFlow Lite (tensorflow/lite/arena_planner.cc and simple_memory_arena.cc). A tensor lives
from the operator that writes it to the last operator that reads it; inputs and outputs live to the end. Tensors are
placed from the largest to the smallest. Each takes the smallest gap that fits between tensors that live at the same
time, aligned to 64 bytes. The plan excludes scratch memory of kernels, memory of XNNPACK (which packs copies of the
weights), and in-place execution in newer runtimes: the file does not determine these.

A MAC is a multiplication followed by an addition. Only operators that sum products have MACs: convolutions, matrix
products and recurrent cells. Biases, activations, pooling and elementwise operators count as zero.
"""

from __future__ import annotations

import math
from bisect import insort
from dataclasses import dataclass

from edgefer.inspection.flatbuffer import Op, Subgraph, Tensor

__all__ = ["ArenaPlan", "count_macs", "parameter_tensors", "plan_arena"]

ALIGNMENT = 64


@dataclass(frozen=True)
class ArenaPlan:
    """Placement of the activations in memory.

    Attributes:
        peak_bytes: size of the arena.
        variable_bytes: size of the second arena, for tensors that keep their values between runs.
        offsets: offset in the arena in bytes, by tensor index.
        unsized: number of tensors without a size in the file (strings, unknown shapes); the plan excludes them.
    """

    peak_bytes: int
    variable_bytes: int
    offsets: dict[int, int]
    unsized: int


@dataclass(frozen=True, order=True)
class _Allocation:
    offset: int
    size: int
    first: int
    last: int


def plan_arena(graph: Subgraph) -> ArenaPlan:
    """Plan the memory of the activations of ``graph`` for the shapes in the file."""
    lifetimes = _lifetimes(graph)
    variables = {index for index, tensor in enumerate(graph.tensors) if tensor.variable}
    sizes = {index: graph.tensors[index].size_bytes for index in {*lifetimes, *variables}}
    whole = (0, len(graph.ops))

    def rank(index: int) -> tuple[int, int, int]:
        return (0, index, 0) if lifetimes[index] == whole else (1, -(sizes[index] or 0), lifetimes[index][0])

    placed: list[_Allocation] = []
    offsets = {}
    for index in sorted((index for index in lifetimes if sizes[index] and index not in variables), key=rank):
        size, (first, last) = sizes[index] or 0, lifetimes[index]
        offsets[index] = _gap(placed, size, first, last)
        insort(placed, _Allocation(offsets[index], size, first, last))
    return ArenaPlan(
        peak_bytes=max((allocation.offset + allocation.size for allocation in placed), default=0),
        variable_bytes=sum(_aligned(sizes[index] or 0) for index in variables),
        offsets=offsets,
        unsized=sum(size is None for size in sizes.values()),
    )


def _lifetimes(graph: Subgraph) -> dict[int, tuple[int, int]]:
    """Return the first and the last operator of each activation; the end is one past the last operator."""
    end = len(graph.ops)
    first = {index: 0 for index in graph.inputs if index >= 0}
    last = dict.fromkeys([*first, *(index for index in graph.outputs if index >= 0)], end)
    for position, op in enumerate(graph.ops):
        for index in op.outputs:
            first.setdefault(index, position)
        for index in op.inputs:
            if last.get(index) != end:
                last[index] = position
    # A tensor that no operator reads lives to the end.
    return {index: (begin, last.get(index, end)) for index, begin in first.items() if index >= 0}


def _gap(placed: list[_Allocation], size: int, first: int, last: int) -> int:
    """Return the offset of the smallest gap for ``size`` bytes between allocations, which are sorted by offset."""
    best, best_gap, end = None, None, 0
    for other in placed:
        if other.last < first or other.first > last:
            continue
        begin = _aligned(end)
        if begin + size <= other.offset and (best_gap is None or other.offset - begin < best_gap):
            best, best_gap = begin, other.offset - end
        end = max(end, other.offset + other.size)
    return _aligned(end) if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


# The number of runs of these operators' bodies depends on the data.
CONTROL_FLOW = {"WHILE", "IF", "CALL_ONCE", "CALL", "STABLEHLO_WHILE", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE"}
# These operators sum products, but edgefer has no formula for them.
NO_FORMULA = {
    "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL",
    "RFFT2D", "EMBEDDING_LOOKUP_SPARSE",
}  # fmt: skip
# Positions of the weights among the inputs; each weight is used once per step.
RECURRENT = {
    "LSTM": range(1, 9), "UNIDIRECTIONAL_SEQUENCE_LSTM": range(1, 9), "RNN": range(1, 3),
    "UNIDIRECTIONAL_SEQUENCE_RNN": range(1, 3), "SVDF": range(1, 3),
}  # fmt: skip
LSTM_PROJECTION = 16


def count_macs(graph: Subgraph, op: Op) -> int | None:
    """Count the multiply-accumulates of one run of ``op`` with the shapes in the file; None if unknown."""
    if op.custom or op.name in CONTROL_FLOW | NO_FORMULA:
        return None
    if op.name in RECURRENT:
        return _recurrent(graph, op)
    out = graph.tensors[op.outputs[0]].elements if op.outputs and op.outputs[0] >= 0 else None
    first, second, third = (graph.input(op, position) for position in range(3))
    if op.name in ("CONV_2D", "FULLY_CONNECTED"):
        # Shape (outputs, ...): one output sums the product of the other dimensions. A grouped convolution has the
        # channels of one group there.
        return _product(out, second, slice(1, None))
    if op.name == "DEPTHWISE_CONV_2D":
        return _product(out, second, slice(1, 3))
    if op.name == "CONV_3D":
        return _product(out, second, slice(0, 4))
    if op.name == "TRANSPOSE_CONV":
        # Shape (outputs, height, width, inputs): each input value contributes to outputs * height * width outputs.
        return _product(third.elements if third else None, second, slice(0, 3))
    if op.name == "CONV_3D_TRANSPOSE":
        return _product(third.elements if third else None, second, slice(0, 4))
    if op.name == "BATCH_MATMUL":
        axis = -2 if op.options.get("AdjX") else -1
        return _product(out, first, slice(axis, axis + 1 or None))
    return 0


def parameter_tensors(graph: Subgraph, op: Op) -> list[Tensor]:
    """Return the constant inputs of ``op`` that are parameters: floats, or integers with a scale; no shapes or axes.

    Constant inputs of loops and branches are initial values, so they do not count. Operators of the body hold the
    weights.
    """
    if op.name in CONTROL_FLOW:
        return []
    inputs = [graph.tensors[index] for index in op.inputs if index >= 0]
    return [tensor for tensor in inputs if tensor.constant and (tensor.scales > 0 or "float" in tensor.dtype)]


def _product(count: int | None, weights: Tensor | None, dimensions: slice) -> int | None:
    if count is None or weights is None or not weights.shape or weights.elements is None:
        return None
    return count * math.prod(weights.shape[dimensions])


def _recurrent(graph: Subgraph, op: Op) -> int | None:
    source = graph.input(op, 0)
    positions = [*RECURRENT[op.name], *([LSTM_PROJECTION] if "LSTM" in op.name else [])]
    tensors = [graph.input(op, position) for position in positions]
    weights = [tensor.elements for tensor in tensors if tensor is not None]
    if source is None or source.elements is None or not source.shape or not weights:
        return None
    # All dimensions but the last count steps: time steps and the batch.
    steps = math.prod(source.shape[:-1])
    return None if any(count is None for count in weights) else steps * sum(count or 0 for count in weights)
