"""Determine what TensorFlow Lite Micro needs for a model: the operators to link and the size of the tensor arena.

    requirements = micro_requirements(read_model(artifact.model))
    requirements.operators                          # ("Conv2D", "MaxPool2D"): AddConv2D(), AddMaxPool2D()
    requirements.arena_bytes                        # the tensor arena, with headroom

TensorFlow Lite Micro plans its memory differently from TensorFlow Lite (edgefer.inspection.resources), and often needs
more. This module implements its planner: tensors are placed from the largest to the smallest, equal ones last first,
each in the first gap, aligned to 16 bytes. Sources: tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc and
micro_allocation_info.cc. The plans equal those of the wheel tflite-micro 0.dev20261023 to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgefer.errors import IncompatibleError
from edgefer.inspection.compatibility import check_targets
from edgefer.inspection.flatbuffer import Model, Op, Subgraph

__all__ = ["MicroRequirements", "micro_requirements"]

ALIGNMENT = 16
ROUND_TO = 1024
# Persistent memory outside the plan on a 64-bit machine, where pointers are largest. Measured with the wheel: 24 bytes
# per tensor; 64 per operator, and another 72 on average for its own data; 8 per output channel of a convolution (a
# multiplier and a shift). Rounded up, plus 2 KiB that do not depend on the model (measured: 1.1 KiB).
TENSOR_BYTES, OPERATOR_BYTES, CHANNEL_BYTES, FIXED_BYTES = 24, 192, 8, 2048
PER_CHANNEL = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"}
# arm_convolve_s8 of CMSIS-NN unrolls two input windows to 16 bits; the reference kernels need no scratch memory.
SCRATCH_BYTES_PER_WINDOW_VALUE = 4

# Names of resolver functions that do not follow from the name of the operator.
IRREGULAR_NAMES = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


@dataclass(frozen=True)
class MicroRequirements:
    """Operators and memory that a firmware needs for a model.

    Attributes:
        operators: the operators without duplicates; for each X, AddX() is a function in
            tensorflow/lite/micro/micro_mutable_op_resolver.h.
        planned_bytes: activations, inputs and outputs in the memory plan with the reference kernels.
        scratch_bytes: growth of the plan by the scratch buffers of CMSIS-NN convolutions.
        persistent_bytes: upper bound for data about tensors, operators and channels, outside the plan.
        arena_bytes: the total, rounded up to whole KiB.
    """

    operators: tuple[str, ...]
    planned_bytes: int
    scratch_bytes: int
    persistent_bytes: int
    arena_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return the requirements as JSON-compatible values."""
        return {
            "operators": list(self.operators),
            "planned_bytes": self.planned_bytes,
            "scratch_bytes": self.scratch_bytes,
            "kept_bytes": self.persistent_bytes,
            "arena_bytes": self.arena_bytes,
        }


@dataclass(frozen=True)
class _Buffer:
    size: int
    first: int
    last: int


def micro_requirements(model: Model) -> MicroRequirements:
    """Determine the operators and the memory that TensorFlow Lite Micro needs for a model.

    Raises:
        IncompatibleError: TensorFlow Lite Micro cannot run the model; the message lists every reason.
    """
    (target,) = (target for target in check_targets(model, runtime="") if target.name == "tflm")
    obstacles = list(target.obstacles)
    if len(model.subgraphs) > 1:
        obstacles.append(f"{len(model.subgraphs)} subgraphs; edgefer plans the memory of one")
    if obstacles:
        raise IncompatibleError(
            "TensorFlow Lite Micro cannot run this model", why="; ".join(obstacles), hint="edgefer quantize --int8"
        )
    graph = model.main
    tensors, scratch = _activations(graph), _scratch(graph)
    planned, with_scratch = _peak(tensors), _peak(tensors + scratch)
    persistent = _persistent(graph)
    return MicroRequirements(
        operators=tuple(dict.fromkeys(_function(op.name) for op in graph.ops)),
        planned_bytes=planned,
        scratch_bytes=max(0, with_scratch - planned),
        persistent_bytes=persistent,
        arena_bytes=-(-(max(planned, with_scratch) + persistent) // ROUND_TO) * ROUND_TO,
    )


def _function(operator: str) -> str:
    words = (word if word[:1].isdigit() else word.capitalize() for word in operator.split("_"))
    return IRREGULAR_NAMES.get(operator) or "".join(words)


def _activations(graph: Subgraph) -> list[_Buffer]:
    """Return one buffer per activation, in tensor order.

    A tensor lives from its first use to its last, and an output of the graph until the end.
    """
    lifetimes: dict[int, tuple[int, int]] = {index: (0, 0) for index in graph.inputs if index >= 0}
    for step, op in enumerate(graph.ops, 1):
        for index in (*op.outputs, *op.inputs):
            if index >= 0:
                lifetimes[index] = (lifetimes.get(index, (step, step))[0], step)
    for index in graph.outputs:
        if index in lifetimes:
            lifetimes[index] = (lifetimes[index][0], len(graph.ops))
    return [
        _Buffer(_aligned(graph.tensors[index].size_bytes or 0), *lifetimes[index])
        for index in sorted(lifetimes)
        if not (graph.tensors[index].constant or graph.tensors[index].variable)
    ]


def _scratch(graph: Subgraph) -> list[_Buffer]:
    """Return one scratch buffer per convolution, which lives while it runs."""
    return [
        _Buffer(_aligned(SCRATCH_BYTES_PER_WINDOW_VALUE * _window_values(graph, op)), step, step)
        for step, op in enumerate(graph.ops, 1)
        if _window_values(graph, op)
    ]


def _window_values(graph: Subgraph, op: Op) -> int:
    """Return the number of input values in the window of a convolution; 0 for other operators."""
    weights = graph.input(op, 1)
    if weights is None or len(weights.shape) != 4 or op.name not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        return 0
    # Weights of CONV_2D are (outputs, height, width, inputs), of DEPTHWISE_CONV_2D (1, height, width, outputs).
    return weights.shape[1] * weights.shape[2] * weights.shape[3]


def _peak(buffers: list[_Buffer]) -> int:
    """Place the buffers as the greedy memory planner does, and return the size of the plan in bytes."""
    placed: list[tuple[int, _Buffer]] = []
    for index in sorted(range(len(buffers)), key=lambda index: (-buffers[index].size, -index)):
        buffer, start = buffers[index], 0
        for offset, other in sorted(placed, key=lambda pair: pair[0]):
            if other.first > buffer.last or other.last < buffer.first:
                continue
            if offset - start >= buffer.size:
                break
            start = max(start, offset + other.size)
        placed.append((start, buffer))
    return max((offset + buffer.size for offset, buffer in placed), default=0)


def _persistent(graph: Subgraph) -> int:
    channels = 0
    for op in graph.ops:
        output = graph.tensors[op.outputs[0]] if op.name in PER_CHANNEL and op.outputs else None
        channels += output.shape[-1] if output is not None and output.shape else 0
    variables = sum(_aligned(tensor.size_bytes or 0) for tensor in graph.tensors if tensor.variable)
    metadata = TENSOR_BYTES * len(graph.tensors) + OPERATOR_BYTES * len(graph.ops) + CHANNEL_BYTES * channels
    return metadata + variables + FIXED_BYTES


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
