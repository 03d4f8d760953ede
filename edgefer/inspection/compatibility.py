"""Determine the targets on which a model runs, and the obstacles on the others.

    for target in check_targets(model, runtime="litert 2.3.0"): ...

LiteRT runs the model. The other targets are not installed, so their documentation is used: the operator versions of
TensorFlow Lite 2.14, the operators and limits that Coral documents for the Edge TPU compiler, and the operators that
TensorFlow Lite Micro registers. The checks cover limits on operator options only in part.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edgefer.inspection.flatbuffer import Model, Op, Subgraph, Tensor
from edgefer.inspection.op_versions import is_newer, minimum_runtime
from edgefer.results.inspection import Target

__all__ = ["check_targets"]

LAST_TFLITE_RUNTIME = "2.14"
# Tensor types that later releases added.
NEW_DTYPES = {"bfloat16", "int2", "uint4", "float8_e4m3fn", "float8_e5m2"}

# The last version of the compiler, 16.0, dates from TensorFlow 2.5.
EDGETPU_TENSORFLOW = "2.5"
EDGETPU_COMPILED = "edgetpu-custom-op"
# coral.ai/docs/edgetpu/models-intro, table 1.
EDGETPU_OPS = """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS FULLY_CONNECTED L2_NORMALIZATION LOGISTIC
    MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL PACK PAD PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH SPLIT SQUARED_DIFFERENCE SQUEEZE
    STRIDED_SLICE SUB SUM TANH TRANSPOSE TRANSPOSE_CONV UNIDIRECTIONAL_SEQUENCE_LSTM
"""
EDGETPU_NO_FUSED_ACTIVATION = {"AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION"}

# The Add functions in tensorflow/lite/micro/micro_mutable_op_resolver.h of tensorflow/tflite-micro.
TFLM_OPS = """
    ABS ADD ADD_N ARG_MAX ARG_MIN ASSIGN_VARIABLE AVERAGE_POOL_2D BATCH_MATMUL BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CALL_ONCE CAST CEIL CONCATENATION CONV_2D COS CUMSUM DEPTH_TO_SPACE DEPTHWISE_CONV_2D DEQUANTIZE DIV
    EMBEDDING_LOOKUP ELU EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER
    GREATER_EQUAL HARD_SWISH IF L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND LOGICAL_NOT
    LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MIRROR_PAD MEAN MINIMUM MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU
    QUANTIZE READ_VARIABLE REDUCE_MAX REDUCE_MIN RELU RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR REVERSE_V2
    ROUND RSQRT SELECT_V2 SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQUEEZE SQRT SQUARE
    SQUARED_DIFFERENCE STRIDED_SLICE SUB SUM SVDF TANH TRANSPOSE_CONV TRANSPOSE UNPACK UNIDIRECTIONAL_SEQUENCE_LSTM
    VAR_HANDLE WHILE ZEROS_LIKE
