"""How much memory the activations of a model want, by the plan that TensorFlow Lite makes for them.

    plan = plan_arena(anatomy.main)
    plan.peak_bytes                                 # the arena: activations, inputs and outputs
    plan.variable_bytes                             # beside it: what is kept from run to run

The same rules as in TensorFlow Lite (tensorflow/lite/arena_planner.cc and simple_memory_arena.cc): a tensor lives from
the operator that makes it to the last one that reads it, inputs and outputs to the end; tensors are placed from the
largest to the smallest, each into the smallest gap that fits between those that live at the same time, aligned to 64
bytes. What the file does not say is not in the plan: the scratch memory of kernels, what XNNPACK allocates for itself
(it also keeps packed copies of the weights), and that newer runtimes give some results the place of their operand.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from edgefer.board.anatomy import Subgraph

__all__ = ["ArenaPlan", "plan_arena"]

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
