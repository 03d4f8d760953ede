"""What stands in a .tflite: its operators, tensors and constants, read from the flatbuffer and not run.

    anatomy = read(path.read_bytes())
    anatomy.main.ops[0].name, anatomy.main.tensors[0].shape

The reader is made for files that the interpreter has verified (open_interpreter() does): offsets then stay within the
file. It needs the schema that comes with LiteRT; tflite-runtime has none.
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
# No kernel takes more than eight; a file may claim any number.
MOST_DIMENSIONS = 64
# Many tensors can share one name in a file, and each gets a copy of it here.
LONGEST_NAME = 1000
BITS = {
    "bool": 8, "int2": 2, "int4": 4, "uint4": 4, "int8": 8, "uint8": 8, "int16": 16, "uint16": 16, "int32": 32,
    "uint32": 32, "int64": 64, "uint64": 64, "float8_e4m3fn": 8, "float8_e5m2": 8, "float16": 16, "bfloat16": 16,
    "float32": 32, "float64": 64, "complex64": 64, "complex128": 128,
}  # fmt: skip
# The options that are asked for somewhere: operator -> options table of the schema -> its fields.
OPTIONS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "BATCH_MATMUL": ("BatchMatMulOptions", ("AdjX", "AdjY")),
    "AVERAGE_POOL_2D": ("Pool2DOptions", ("FusedActivationFunction",)),
    "MAX_POOL_2D": ("Pool2DOptions", ("FusedActivationFunction",)),
    "CONCATENATION": ("ConcatenationOptions", ("FusedActivationFunction",)),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": ("UnidirectionalSequenceLSTMOptions", ("TimeMajor",)),
}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a subgraph.

    Attributes:
        name: as in the file.
        dtype: such as "int8", or "string", "resource", "variant".
        shape: as the file has it; a dimension that is decided at run time stands as 1, or -1 in old files.
        dynamic: whether some dimension is decided at run time.
        buffer: number of the buffer with its values.
        constant: whether the file has its values.
        variable: whether it keeps its values from run to run.
        scales: how many quantization scales it has: 0 is none, 1 per tensor, more per channel.
        scale, zero_point: the first of them, or None.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    dynamic: bool
    buffer: int
    constant: bool
    variable: bool
    scales: int
    scale: float | None
    zero_point: int | None

    @property
    def elements(self) -> int | None:
        """How many values; None where a dimension is not known."""
        return None if any(size < 0 for size in self.shape) else math.prod(self.shape)

    @property
    def size_bytes(self) -> int | None:
        """Memory of the values; None where shape or dtype do not tell."""
        bits = BITS.get(self.dtype)
        return None if bits is None or self.elements is None else (self.elements * bits + 7) // 8


@dataclass(frozen=True)
class Op:
    """One operator of a subgraph.

    Attributes:
        name: such as "CONV_2D"; the custom name where ``custom``.
        version: which version of the operator.
        custom: whether it is none of the built-in ones.
        inputs, outputs: numbers of tensors; -1 is an input that was left out.
        options: the few options that edgefer asks for, by name.
    """

    name: str
    version: int
    custom: bool
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Subgraph:
    """One graph: operators in the order in which they run."""

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def input(self, op: Op, position: int) -> Tensor | None:
        """The tensor at ``position`` of the op's inputs, or None where it was left out."""
        if position >= len(op.inputs) or op.inputs[position] < 0:
            return None
        return self.tensors[op.inputs[position]]


@dataclass(frozen=True)
class Model:
    """A whole model.

    Attributes:
        description: what the converter wrote about itself.
        declared_runtime: the file's own ``min_runtime_version``, or None.
        subgraphs: the main graph first; the others are bodies of WHILE, IF and the like.
    """

    description: str
    declared_runtime: str | None
    subgraphs: tuple[Subgraph, ...]

    @property
    def main(self) -> Subgraph:
        """The graph that a run begins with."""
        return self.subgraphs[0]