"""
TFLM_DTYPES = {"float32", "int8", "int16", "int32", "int64", "bool", "int4", "uint8", "resource"}
WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}


def check_targets(model: Model, *, runtime: str, failure: str = "") -> tuple[Target, ...]:
    """Determine whether ``model`` runs on each target.

    Args:
        model: the model.
        runtime: name and version of the LiteRT that ran it, for example "litert 2.3.0".
        failure: error of that run; empty if it succeeded.
    """
    return (
        Target("litert", "no" if failure else "yes", f"first run with {runtime}", (failure,) if failure else ()),
        _tflite_runtime(model),
        _edgetpu(model),
        _tflm(model),
    )


def _tflite_runtime(model: Model) -> Target:
    obstacles = _unique(_newer_than(op, LAST_TFLITE_RUNTIME) for op in _ops(model))
    dtypes = sorted({tensor.dtype for graph in model.subgraphs for tensor in graph.tensors} & NEW_DTYPES)
    obstacles += [f"tensors of type {dtype}, which it does not support" for dtype in dtypes]
    how = f"operator versions of its last release, {LAST_TFLITE_RUNTIME}"
    return Target("tflite_runtime", "no" if obstacles else "yes", how, tuple(obstacles))


def _edgetpu(model: Model) -> Target:
    how = "Coral's documentation of the Edge TPU compiler"
    ops = model.main.ops
    if any(op.name == EDGETPU_COMPILED for op in ops):
        return Target("edgetpu", "yes", how, notes=("the model is already compiled for the Edge TPU",))
    if len(model.subgraphs) > 1:
        return Target("edgetpu", "no", how, (f"{len(model.subgraphs)} subgraphs; the compiler accepts one",))
    obstacles = [_edgetpu_obstacle(model.main, op) for op in ops]
    # The host converts float inputs and outputs, before and after the mapped operators.
    begin = 1 if ops and ops[0].name == "QUANTIZE" else 0
    end = len(ops) - (1 if ops and ops[-1].name == "DEQUANTIZE" else 0)
    mapped = next((index for index in range(begin, end) if obstacles[index]), end)
    notes = ["edgetpu_compiler must compile the model first; edgefer did not run it"]
    if mapped == end and end > begin:
        return Target("edgetpu", "yes", how, notes=tuple(notes))
    if mapped > begin:
        notes.append(f"the first {mapped} operators run on it, the other {len(ops) - mapped} on the host")
    fits = "partly" if mapped > begin else "no"
    return Target("edgetpu", fits, how, tuple(_unique(obstacles[begin:end])), tuple(notes))


def _edgetpu_obstacle(graph: Subgraph, op: Op) -> str:
    tensors = [graph.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
    activations = [tensor for tensor in tensors if not tensor.constant]
    dtypes = sorted({tensor.dtype for tensor in activations} - {"int8", "uint8"})
    if dtypes:
        return f"activations of type {', '.join(dtypes)}; expected int8"
    if op.custom or op.name not in EDGETPU_OPS.split():
        return f"{op.name} is not supported"
    if any(tensor.dynamic for tensor in activations):
        return "shapes are decided at run time"
    if any(size > 1 for tensor in activations for size in tensor.shape[:-3]):
        return f"{op.name} has more than three dimensions"
    if op.name in EDGETPU_NO_FUSED_ACTIVATION and op.options.get("FusedActivationFunction"):
        return f"{op.name} has a fused activation"
    return _newer_than(op, EDGETPU_TENSORFLOW)


def _tflm(model: Model) -> Target:
    pairs = [(graph, op) for graph in model.subgraphs for op in graph.ops]
    obstacles = _unique(_tflm_obstacle(graph, op) for graph, op in pairs)
    notes = []
    if any(op.name == "FULLY_CONNECTED" and _per_channel(graph.input(op, 1)) for graph, op in pairs):
        # tflite-micro pull request 2602
        notes.append("releases before mid-2024 give wrong results for per-channel FULLY_CONNECTED, without an error")
    batches = {tensor.shape[0] for tensor in _inputs(model.main) if tensor.dynamic}
    if batches and not obstacles:
        # TensorFlow Lite Micro reads the shape of a tensor and ignores its signature.
        batch = ", ".join(map(str, sorted(batches)))
        notes.insert(0, f"with batch {batch}: the batch size is dynamic in the signature only")
    return Target("tflm", "no" if obstacles else "yes", "operators that it registers", tuple(obstacles), tuple(notes))


def _inputs(graph: Subgraph) -> list[Tensor]:
    return [graph.tensors[index] for index in graph.inputs if index >= 0]


def _tflm_obstacle(graph: Subgraph, op: Op) -> str:
    tensors = [graph.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
    if op.custom or op.name not in TFLM_OPS.split():
        return f"{op.name} is not supported"
    dtypes = sorted({tensor.dtype for tensor in tensors} - TFLM_DTYPES)
    if dtypes:
        return f"{op.name} on {', '.join(dtypes)}, which it does not support"
    if any(_is_dynamic_beyond_batch(tensor) for tensor in tensors) or _changes_size(graph, op):
        return "shapes are decided at run time"
    source, weights = graph.input(op, 0), graph.input(op, 1)
    if op.name in WEIGHTED and source and weights and source.dtype == "float32" and weights.dtype != "float32":
        return f"{op.name} has {weights.dtype} weights and float32 activations (dynamic-range quantization)"
    if op.name in WEIGHTED and source and source.dtype == "uint8":
        return f"{op.name} on uint8; expected int8"
    return ""


def _is_dynamic_beyond_batch(tensor: Tensor) -> bool:
    return any(dimension > 0 for dimension in tensor.dynamic_dimensions) or any(size < 0 for size in tensor.shape)


def _changes_size(graph: Subgraph, op: Op) -> bool:
    """Return True for a RESHAPE whose shapes in the file contradict each other, because they follow from the data."""
    if op.name != "RESHAPE" or not op.outputs or op.outputs[0] < 0:
        return False
    source, output = graph.input(op, 0), graph.tensors[op.outputs[0]]
    return source is not None and output.dynamic and source.elements != output.elements


def _per_channel(weights: Tensor | None) -> bool:
    return weights is not None and weights.scales > 1


def _newer_than(op: Op, runtime: str) -> str:
    """Return the obstacle if ``op`` is newer than the release ``runtime``; empty otherwise."""
    if op.custom:
        return f"{op.name} is a custom operator"
    first = minimum_runtime(op.name, op.version)
    if first is None:
        return f"{op.name} version {op.version} is unknown to edgefer"
    # No wheel of 2.14.4, a patch of 2.14, exists.
    return f"{op.name} version {op.version} needs TensorFlow Lite {first}" if is_newer(first, runtime) else ""


def _ops(model: Model) -> Iterator[Op]:
    return (op for graph in model.subgraphs for op in graph.ops)


def _unique(obstacles: Iterable[str]) -> list[str]:
    """Return the obstacles without empty strings and duplicates, in order of first occurrence."""
    return list(dict.fromkeys(obstacle for obstacle in obstacles if obstacle))
