"""How much memory the activations of a model want, by the plan that TensorFlow Lite makes for them.

    plan = plan_arena(anatomy.main)
    plan.peak_bytes                                 # the arena: activations, inputs and outputs
    plan.variable_bytes                             # beside it: what is kept from run to run

The same rules as in TensorFlow Lite (tensorflow/lite/arena_planner.cc and simple_memory_arena.cc): a tensor lives from
the operator that makes it to the last one that reads it, inputs and outputs to the end; tensors are placed from the
largest to the smallest, each into the smallest gap that fits between those that live at the same time, aligned to 64
bytes. What the file does not say is not in the plan: the scratch memory of kernels, what XNNPACK allocates for itself
(it also keeps packed copies of the weights), and that newer runtimes give some results the place of their operand.

What an operator costs: multiply-accumulates, and the parameters that it brings.

    macs(graph, op)                                 # 663552, 0 for what only adds or moves, None where nobody can tell
    parameters(graph, op)                           # the tensors that are its weights and biases

A MAC is one multiplication with the addition that follows it. Only operators that sum products have any: convolutions,
matrix products and recurrent cells. A bias, an activation, a pooling or an elementwise operator counts as none.
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
    """Where each activation goes.

    Attributes:
        peak_bytes: size of the arena.
        variable_bytes: size of the second arena, of tensors that keep their values from run to run.
        offsets: place in the arena by number of tensor.
        unsized: how many tensors have no size in the file (strings, unknown shapes) and are not in the plan.
    """

    peak_bytes: int
    variable_bytes: int
    offsets: dict[int, int]
    unsized: int


@dataclass(frozen=True, order=True)
class _Placed:
    offset: int
    size: int
    first: int
    last: int


def plan_arena(graph: Subgraph) -> ArenaPlan:
    """Plan the activations of ``graph``, with the shapes that stand in the file."""
    lives = _lives(graph)
    variables = {index for index, tensor in enumerate(graph.tensors) if tensor.variable}
    sizes = {index: graph.tensors[index].size_bytes for index in {*lives, *variables}}
    whole = (0, len(graph.ops))

    def rank(index: int) -> tuple[int, int, int]:
        return (0, index, 0) if lives[index] == whole else (1, -(sizes[index] or 0), lives[index][0])

    placed: list[_Placed] = []
    offsets = {}
    for index in sorted((each for each in lives if sizes[each] and each not in variables), key=rank):
        size, (first, last) = sizes[index] or 0, lives[index]
        offsets[index] = _gap(placed, size, first, last)
        insort(placed, _Placed(offsets[index], size, first, last))
    return ArenaPlan(
        peak_bytes=max((each.offset + each.size for each in placed), default=0),
        variable_bytes=sum(_aligned(sizes[index] or 0) for index in variables),
        offsets=offsets,
        unsized=sum(size is None for size in sizes.values()),
    )


def _lives(graph: Subgraph) -> dict[int, tuple[int, int]]:
    """First and last operator of each tensor that is not constant; the end is one past the last operator."""
    end = len(graph.ops)
    first = {index: 0 for index in graph.inputs if index >= 0}
    last = dict.fromkeys([*first, *(index for index in graph.outputs if index >= 0)], end)
    for position, op in enumerate(graph.ops):
        for index in op.outputs:
            first.setdefault(index, position)
        for index in op.inputs:
            if last.get(index) != end:
                last[index] = position
    # What nobody reads is never freed either.
    return {index: (begin, last.get(index, end)) for index, begin in first.items() if index >= 0}


def _gap(placed: list[_Placed], size: int, first: int, last: int) -> int:
    """The offset of the smallest gap for ``size`` bytes among what is ``placed``, sorted by offset."""
    best, best_room, at = None, None, 0
    for each in placed:
        if each.last < first or each.first > last:
            continue
        begin = _aligned(at)
        if begin + size <= each.offset and (best_room is None or each.offset - begin < best_room):
            best, best_room = begin, each.offset - at
        at = max(at, each.offset + each.size)
    return _aligned(at) if best is None else best


def _aligned(offset: int) -> int:
    return -(-offset // ALIGNMENT) * ALIGNMENT


# Their bodies run as often as the data says.
CONTROL_FLOW = {"WHILE", "IF", "CALL_ONCE", "CALL", "STABLEHLO_WHILE", "STABLEHLO_CASE", "STABLEHLO_COMPOSITE"}
# They sum products too, but edgefer has no formula for them.
NO_FORMULA = {
    "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL",
    "RFFT2D", "EMBEDDING_LOOKUP_SPARSE",
}  # fmt: skip
# By the position of its weights among the inputs; a weight is used once a step.
RECURRENT = {
    "LSTM": range(1, 9), "UNIDIRECTIONAL_SEQUENCE_LSTM": range(1, 9), "RNN": range(1, 3),
    "UNIDIRECTIONAL_SEQUENCE_RNN": range(1, 3), "SVDF": range(1, 3),
}  # fmt: skip
LSTM_PROJECTION = 16


def count_macs(graph: Subgraph, op: Op) -> int | None:
    """Multiply-accumulates of one run of ``op`` with the shapes of the file; None where nobody can tell."""
    if op.custom or op.name in CONTROL_FLOW | NO_FORMULA:
        return None
    if op.name in RECURRENT:
        return _recurrent(graph, op)
    out = graph.tensors[op.outputs[0]].elements if op.outputs and op.outputs[0] >= 0 else None
    first, second, third = (graph.input(op, position) for position in range(3))
    if op.name in ("CONV_2D", "FULLY_CONNECTED"):
        # (outputs, ...): what one output sums; a grouped convolution has the channels of one group there.
        return _product(out, second, slice(1, None))
    if op.name == "DEPTHWISE_CONV_2D":
        return _product(out, second, slice(1, 3))
    if op.name == "CONV_3D":
        return _product(out, second, slice(0, 4))
    if op.name == "TRANSPOSE_CONV":
        # (outputs, height, width, inputs): each input value goes to that many outputs.
        return _product(third.elements if third else None, second, slice(0, 3))
    if op.name == "CONV_3D_TRANSPOSE":
        return _product(third.elements if third else None, second, slice(0, 4))
    if op.name == "BATCH_MATMUL":
        at = -2 if op.options.get("AdjX") else -1
        return _product(out, first, slice(at, at + 1 or None))
    return 0


def parameter_tensors(graph: Subgraph, op: Op) -> list[Tensor]:
    """The constant inputs of ``op`` that were learned: floats, or integers that have a scale; no shapes and no axes.

    What goes into a loop or a branch is what its variables begin with; the weights stand in the body's own operators.
    """
    if op.name in CONTROL_FLOW:
        return []
    inputs = [graph.tensors[index] for index in op.inputs if index >= 0]
    return [each for each in inputs if each.constant and (each.scales > 0 or "float" in each.dtype)]


def _product(count: int | None, weights: Tensor | None, dimensions: slice) -> int | None:
    if count is None or weights is None or not weights.shape or weights.elements is None:
        return None
    return count * math.prod(weights.shape[dimensions])


def _recurrent(graph: Subgraph, op: Op) -> int | None:
    source = graph.input(op, 0)
    positions = [*RECURRENT[op.name], *([LSTM_PROJECTION] if "LSTM" in op.name else [])]
    found = [graph.input(op, position) for position in positions]
    weights = [each.elements for each in found if each is not None]
    if source is None or source.elements is None or not source.shape or not weights:
        return None
    # Everything but the last dimension is steps: of time, and of the batch.
    steps = math.prod(source.shape[:-1])
    return None if any(each is None for each in weights) else steps * sum(each or 0 for each in weights)
