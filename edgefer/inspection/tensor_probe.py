"""What a model computes inside: any tensor of it, put out in place of the logits.

    for layer in layers(model):
        runtime = module.open_model(tapped(model, layer.tensor))

A flatbuffer names the outputs of its main graph in a vector of tensor numbers. Another number in its one entry, written
over the four bytes where it stands, moves no offset, and every runtime then puts out that tensor, with whatever kernels
it has: delegates such as XNNPACK, too, must bring to light what is an output of the graph. So runtimes from different
wheels, which share no debugging interface, can be compared layer by layer.

Finding the four bytes needs the schema that comes with LiteRT.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgefer.errors import IncompatibleError
from edgefer.inspection.flatbuffer import Op, Subgraph, load_schema, read_model

__all__ = ["Layer", "list_layers", "probe_tensors"]

# SubGraph.outputs in the schema: its third field, behind tensors and inputs; the first has slot 4, each slot two bytes.
OUTPUTS_SLOT = 8


@dataclass(frozen=True)
class Layer:
    """One operator of the main graph and its first output.

    Attributes:
        op: its position in the order in which they run.
        name: the operator, such as "CONV_2D".
        tensor: number of the output in the graph.
        tensor_name: as in the file.
    """

    op: int
    name: str
    tensor: int
    tensor_name: str


def list_layers(model: bytes) -> tuple[Layer, ...]:
    """The operators of the main graph that depend on its input, in the order in which they run.

    Others only prepare weights, and a runtime may do that at loading or not at all.

    Raises:
        DataError, IncompatibleError: as anatomy.read().
    """
    graph = read_model(model).main
    fed = set(graph.inputs)
    found = []
    for position, op in enumerate(graph.ops):
        if fed.intersection(op.inputs):
            fed.update(op.outputs)
            found.extend(_layer(graph, op, position))
    return tuple(found)


def probe_tensors(model: bytes, tensor: int) -> bytes:
    """``model`` with tensor number ``tensor`` as its one output, instead of the one that it has.

    Raises:
        IncompatibleError: it has more than one output, or the schema is not installed.
    """
    table = load_schema().Model.GetRootAs(model, 0).Subgraphs(0)._tab
    field = table.Offset(OUTPUTS_SLOT)
    count = table.VectorLen(field) if field else 0
    if count != 1:
        raise IncompatibleError(f"a model with {count} outputs", why="one was expected")
    changed = bytearray(model)
    struct.pack_into("<i", changed, table.Vector(field), tensor)
    return bytes(changed)


def _layer(graph: Subgraph, op: Op, position: int) -> list[Layer]:
    index = op.outputs[0] if op.outputs else -1
    return [] if index < 0 else [Layer(position, op.name, index, graph.tensors[index].name)]
