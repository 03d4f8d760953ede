"""Make an intermediate tensor the output of a model, to compare runtimes layer by layer.

    for layer in list_layers(model):
        runtime = module.open_model(probe_tensors(model, layer.tensor))

The flatbuffer lists the outputs of its main graph as a vector of tensor indices. Overwriting the four bytes of an index
moves no offset, and every runtime then returns that tensor. Delegates such as XNNPACK compute it too, because a
delegate must produce every output of the graph. Runtimes of different wheels share no debugging interface, so this
method makes their layers comparable.

The position of the four bytes comes from the flatbuffer schema, which LiteRT includes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edgefer.errors import IncompatibleError
from edgefer.inspection.flatbuffer import Op, Subgraph, load_schema, read_model

__all__ = ["Layer", "list_layers", "probe_tensors"]

# SubGraph.outputs is the third field in the schema, after tensors and inputs. The first field has slot 4, and a slot
# has two bytes.
OUTPUTS_SLOT = 8


@dataclass(frozen=True)
class Layer:
    """An operator of the main graph and its first output.

    Attributes:
        op: position in execution order.
        name: name of the operator, for example "CONV_2D".
        tensor: tensor index of the output.
        tensor_name: name of the output in the file.
    """

    op: int
    name: str
    tensor: int
    tensor_name: str


def list_layers(model: bytes) -> tuple[Layer, ...]:
    """List the operators of the main graph that depend on its input, in execution order.

    The others prepare weights. A runtime may run them while it loads the model, or not at all.

    Raises:
        DataError: the flatbuffer is damaged.
        IncompatibleError: LiteRT, which includes the schema, is not installed.
    """
    graph = read_model(model).main
    dependent = set(graph.inputs)
    layers: list[Layer] = []
    for position, op in enumerate(graph.ops):
        if dependent.intersection(op.inputs):
            dependent.update(op.outputs)
            layers.extend(_layer(graph, op, position))
    return tuple(layers)


def probe_tensors(model: bytes, tensor: int) -> bytes:
    """Return a copy of ``model`` whose only output is the tensor with index ``tensor``.

    Raises:
        IncompatibleError: the model does not have exactly one output, or LiteRT is not installed.
    """
    table = load_schema().Model.GetRootAs(model, 0).Subgraphs(0)._tab
    field = table.Offset(OUTPUTS_SLOT)
    count = table.VectorLen(field) if field else 0
    if count != 1:
        raise IncompatibleError(f"the model has {count} outputs", why="expected one output")
    probed = bytearray(model)
    struct.pack_into("<i", probed, table.Vector(field), tensor)
    return bytes(probed)


def _layer(graph: Subgraph, op: Op, position: int) -> list[Layer]:
    index = op.outputs[0] if op.outputs else -1
    return [] if index < 0 else [Layer(position, op.name, index, graph.tensors[index].name)]
