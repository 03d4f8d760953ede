"""What TensorFlow Lite Micro has to be told about a model: which operators to link, and how much memory to give it.

    needs = micro_needs(anatomy)
    needs.operators                                 # ("Conv2D", "MaxPool2D"): AddConv2D(), AddMaxPool2D()
    needs.arena_bytes                               # the tensor arena, with headroom

It plans its memory by rules of its own, which often take more than those of TensorFlow Lite
(edgefer.inspection.resources), so
they are followed here: tensors are placed from the largest to the smallest, of equals the last first, each into the
first gap, aligned to 16 bytes (tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc and
micro_allocation_info.cc). Checked against the wheel tflite-micro 0.dev20261023: the plans are those that it reports, to
the byte.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgefer.errors import IncompatibleError
from edgefer.inspection.compatibility import check_targets
from edgefer.inspection.flatbuffer import Model, Op, Subgraph

__all__ = ["MicroNeeds", "micro_needs"]

ALIGNMENT = 16
ROUND_TO = 1024
# What is kept behind the plan, on a 64-bit machine, where pointers are largest; measured with the wheel: 24 bytes for
# each tensor, 64 for each operator and another 72 of its own on average, and 8 for each output channel of a convolution
# (a multiplier and a shift). Rounded up, and 2 KiB for what does not grow with the model (measured: 1.1 KiB).
TENSOR_BYTES, OPERATOR_BYTES, CHANNEL_BYTES, FIXED_BYTES = 24, 192, 8, 2048
PER_CHANNEL = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
# arm_convolve_s8 of CMSIS-NN unrolls two windows of the input into 16 bits; the plain kernels need nothing of it.
SCRATCH_BYTES_PER_WINDOW_VALUE = 4

# How the resolver's functions are called where the words of the operator's name do not tell.
IRREGULAR = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


@dataclass(frozen=True)
class MicroNeeds:
    """What a firmware is built with.

    Attributes:
        operators: for each operator X of the model, once, the name of the function AddX() in
            tensorflow/lite/micro/micro_mutable_op_resolver.h.
        planned_bytes: activations, inputs and outputs, by the plan that TensorFlow Lite Micro makes with plain kernels.
        scratch_bytes: how much larger the plan gets with the buffers that CMSIS-NN's convolutions ask for.
        kept_bytes: an upper bound of what it keeps behind the plan about tensors, operators and channels.
        arena_bytes: all of it, rounded up to whole KiB.
    """

    operators: tuple[str, ...]
    planned_bytes: int
    scratch_bytes: int
    kept_bytes: int
    arena_bytes: int


@dataclass(frozen=True)
class _Buffer:
    size: int
    first: int
    last: int


def micro_needs(anatomy: Model) -> MicroNeeds:
    """What TensorFlow Lite Micro needs to run ``anatomy``.

    Raises:
        IncompatibleError: it cannot run it; the message names every obstacle.
    """
    (target,) = (each for each in check_targets(anatomy, runtime="") if each.name == "tflm")
    obstacles = list(target.obstacles)
    if len(anatomy.subgraphs) > 1:
        obstacles.append(f"{len(anatomy.subgraphs)} subgraphs, whose memory edgefer does not plan")
    if obstacles:
        raise IncompatibleError(
            "TensorFlow Lite Micro cannot run this model", why="; ".join(obstacles), hint="edgefer quantize --int8"
        )
    graph = anatomy.main
    tensors, scratch = _activations(graph), _scratch(graph)
    planned, with_scratch = _peak(tensors), _peak(tensors + scratch)
    kept = _kept(graph)
    return MicroNeeds(
        operators=tuple(dict.fromkeys(_function(op.name) for op in graph.ops)),
        planned_bytes=planned,
        scratch_bytes=max(0, with_scratch - planned),
        kept_bytes=kept,
        arena_bytes=-(-(max(planned, with_scratch) + kept) // ROUND_TO) * ROUND_TO,
    )


def _function(operator: str) -> str:
    words = (word if word[:1].isdigit() else word.capitalize() for word in operator.split("_"))
    return IRREGULAR.get(operator) or "".join(words)


def _activations(graph: Subgraph) -> list[_Buffer]:
    """In the order of the tensors' numbers; an input is given up after its last reader, an output never."""
    lives: dict[int, tuple[int, int]] = {index: (0, 0) for index in graph.inputs if index >= 0}
    for step, op in enumerate(graph.ops, 1):
        for index in (*op.outputs, *op.inputs):
            if index >= 0:
                lives[index] = (lives.get(index, (step, step))[0], step)
    for index in graph.outputs:
        if index in lives:
            lives[index] = (lives[index][0], len(graph.ops))
    moving = [index for index in sorted(lives) if not (graph.tensors[index].constant or graph.tensors[index].variable)]
    return [_Buffer(_aligned(graph.tensors[index].size_bytes or 0), *lives[index]) for index in moving]


def _scratch(graph: Subgraph) -> list[_Buffer]:
    """One for each convolution, alive while it runs."""
    return [
        _Buffer(_aligned(SCRATCH_BYTES_PER_WINDOW_VALUE * _window_values(graph, op)), step, step)
        for step, op in enumerate(graph.ops, 1)
        if _window_values(graph, op)
    ]


def _window_values(graph: Subgraph, op: Op) -> int:
    weights = graph.input(op, 1)
    if weights is None or len(weights.shape) != 4 or op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return 0
    # CONV_2D has (outputs, height, width, inputs), DEPTHWISE_CONV_2D (1, height, width, outputs).
    return weights.shape[1] * weights.shape[2] * weights.shape[3]


def _peak(buffers: list[_Buffer]) -> int:
    placed: list[tuple[int, _Buffer]] = []
    for number in sorted(range(len(buffers)), key=lambda each: (-buffers[each].size, -each)):
        wanted, at = buffers[number], 0
        for offset, other in sorted(placed, key=lambda pair: pair[0]):
            if other.first > wanted.last or other.last < wanted.first:
                continue
            if offset - at >= wanted.size:
                break
            at = max(at, offset + other.size)
        placed.append((at, wanted))
    return max((offset + buffer.size for offset, buffer in placed), default=0)


def _kept(graph: Subgraph) -> int:
    channels = 0
    for op in graph.ops:
        output = graph.tensors[op.outputs[0]] if op.name in PER_CHANNEL and op.outputs else None
        channels += output.shape[-1] if output is not None and output.shape else 0
    variables = sum(_aligned(tensor.size_bytes or 0) for tensor in graph.tensors if tensor.variable)
    counted = TENSOR_BYTES * len(graph.tensors) + OPERATOR_BYTES * len(graph.ops) + CHANNEL_BYTES * channels
    return counted + variables + FIXED_BYTES


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
