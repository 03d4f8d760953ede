"""Read the operators, tensors and constants of a .tflite without running it.

    model = read_model(path.read_bytes())
    model.main.ops[0].name, model.main.tensors[0].shape

Files must have passed the verifier of the interpreter (open_interpreter() calls it), so that offsets stay within the
file. The flatbuffer schema comes with LiteRT; tflite-runtime does not include it.
"""

from __future__ import annotations

import importlib
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from edgefer import plugins
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.runtime import RUNTIMES

__all__ = ["Model", "Op", "Subgraph", "Tensor", "load_schema", "read_model"]

SCHEMA = "ai_edge_litert.schema_py_generated"
HINT = "copy the file again, or convert the model again"
# No kernel supports more than eight dimensions, but a file may contain any number.
MAX_DIMENSIONS = 64
# The tensors of a file can share one long name, but every Tensor here has its own copy.
MAX_NAME_BYTES = 1000
BITS = {
    "bool": 8, "int2": 2, "int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32,
    "uint32": 32, "int64": 64, "uint64": 64, "float8_e4m3fn": 8, "float8_e5m2": 8, "float16": 16, "bfloat16": 16,
    "float32": 32, "float64": 64, "complex64": 64, "complex128": 128,
}  # fmt: skip
# The options that other modules use: operator -> (options table of the schema, fields).
OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "BATCH_MATMUL": ("BatchMatMulOptions", ("AdjX", "AdjY")),
    "AVERAGE_POOL_2D": ("Pool2DOptions", ("FusedActivationFunction",)),
    "MAX_POOL_2D": ("Pool2DOptions", ("FusedActivationFunction",)),
    "CONCATENATION": ("ConcatenationOptions", ("FusedActivationFunction",)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("UnidirectionalSequenceLSTMOptions", ("TimeMajor",)),
}


@dataclass(frozen=True)
class Tensor:
    """A tensor of a subgraph.

    Attributes:
        name: name in the file.
        dtype: for example "int8", "string", "resource" or "variant".
        shape: shape in the file; a dimension that is decided at run time is 1, or -1 in old files.
        dynamic_dimensions: the dimensions that are decided at run time.
        buffer: index of the buffer with the values.
        constant: True if the file contains the values.
        variable: True if the tensor keeps its values between runs.
        scales: number of quantization scales: 0 without quantization, 1 per tensor, more per channel.
        scale, zero_point: the first scale and zero point, or None.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    dynamic_dimensions: tuple[int, ...]
    buffer: int
    constant: bool
    variable: bool
    scales: int
    scale: float | None
    zero_point: int | None

    @property
    def dynamic(self) -> bool:
        """True if a dimension is decided at run time."""
        return bool(self.dynamic_dimensions)

    @property
    def elements(self) -> int | None:
        """The number of values; None if a dimension is unknown."""
        return None if any(size < 0 for size in self.shape) else math.prod(self.shape)

    @property
    def size_bytes(self) -> int | None:
        """The memory of the values; None if shape or dtype do not determine it."""
        bits = BITS.get(self.dtype)
        return None if bits is None or self.elements is None else (self.elements * bits + 7) // 8


@dataclass(frozen=True)
class Op:
    """An operator of a subgraph.

    Attributes:
        name: for example "CONV_2D"; the custom name of a custom operator.
        version: version of the operator.
        custom: True if the operator is not built in.
        inputs, outputs: tensor indices; -1 marks an omitted input.
        options: values of the OPTIONS of the operator by name.
    """

    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Subgraph:
    """A graph; the operators are in execution order."""

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def input(self, op: Op, position: int) -> Tensor | None:
        """Return the input of ``op`` at ``position``, or None if it was omitted."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            return None
        return self.tensors[op.inputs[position]]


@dataclass(frozen=True)
class Model:
    """A model.

    Attributes:
        description: description that the converter wrote.
        declared_runtime: ``min_runtime_version`` in the metadata, or None.
        subgraphs: the main graph, then the bodies of control flow operators such as WHILE and IF.
    """

    description: str
    declared_runtime: str | None
    subgraphs: tuple[Subgraph, ...]

    @property
    def main(self) -> Subgraph:
        """The graph in which execution begins."""
        return self.subgraphs[0]


