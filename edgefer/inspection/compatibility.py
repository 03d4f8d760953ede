"""Which targets a model fits, and what stands in the way of the others.

    for target in targets(anatomy, runtime="litert 2.3.0"): ...

LiteRT is asked itself, by running the model. The others are not at hand and are judged by what they publish: the
operator versions that TensorFlow Lite 2.14 has, the operators and limits that Coral documents for the Edge TPU
compiler, and the operators that TensorFlow Lite Micro registers. Limits that depend on an operator's options are
checked only in part.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgefer.inspection.flatbuffer import Model, Op, Subgraph, Tensor
from edgefer.inspection.op_versions import is_newer, minimum_runtime
from edgefer.results.inspection import Target

__all__ = ["check_targets"]

LAST_TFLITE_RUNTIME = "2.14"
# Tensor types that came after it.
NEW_DTYPES = {"bfloat16", "int2", "uint4", "float8_e4m3fn", "float8_e5m2"}

# The compiler's last version, 16.0, is of the time of TensorFlow 2.5.
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

# tensorflow/lite/micro/micro_mutable_op_resolver.h of tensorflow/tflite-micro, its Add functions.
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


def check_targets(anatomy: Model, *, runtime: str, failure: str = "") -> tuple[Target, ...]:
    """Judge ``anatomy`` for each target.

    Args:
        anatomy: the model.
        runtime: which LiteRT was asked, such as "litert 2.3.0".
        failure: what it said when it did not run the model; empty where it did.
    """
    return (
        Target("litert", "no" if failure else "yes", f"run here by {runtime}", (failure,) if failure else ()),
        _tflite_runtime(anatomy),
        _edgetpu(anatomy),
        _tflm(anatomy),
    )


def _tflite_runtime(anatomy: Model) -> Target:
    obstacles = [*_once(_later_than(op, LAST_TFLITE_RUNTIME) for op in _ops(anatomy))]
    dtypes = sorted({tensor.dtype for graph in anatomy.subgraphs for tensor in graph.tensors} & NEW_DTYPES)
    obstacles += [f"tensors of type {dtype}, which it does not know" for dtype in dtypes]
    how = f"by the operator versions that {LAST_TFLITE_RUNTIME} has"
    return Target("tflite_runtime", "no" if obstacles else "yes", how, tuple(obstacles))


def _edgetpu(anatomy: Model) -> Target:
    how = "by Coral's documentation of its compiler"
    ops = anatomy.main.ops
    if any(op.name == EDGETPU_COMPILED for op in ops):
        return Target("edgetpu", "yes", how, notes=("it is compiled for the Edge TPU already",))
    if len(anatomy.subgraphs) > 1:
        return Target("edgetpu", "no", how, (f"{len(anatomy.subgraphs)} subgraphs, of which it takes one",))
    found = [_edgetpu_obstacle(anatomy.main, op) for op in ops]
    # What comes in as floats and goes out as floats is converted on the host, before and after what is mapped.
    begin = 1 if ops and ops[0].name == "QUANTIZE" else 0
    end = len(ops) - (1 if ops and ops[-1].name == "DEQUANTIZE" else 0)
    mapped = next((index for index in range(begin, end) if found[index]), end)
    notes = ["models have to go through edgetpu_compiler, which was not asked"]
    if mapped == end and end > begin:
        return Target("edgetpu", "yes", how, notes=tuple(notes))
    if mapped > begin:
        notes.append(f"the first {mapped} operators map to it, the other {len(ops) - mapped} run on the host")
    fits = "partly" if mapped > begin else "no"
    return Target("edgetpu", fits, how, tuple(_once(found[begin:end])), tuple(notes))


def _edgetpu_obstacle(graph: Subgraph, op: Op) -> str:
    tensors = [graph.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
    moving = [tensor for tensor in tensors if not tensor.constant]
    dtypes = sorted({tensor.dtype for tensor in moving} - {"int8", "uint8"})
    if dtypes:
        return f"activations of type {', '.join(dtypes)}; they have to be int8"
    if op.custom or op.name not in EDGETPU_OPS.split():
        return f"{op.name} is not among its operators"
    if any(tensor.dynamic for tensor in moving):
        return "shapes that are decided at run time"
    if any(size > 1 for tensor in moving for size in tensor.shape[:-3]):
        return f"{op.name} on more than three dimensions"
    if op.name in EDGETPU_NO_FUSED_ACTIVATION and op.options.get("FusedActivationFunction"):
        return f"{op.name} with an activation fused into it"
    return _later_than(op, EDGETPU_TENSORFLOW)


def _tflm(anatomy: Model) -> Target:
    pairs = [(graph, op) for graph in anatomy.subgraphs for op in graph.ops]
    obstacles = [*_once(_tflm_obstacle(graph, op) for graph, op in pairs)]
    notes = []
    if any(op.name == "FULLY_CONNECTED" and _per_channel(graph.input(op, 1)) for graph, op in pairs):
        # tflite-micro pull request 2602
        notes.append("releases before mid-2024 compute per-channel FULLY_CONNECTED wrongly, without an error")
    return Target("tflm", "no" if obstacles else "yes", "by the operators it registers", tuple(obstacles), tuple(notes))


def _tflm_obstacle(graph: Subgraph, op: Op) -> str:
    tensors = [graph.tensors[index] for index in (*op.inputs, *op.outputs) if index >= 0]
    if op.custom or op.name not in TFLM_OPS.split():
        return f"{op.name} is not among its operators"
    dtypes = sorted({tensor.dtype for tensor in tensors} - TFLM_DTYPES)
    if dtypes:
        return f"{op.name} on {', '.join(dtypes)}"
    if any(tensor.dynamic for tensor in tensors):
        return "shapes that are decided at run time"
    source, weights = graph.input(op, 0), graph.input(op, 1)
    if op.name in WEIGHTED and source and weights and source.dtype == "float32" and weights.dtype != "float32":
        return f"{op.name} with {weights.dtype} weights on float32 values (dynamic range)"
    if op.name in WEIGHTED and source and source.dtype == "uint8":
        return f"{op.name} on uint8; its kernels are for int8"
    return ""


def _per_channel(weights: Tensor | None) -> bool:
    return weights is not None and weights.scales > 1


def _later_than(op: Op, runtime: str) -> str:
    """The obstacle that ``op`` is for a runtime of that version; empty if it is none."""
    if op.custom:
        return f"{op.name} is a custom operator"
    first = minimum_runtime(op.name, op.version)
    if first is None:
        return f"{op.name} version {op.version} is in no table; nobody can tell"
    # 2.14.4 is a patch of 2.14 that no wheel was made of.
    return f"{op.name} version {op.version} came with {first}" if is_newer(first, runtime) else ""


def _ops(anatomy: Model) -> Iterator[Op]:
    return (op for graph in anatomy.subgraphs for op in graph.ops)


def _once(obstacles: Iterator[str] | list[str]) -> list[str]:
    """Without the empty ones; what is said of several operators is said once, in the order of the first."""
    return list(dict.fromkeys(obstacle for obstacle in obstacles if obstacle))
