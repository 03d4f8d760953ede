"""Which operators the default delegate (XNNPACK) took, read from an interpreter that is ready to run.

    partition = read_partition(interpreter, anatomy.main)
    partition.taken                                 # {0, 1, 2, 3}; None where this runtime does not tell

A delegate puts one DELEGATE node for each group that it took behind the file's own nodes, which stay listed. A group is
what leads from a DELEGATE's outputs back to its inputs: those name every tensor that comes in from elsewhere, so the
way back ends exactly at the border. Nothing is looked up in a list of what XNNPACK is said to support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.inspection.flatbuffer import Op, Subgraph

__all__ = ["Partition", "read_partition"]

DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class Partition:
    """Who runs what.

    Attributes:
        taken: positions, in the main graph, of the operators that the delegate took; None where that cannot be told.
        groups: how many groups they form; each border between delegate and interpreter costs time.
        why: what hinders telling, or empty.
    """

    taken: frozenset[int] | None
    groups: int = 0
    why: str = ""


def read_partition(interpreter: Any, graph: Subgraph) -> Partition:
    """Read the partition of ``interpreter``, whose tensors are allocated; ``graph`` is the main graph of its model."""
    if not hasattr(interpreter, "_get_ops_details"):
        return Partition(None, why="this runtime does not list its nodes")
    try:
        nodes = interpreter._get_ops_details()
    except ValueError as error:  # names that are no UTF-8, for one
        return Partition(None, why=f"this runtime cannot list its nodes: {error}")
    own = [node for node in nodes if node["op_name"] != DELEGATE]
    delegates = [node for node in nodes if node["op_name"] == DELEGATE]
    if len(own) != len(graph.ops):
        return Partition(None, why=f"the runtime lists {len(own)} nodes for {len(graph.ops)} operators")
    taken: set[int] = set()
    for node in delegates:
        taken |= _between(graph.ops, inputs=_indices(node["inputs"]), outputs=_indices(node["outputs"]))
    return Partition(frozenset(taken), len(delegates))


def _between(ops: Sequence[Op], *, inputs: set[int], outputs: set[int]) -> set[int]:
    """Positions of the operators on the way from ``outputs`` back to ``inputs``."""
    makers = {index: position for position, op in enumerate(ops) for index in op.outputs}
    found: set[int] = set()
    wanted = list(outputs)
    while wanted:
        position = makers.get(wanted.pop())
        if position is not None and position not in found:
            found.add(position)
            wanted.extend(index for index in ops[position].inputs if index not in inputs)
    return found


def _indices(array: Any) -> set[int]:
    return {int(index) for index in array}