def read_model(model: bytes) -> Model:
    """Read a flatbuffer; bytes behind it are ignored.

    Raises:
        DataError: the file contradicts itself.
        IncompatibleError: the schema is not installed; the message carries the line that installs it.
    """
    schema = load_schema()
    try:
        return _read(schema, schema.Model.GetRootAs(model, 0))
    # What the generated reader raises for offsets and numbers that lead nowhere.
    except (struct.error, IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise DataError("the model contradicts itself", why=f"{type(error).__name__}: {error}") from error


def load_schema() -> ModuleType:
    """The generated reader of flatbuffers; IncompatibleError where LiteRT, which brings it, is not installed."""
    try:
        return importlib.import_module(SCHEMA)
    except ImportError as error:
        raise IncompatibleError(
            "the flatbuffer schema is not installed here",
            why=f"it comes with LiteRT, and tflite-runtime has none ({error})",
            hint=plugins.load(RUNTIMES, "litert").INSTALL,
        ) from error


def _read(schema: ModuleType, model: Any) -> Model:
    operators, dtypes = _names(schema.BuiltinOperator), _names(schema.TensorType)
    codes = [_code(model.OperatorCodes(index), operators) for index in range(model.OperatorCodesLength())]
    filled = [_is_filled(model.Buffers(index)) for index in range(model.BuffersLength())]
    subgraphs = []
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        tensors = tuple(_tensor(graph.Tensors(each), dtypes, filled) for each in range(graph.TensorsLength()))
        ops = tuple(_op(schema, graph.Operators(each), codes) for each in range(graph.OperatorsLength()))
        inputs, outputs = _integers(graph.InputsLength, graph.Inputs), _integers(graph.OutputsLength, graph.Outputs)
        subgraphs.append(_checked(Subgraph(tensors, ops, inputs, outputs)))
    if not subgraphs:
        raise DataError("the model has no graph", why="its list of subgraphs is empty")
    return Model(_text(model.Description()), _declared_runtime(model), tuple(subgraphs))


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _code(code: Any, operators: Mapping[int, str]) -> tuple[str, int, bool]:
    # Operators above 127 are in a wider field of their own; old files have the narrow one alone.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    if operators.get(number) == "CUSTOM":
        return _text(code.CustomCode()) or "CUSTOM", code.Version(), True
    return operators.get(number, f"OPERATOR_{number}"), code.Version(), False


def _is_filled(buffer: Any) -> bool:
    # Large models keep their values behind the flatbuffer, at an offset.
    return bool(buffer.DataLength() > 0 or buffer.Offset() > 1)


def _tensor(tensor: Any, dtypes: Mapping[int, str], filled: list[bool]) -> Tensor:
    if tensor.ShapeLength() > MOST_DIMENSIONS:
        raise DataError("the model contradicts itself", why=f"a tensor of {tensor.ShapeLength():,} dimensions")
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
        dynamic=any(size < 0 for size in (*shape, *signature)),
        buffer=tensor.Buffer(),
        constant=filled[tensor.Buffer()],
        variable=bool(tensor.IsVariable()),
        scales=scales,
        scale=scale if scale is None or math.isfinite(scale) else None,
        zero_point=int(quantization.ZeroPoint(0)) if points else None,
    )


def _op(schema: ModuleType, operator: Any, codes: list[tuple[str, int, bool]]) -> Op:
    name, version, custom = codes[operator.OpcodeIndex()]
    inputs = _integers(operator.InputsLength, operator.Inputs)
    outputs = _integers(operator.OutputsLength, operator.Outputs)
    return Op(name, version, custom, inputs, outputs, _options(schema, operator, name))


def _options(schema: ModuleType, operator: Any, name: str) -> dict[str, int]:
    table, fields = OPTIONS.get(name, ("", ()))
    found = operator.BuiltinOptions() if table else None
    if found is None or operator.BuiltinOptionsType() != getattr(schema.BuiltinOptions, table):
        return {}
    options = getattr(schema, table)()
    options.Init(found.Bytes, found.Pos)
    return {field: int(getattr(options, field)()) for field in fields}


def _checked(graph: Subgraph) -> Subgraph:
    used = {*graph.inputs, *graph.outputs, *(each for op in graph.ops for each in (*op.inputs, *op.outputs))}
    beyond = [each for each in used if not -1 <= each < len(graph.tensors)]
    if beyond:
        raise DataError("the model contradicts itself", why=f"tensor {beyond[0]} of {len(graph.tensors)}")
    return graph


def _declared_runtime(model: Any) -> str | None:
    for index in range(model.MetadataLength()):
        entry = model.Metadata(index)
        if entry.Name() == b"min_runtime_version":
            buffer = model.Buffers(entry.Buffer())
            content = bytes(buffer.Data(each) for each in range(min(16, buffer.DataLength())))
            return content.partition(b"\0")[0].decode("ascii", "replace") or None
    return None


def _integers(length: Callable[[], int], value: Callable[[int], int]) -> tuple[int, ...]:
    return tuple(int(value(index)) for index in range(length()))


def _text(content: bytes | None) -> str:
    return (content or b"")[:LONGEST_NAME].decode("utf-8", "replace")
