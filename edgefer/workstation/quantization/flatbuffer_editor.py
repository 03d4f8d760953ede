"""Read and change the constants of a .tflite.

    graph = Flatbuffer(model)
    for op in graph.ops: op.kind, op.layer, op.inputs, op.outputs
    graph.set_values(op.inputs[1], graph.values(op.inputs[1]) / 2)
    changed = graph.to_bytes()
    smaller = compact(changed)                      # same outputs, without redundant metadata

The input must be a file that the converter has just written. edgefer.inspection.flatbuffer reads files of unknown
origin.
"""

from __future__ import annotations

import functools
import itertools
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PROBABILITIES", "WEIGHTED", "Flatbuffer", "Op", "compact", "remove_softmax", "weight_bytes"]

# Operators whose inputs are, in this order, activation, weights and bias.
WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
BORDERS = ("QUANTIZE", "DEQUANTIZE")
# Operators that turn logits into probabilities, and their names in Keras.
PROBABILITIES = {"SOFTMAX": "softmax", "LOGISTIC": "sigmoid"}
# Operations of BatchNormalization, in Keras 3 and in Keras 2.
NORM = re.compile(r"/batchnorm/|/FusedBatchNorm")
# Scopes inside a layer: Dense on more than two dimensions, BatchNormalization, and half of SeparableConv2D.
SCOPE = re.compile(r"/(?:Tensordot|batchnorm|separable_conv2d(?=/depthwise))(?=/[^/]*$)")


@dataclass(frozen=True)
class Op:
    """One operator.

    Attributes:
        kind: operator type, such as "CONV_2D".
        layer: name of its Keras layer, derived from tensor names.
        inputs, outputs: tensor indices; -1 marks an omitted input.
        options: the options object of the schema, or None.
        weighted: True if input 1 is a trained kernel.
    """

    kind: str
    layer: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    weighted: bool

    @property
    def has_bias(self) -> bool:
        """True if input 2 is a bias."""
        return len(self.inputs) > 2 and self.inputs[2] >= 0