def read_model(model: bytes) -> Model:
    """Read a flatbuffer; bytes after it are ignored.

    Raises:
        DataError: the flatbuffer is damaged.
        IncompatibleError: LiteRT, which includes the schema, is not installed.
    """
    schema = load_schema()
    try:
        return _read(schema, schema.Model.GetRootAs(model, 0))
    # The exceptions of the generated reader for invalid offsets and indices.
    except (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DataError("the flatbuffer is damaged", why=f"{type(error).__name__}: {error}", hint=HINT) from error


def load_schema() -> ModuleType:
    """Import the generated flatbuffer reader.

    Raises:
        IncompatibleError: LiteRT, which includes it, is not installed.
    """
    try:
        return importlib.import_module(SCHEMA)
    except ImportError as error:
        raise IncompatibleError(
            "the flatbuffer schema is not installed",
            why=f"LiteRT includes it, tflite-runtime does not ({error})",
            hint=plugins.load(RUNTIMES, "litert").INSTALL,
        ) from error


def _read(schema: ModuleType, model: Any) -> Model:
    operators, dtypes = _names(schema.BuiltinOperator), _names(schema.TensorType)
    codes = [_code(model.OperatorCodes(index), operators) for index in range(model.OperatorCodesLength())]
    filled = [_is_filled(model.Buffers(index)) for index in range(model.BuffersLength())]
    subgraphs = []
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        tensors = tuple(_tensor(graph.Tensors(tensor), dtypes, filled) for tensor in range(graph.TensorsLength()))
        ops = tuple(_op(schema, graph.Operators(op), codes) for op in range(graph.OperatorsLength()))
        inputs, outputs = _integers(graph.InputsLength, graph.Inputs), _integers(graph.OutputsLength, graph.Outputs)
        subgraphs.append(_validated(Subgraph(tensors, ops, inputs, outputs)))
    if not subgraphs:
        raise DataError("the model has no graph", why="the list of subgraphs is empty", hint=HINT)
    return Model(_text(model.Description()), _declared_runtime(model), tuple(subgraphs))


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _code(code: Any, operators: Mapping[int, str]) -> tuple[str, int, bool]:
    # Operators above 127 are in a wider field. Old files have only the narrow one.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if operators.get(number) == "CUSTOM":
        return _text(code.CustomCode()) or "CUSTOM", code.Version(), True
    return operators.get(number, f"OPERATOR_{number}"), code.Version(), False


def _is_filled(buffer: Any) -> bool:
    # Large models store values after the flatbuffer, at an offset.
    return bool(buffer.DataLength() > 0 or buffer.Offset() > 1)


def _tensor(tensor: Any, dtypes: Mapping[int, str], filled: list[bool]) -> Tensor:
    if tensor.ShapeLength() > MAX_DIMENSIONS:
        raise DataError(
            "the flatbuffer is damaged",
            why=f"a tensor has {tensor.ShapeLength():,} dimensions, expected at most {MAX_DIMENSIONS}",
            hint=HINT,
        )
    shape = _integers(tensor.ShapeLength, tensor.Shape)
    signature = _integers(tensor.ShapeSignatureLength, tensor.ShapeSignature)
    quantization = tensor.Quantization()
    scales = quantization.ScaleLength() if quantization else 0
    points = quantization.ZeroPointLength() if quantization else 0
    scale = float(quantization.Scale(0)) if scales else None
    return Tensor(
        name=_text(tensor.Name()),
        dtype=dtypes.get(tensor.Type(), f"type_{tensor.Type()}").lower(),
        shape=shape,
        dynamic_dimensions=tuple(sorted({*_negative(shape), *_negative(signature)})),
        buffer=tensor.Buffer(),
        constant=filled[tensor.Buffer()],
        variable=bool(tensor.IsVariable()),
        scales=scales,
        scale=scale if scale is None or math.isfinite(scale) else None,
        zero_point=int(quantization.ZeroPoint(0)) if points else None,
    )


def _negative(shape: tuple[int, ...]) -> list[int]:
    return [dimension for dimension, size in enumerate(shape) if size < 0]


def _op(schema: ModuleType, operator: Any, codes: list[tuple[str, int, bool]]) -> Op:
    name, version, custom = codes[operator.OpcodeIndex()]
    inputs = _integers(operator.InputsLength, operator.Inputs)
    outputs = _integers(operator.OutputsLength, operator.Outputs)
    return Op(name, version, custom, inputs, outputs, _options(schema, operator, name))


def _options(schema: ModuleType, operator: Any, name: str) -> dict[str, int]:
    table, fields = OPTIONS.get(name, ("", ()))
    union = operator.BuiltinOptions() if table else None
    if union is None or operator.BuiltinOptionsType() != getattr(schema.BuiltinOptions, table):
        return {}
    options = getattr(schema, table)()
    options.Init(union.Bytes, union.Pos)
    return {field: int(getattr(options, field)()) for field in fields}


def _validated(graph: Subgraph) -> Subgraph:
    used = {*graph.inputs, *graph.outputs, *(index for op in graph.ops for index in (*op.inputs, *op.outputs))}
    invalid = [index for index in used if not -1 <= index < len(graph.tensors)]
    if invalid:
        why = f"an operator uses tensor {invalid[0]}, expected an index below {len(graph.tensors)}"
        raise DataError("the flatbuffer is damaged", why=why, hint=HINT)
    return graph


def _declared_runtime(model: Any) -> str | None:
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == b"min_runtime_version":
            buffer = model.Buffers(entry.Buffer())
            content = bytes(buffer.Data(place) for place in range(min(16, buffer.DataLength())))
            return content.partition(b"\0")[0].decode("ascii", "replace") or None
    return None


def _integers(length: Callable[[], int], value: Callable[[int], int]) -> tuple[int, ...]:
    return tuple(int(value(index)) for index in range(length()))


def _text(content: bytes | None) -> str:
    return (content or b"")[:MAX_NAME_BYTES].decode("utf-8", "replace")
