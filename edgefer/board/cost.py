"""What an operator costs: multiply-accumulates, and the parameters that it brings.

    macs(graph, op)                                 # 663552, 0 for what only adds or moves, None where nobody can tell
    parameters(graph, op)                           # the tensors that are its weights and biases

A MAC is one multiplication with the addition that follows it. Only operators that sum products have any: convolutions,
matrix products and recurrent cells. A bias, an activation, a pooling or an elementwise operator counts as none.
"""

from __future__ import annotations

import math

from edgefer.board.anatomy import Op, Subgraph, Tensor

__all__ = ["macs", "parameters"]

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


def macs(graph: Subgraph, op: Op) -> int | None:
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


def parameters(graph: Subgraph, op: Op) -> list[Tensor]:
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