class Flatbuffer:
    """The main graph of a model.

    Attributes:
        ops: operators in execution order.
        inputs, outputs: tensor indices.
    """

    def __init__(self, model: bytes) -> None:
        from tensorflow.lite.tools import flatbuffer_utils

        self._utils = flatbuffer_utils
        self._model = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
        self._graph = self._model.subgraphs[0]
        self.inputs, self.outputs = (tuple(map(int, indices)) for indices in (self._graph.inputs, self._graph.outputs))
        self.ops = tuple(self._op(operator) for operator in self._graph.operators)

    def _op(self, operator: Any) -> Op:
        kind = self._utils.opcode_to_name(self._model, operator.opcodeIndex)
        inputs, outputs = (tuple(map(int, indices)) for indices in (operator.inputs, operator.outputs))
        # The converter names the output of the last operator after the converted function, but not its weights.
        # Input 1 of a fully connected layer can be another activation.
        weighted = kind in WEIGHTED and self.constant(inputs[1])
        names = [self.name(inputs[1])] if weighted else []
        layer = _layer([name for name in (*names, self.name(outputs[0])) if name])
        return Op(kind, layer, inputs, outputs, operator.builtinOptions, weighted)

    @property
    def computing(self) -> list[Op]:
        """The operators except QUANTIZE and DEQUANTIZE; they are the same for all schemes of one network."""
        return [op for op in self.ops if op.kind not in BORDERS]

    def uses(self, tensor: int) -> int:
        """Return the number of operators that read a tensor."""
        return sum(tensor in op.inputs for op in self.ops)

    def name(self, tensor: int) -> str:
        """Return the name of a tensor; empty if it has none."""
        return str((self._graph.tensors[tensor].name or b"").decode())

    def name_after_layers(self) -> None:
        """Give each tensor a short name that starts with the layer of its operator."""
        names: dict[int, str] = {}
        for op in self.ops:
            names[op.outputs[0]] = op.layer
            if op.weighted:
                names |= {index: f"{op.layer}/{part}" for index, part in zip(op.inputs[1:], ("weights", "bias"))}
        taken: set[str] = set()
        for index, name in names.items():
            numbered = (name if count == 0 else f"{name}:{count}" for count in itertools.count())
            unique = next(candidate for candidate in numbered if candidate not in taken)
            taken.add(unique)
            self._graph.tensors[index].name = unique.encode()

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor."""
        return tuple(int(size) for size in self._graph.tensors[tensor].shape)

    def dtype(self, tensor: int) -> str:
        """Return the dtype of a tensor, such as "int8"."""
        return _dtypes()[self._graph.tensors[tensor].type]

    def constant(self, tensor: int) -> bool:
        """Return True if the file contains the tensor's values; the index of an omitted input, -1, has none."""
        if tensor < 0:
            return False
        content = self._model.buffers[self._graph.tensors[tensor].buffer].data
        return content is not None and len(content) > 0

    def values(self, tensor: int) -> npt.NDArray[Any]:
        """Return a copy of the values of a constant tensor, in its shape and dtype."""
        content = self._model.buffers[self._graph.tensors[tensor].buffer].data
        flat = np.frombuffer(np.asarray(content, np.uint8).tobytes(), self.dtype(tensor))
        return flat.reshape(self.shape(tensor)).copy()

    def set_values(self, tensor: int, values: npt.NDArray[Any]) -> None:
        """Replace the values of a constant tensor.

        Args:
            tensor: tensor index.
            values: array of the shape of the tensor; it is cast to its dtype.
        """
        content = np.ascontiguousarray(values, self.dtype(tensor))
        target = self._graph.tensors[tensor]
        # Several tensors can share a buffer: the converter stores equal constants once, such as two zero biases.
        if sum(other.buffer == target.buffer for graph in self._model.subgraphs for other in graph.tensors) > 1:
            target.buffer = len(self._model.buffers)
            self._model.buffers.append(type(self._model.buffers[0])())
        self._model.buffers[target.buffer].data = np.frombuffer(content.tobytes(), np.uint8)

    def scales(self, tensor: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
        """Return the scales, float64 (n,), and zero points, int64 (n,), of a tensor.

        n is 0 without quantization, 1 per tensor, and the number of channels per channel.
        """
        params = self._graph.tensors[tensor].quantization
        scales, zero_points = (None, None) if params is None else (params.scale, params.zeroPoint)
        return (
            np.array([] if scales is None else scales, np.float64),
            np.array([] if zero_points is None else zero_points, np.int64),
        )

    def set_scales(self, tensor: int, scales: npt.NDArray[np.float64]) -> None:
        """Replace the scales of a quantized tensor, (n,), by as many; the zero points stay."""
        self._graph.tensors[tensor].quantization.scale = scales.astype(np.float32)

    def to_depthwise(self, position: int, weights: npt.NDArray[np.float32]) -> None:
        """Replace an operator with a depthwise convolution of its first input over all rows and columns.

        Args:
            position: index of the operator in ``ops``.
            weights: float32 (1, rows, columns, channels).
        """
        from tensorflow.lite.python import schema_py_generated as schema

        operator, op = self._graph.operators[position], self.ops[position]
        channels = weights.shape[-1]
        # Kernels of quantized convolutions need a bias.
        kernel = self._add_float(weights, f"{op.layer}/weights")
        operator.inputs = [op.inputs[0], kernel, self._add_float(np.zeros(channels), f"{op.layer}/bias")]
        self._graph.tensors[op.outputs[0]].shape = np.array([1, 1, 1, channels], np.int32)
        code = schema.OperatorCodeT()
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEPTHWISE_CONV_2D
        code.version, operator.opcodeIndex = 1, len(self._model.operatorCodes)
        self._model.operatorCodes.append(code)
        operator.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
        operator.builtinOptions = options = schema.DepthwiseConv2DOptionsT()
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = options.depthMultiplier = 1
        options.dilationHFactor = options.dilationWFactor = 1

    def _add_float(self, values: npt.NDArray[Any], name: str) -> int:
        """Add a float32 constant; return its tensor index."""
        from tensorflow.lite.python import schema_py_generated as schema

        tensor, buffer = schema.TensorT(), schema.BufferT()
        buffer.data = np.frombuffer(values.astype(np.float32).tobytes(), np.uint8)
        tensor.shape, tensor.type = np.array(values.shape, np.int32), schema.TensorType.FLOAT32
        tensor.name = name.encode()
        tensor.buffer = len(self._model.buffers)
        self._model.buffers.append(buffer)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def range(self, tensor: int) -> tuple[float, float]:
        """Return the calibrated range (low, high) that set_range() stored."""
        params = self._graph.tensors[tensor].quantization
        return float(params.min[0]), float(params.max[0])

    def set_range(self, tensor: int, low: float, high: float) -> None:
        """Set the calibrated range of an activation, which the quantizer reads."""
        from tensorflow.lite.python.schema_py_generated import QuantizationParametersT

        target = self._graph.tensors[tensor]
        if target.quantization is None:
            target.quantization = QuantizationParametersT()
        target.quantization.min, target.quantization.max = [low], [high]

    def to_bytes(self) -> bytes:
        """Return the model as .tflite bytes."""
        return bytes(self._utils.convert_object_to_bytearray(self._model))


@functools.cache
def _dtypes() -> dict[int, str]:
    """Return a dict from the schema's tensor types to dtypes."""
    from tensorflow.lite.python.schema_py_generated import TensorType

    return {number: name.lower() for name, number in vars(TensorType).items() if isinstance(number, int)}


def compact(model: bytes) -> bytes:
    """Return a .tflite with the same outputs and less metadata.

    Equal vectors of zero points and equal shapes are stored once: the converter stores eight bytes of zeros per output
    channel, for the weights and again for the bias. Constants lose their names. The inputs and the outputs of operators
    keep theirs, which reports show.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    vectors: dict[tuple[str, bytes], Any] = {}

    def shared(vector: Any) -> Any:
        return None if vector is None else vectors.setdefault((vector.dtype.str, vector.tobytes()), vector)

    for graph in content.subgraphs:
        named = {*graph.inputs, *(index for operator in graph.operators for index in operator.outputs)}
        for index, tensor in enumerate(graph.tensors):
            tensor.shape = shared(tensor.shape)
            if tensor.quantization is not None:
                tensor.quantization.zeroPoint = shared(tensor.quantization.zeroPoint)
            if index not in named:
                tensor.name = None
    builder = _sharing_builder()
    builder.Finish(content.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def remove_softmax(model: bytes) -> tuple[bytes, str]:
    """Return a float .tflite without the activation that computes its output, and "softmax" or "sigmoid".

    The text is empty if the output has neither. A softmax with a factor other than 1 stays, because its input would
    need a temperature.
    """
    from tensorflow.lite.tools import flatbuffer_utils

    graph = Flatbuffer(model)
    last = graph.ops[-1]
    if last.kind not in PROBABILITIES or graph.outputs != last.outputs or graph.dtype(last.outputs[0]) != "float32":
        return model, ""
    has_factor = last.kind == "SOFTMAX" and (last.options is None or last.options.beta != 1)
    if has_factor or graph.uses(last.inputs[0]) != 1:
        return model, ""
    content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
    subgraph = content.subgraphs[0]
    del subgraph.operators[-1]
    subgraph.outputs = [last.inputs[0]]
    for signature in content.signatureDefs or ():
        for output in signature.outputs:
            output.tensorIndex = last.inputs[0]
    return bytes(flatbuffer_utils.convert_object_to_bytearray(content)), PROBABILITIES[last.kind]


def _sharing_builder() -> Any:
    """Create a builder that writes an array once, even if several tables refer to it.

    It compares identity, not content: tensor_probe overwrites the outputs of a graph in place, and the outputs of an
    operator with the same content must not change with them.
    """
    import flatbuffers  # a requirement of TensorFlow

    class SharingBuilder(flatbuffers.Builder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(1024)
            # Holding the arrays keeps their ids unique.
            self._written: dict[int, tuple[npt.NDArray[Any], int]] = {}

        def CreateNumpyVector(self, x: npt.NDArray[Any]) -> int:  # noqa: N802  (the name in flatbuffers)
            if id(x) not in self._written:
                self._written[id(x)] = x, super().CreateNumpyVector(x)
            return self._written[id(x)][1]

    return SharingBuilder()


def weight_bytes(model: bytes) -> int:
    """Return the size in bytes of all weights in a .tflite, without biases, scales and names."""
    graph = Flatbuffer(model)
    read = {index for op in graph.ops for index in op.inputs if index >= 0}
    # Exclude biases and the shapes of RESHAPE, which have one dimension.
    return sum(graph.values(index).nbytes for index in read if len(graph.shape(index)) > 1 and graph.constant(index))


def _layer(names: list[str]) -> str:
    """Return the Keras layer of tensor names, such as stem_conv.

    The converter writes "edgefer_1/compact_1/stem_conv_1/convolution;...", and name_after_layers() "stem_conv/weights".
    Keras appends a number when a name occurs again, as in the model around the network. The name of a layer with a
    batch normalization also contains the operations of the latter, "bn_1/batchnorm/mul_1;depthwise_1/depthwise".
    """
    parts = [part for name in names for part in sorted(name.split(";"), key=lambda part: bool(NORM.search(part)))]
    paths = [SCOPE.sub("", part).split("/") for part in parts]
    path = next((path for path in paths if len(path) > 1), paths[0])
    # name_after_layers() appends a number for the second operator of a layer.
    inner = path[-2] if len(path) > 1 else re.sub(r":\d+$", "", path[0])
    return re.sub(r"_\d+$", "", inner) if len(path) > 2 else inner
