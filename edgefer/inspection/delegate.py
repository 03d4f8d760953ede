"""Read from an interpreter which operators run in the default delegate, XNNPACK.

    partition = read_partition(interpreter, model.main)
    partition.delegated                             # {0, 1, 2, 3}; None if the runtime does not list its nodes

The interpreter lists the nodes of the file first, then one DELEGATE node per delegated group. The inputs of a DELEGATE
node name every tensor that enters its group. Walking back from its outputs to its inputs therefore visits exactly the
operators of the group. The result needs no list of operators that XNNPACK supports.
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
    """Assignment of operators to the delegate.

    Attributes:
        delegated: positions of the delegated operators in the main graph; None if unknown.
        groups: number of delegated groups; each transition between delegate and interpreter costs time.
        why: reason why the assignment is unknown; empty otherwise.
    """

    delegated: frozenset[int] | None
    groups: int = 0
    why: str = ""


def read_partition(interpreter: Any, graph: Subgraph) -> Partition:
    """Return the partition of an interpreter with allocated tensors; ``graph`` is the main graph of its model."""
    if not hasattr(interpreter, "_get_ops_details"):
        return Partition(None, why="this runtime does not list its nodes")
    try:
        nodes = interpreter._get_ops_details()
    except ValueError as error:  # for example, a name is not UTF-8
        return Partition(None, why=f"this runtime cannot list its nodes: {error}")
    file_nodes = [node for node in nodes if node["op_name"] != DELEGATE]
    delegates = [node for node in nodes if node["op_name"] == DELEGATE]
    if len(file_nodes) != len(graph.ops):
        return Partition(None, why=f"the runtime lists {len(file_nodes)} nodes for {len(graph.ops)} operators")
    delegated: set[int] = set()
    for node in delegates:
        delegated |= _between(graph.ops, inputs=_indices(node["inputs"]), outputs=_indices(node["outputs"]))
    return Partition(frozenset(delegated), len(delegates))


def _between(ops: Sequence[Op], *, inputs: set[int], outputs: set[int]) -> set[int]:
    """Return the positions of the operators between ``outputs`` and ``inputs``."""
    producers = {index: position for position, op in enumerate(ops) for index in op.outputs}
    visited: set[int] = set()
    pending = list(outputs)
    while pending:
        position = producers.get(pending.pop())
        if position is not None and position not in visited:
            visited.add(position)
            pending.extend(index for index in ops[position].inputs if index not in inputs)
    return visited


def _indices(array: Any) -> set[int]:
    return {int(index) for index in array}
