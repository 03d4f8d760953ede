"""Quantize a float .tflite to int8 after training, calibrated with faces.

    calibrator = Calibrator(float_model, faces)
    int8 = calibrator.quantize(QuantizationOptions())
    other = calibrator.quantize(QuantizationOptions(calibration_method="percentile"))

The float model processes the calibration faces once. Their activations set the ranges, round the weights and correct
the biases. TensorFlow Lite defines the arithmetic and which operators can be quantized
(https://ai.google.dev/edge/litert/models/quantization_spec).

Building blocks:

    for values in activations(model, faces):
        values(tensor)                              # float32 values of a tensor for one face

    ranges = Ranges(graph)
    for values in activations(model, faces):
        ranges.observe(values)
    ranges.apply("percentile")                      # writes the ranges into the graph, for the quantizer

activations() uses the optimized built-in kernels, because a delegate hides the tensors between its layers.

A wide range spends its 256 steps on rare values; a narrow range clips frequent ones. Methods:

- "min-max": from the smallest to the largest value; clips no value of the calibration faces.
- "percentile": excludes 0.01 % of the values at each end, after Wu et al., "Integer Quantization for Deep Learning
  Inference", 2020, section 5.2, which finds 99.99 % best or nearly best for most networks. Before max pooling, it
  excludes 0.01 % of the maxima.
- "moving-average": the mean over the faces of their smallest and largest values. Frameworks average over batches during
  training (Jacob et al., "Quantization and Training of Neural Networks", CVPR 2018, section 3.1). Here each face has
  equal weight, so the order of the faces does not matter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import InputSpec, encode, encoder
from edgefer.errors import DataError, UsageError
from edgefer.inference.runtime import InterpreterRuntime, open_interpreter, select_runtime
from edgefer.workstation.quantization.bit_exact import WEIGHT_MULTIPLE, align_scales, replace_means
from edgefer.workstation.quantization.converter import converting
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer
from edgefer.workstation.quantization.gptq import InputStatistics, absorb_constant_inputs, apply_gptq
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["Calibrator", "Ranges", "activations"]


def activations(
    model: bytes, faces: npt.NDArray[np.uint8], spec: InputSpec = InputSpec()
) -> Iterator[Callable[[int], npt.NDArray[Any]]]:
    """Run faces through a model; yield for each face a function from tensor index to values.

    Args:
        model: .tflite with one input.
        faces: uint8 (n, *spec.shape).
        spec: input of the model.

    Yields:
        A function, valid until the next face. Tensors of a quantized model have integer values.
    """
    module = select_runtime("litert")
    name, version = "litert", module.available() or ""
    interpreter = open_interpreter(
        module.load(), model, kernels="builtin", keep_tensors=True, name=name, version=version
    )
    runtime = InterpreterRuntime(interpreter, name=name, version=version)
    table = encoder(runtime.input.params, spec)
    for face in faces:
        runtime.set_input(encode(table, face).reshape(runtime.input.shape))
        runtime.invoke()
        yield interpreter.get_tensor


PERCENT_CLIPPED = 0.01
# Values sampled per face and tensor. 500 faces give a million values, of which a hundred exceed the percentile.
SAMPLE = 2048
# Operators that pass on the maxima of their input.
MAXIMA = ("MAX_POOL_2D", "REDUCE_MAX")


class Ranges:
    """Observed ranges of the activations of the float model ``graph``."""

    def __init__(self, graph: Flatbuffer) -> None:
        self._graph = graph
        # Comparisons, as in SELU, give truth values, and shapes are integers; neither is quantized.
        self._tensors = [index for op in graph.ops for index in op.outputs if graph.dtype(index) == "float32"]
        self._lows: dict[int, list[float]] = {index: [] for index in self._tensors}
        self._highs: dict[int, list[float]] = {index: [] for index in self._tensors}
        self._samples: dict[int, list[npt.NDArray[np.float32]]] = {index: [] for index in self._tensors}

    def observe(self, values: Callable[[int], npt.NDArray[Any]]) -> None:
        """Add the activations of one face."""
        for index in self._tensors:
            output = values(index)
            self._lows[index].append(float(output.min()))
            self._highs[index].append(float(output.max()))
            self._samples[index].append(output.ravel()[:: _stride(output.size, output.shape[-1])].copy())

    def range_of(self, tensor: int, method: str) -> tuple[float, float]:
        """Return (low, high) of an activation.

        Args:
            tensor: tensor index.
            method: "min-max", "percentile" or "moving-average".

        Raises:
            DataError: the activation has values that are not finite.
        """
        lows, highs = self._lows[tensor], self._highs[tensor]
        if not np.isfinite([*lows, *highs]).all():
            why = f"{self._graph.name(tensor)} has values that are not finite"
            raise DataError("the model cannot be quantized", why=why, hint="edgefer train   (a new run)")
        if method == "min-max":
            return min(lows), max(highs)
        if method == "moving-average":
            return float(np.mean(lows)), float(np.mean(highs))
        low, high = np.percentile(np.concatenate(self._samples[tensor]), [PERCENT_CLIPPED, 100 - PERCENT_CLIPPED])
        return float(low), float(high)

    def apply(self, method: str, input_range: tuple[float, float] = (0.0, 1.0)) -> None:
        """Write all ranges into the graph; ``input_range`` of the pixels makes one step one pixel value."""
        ranges = {index: self.range_of(index, method) for index in self._tensors}
        for op in reversed(self._graph.ops):
            source = op.inputs[0] if op.kind in MAXIMA else -1
            # Rare values of a tensor are frequent among its maxima, which alone pass on.
            if source in ranges and self._graph.uses(source) == 1:
                ranges[source] = ranges[op.outputs[0]]
        for index, (low, high) in ranges.items():
            if low == high == 0:
                low, high = self.range_of(index, "min-max")
            # Runtimes reject a scale of zero; a tensor that is always zero can have any positive scale.
            self._graph.set_range(index, low, high if low or high else 1.0)
        for index in self._graph.inputs:
            self._graph.set_range(index, *input_range)


def _stride(size: int, channels: int) -> int:
    """Return a stride that samples about SAMPLE of ``size`` values and is coprime to the number of channels."""
    stride = max(1, size // SAMPLE) | 1
    while math.gcd(stride, channels) > 1:
        stride += 2
    return stride


class Calibrator:
    """A float32 model with the activation statistics of its calibration faces.

    Attributes:
        model: .tflite of the float network.
        graph: parsed ``model``.
        spec: input of the model.
    """

    def __init__(self, model: bytes, faces: npt.NDArray[np.uint8], spec: InputSpec = InputSpec()) -> None:
        """Run the calibration faces through the model.

        Args:
            model: float32 .tflite.
            faces: preprocessed faces, uint8 (n, *spec.shape), n >= 1.
            spec: input of the model.

        Raises:
            DataError: there are no faces, or weights or activations are not finite.
        """
        if not len(faces):
            raise DataError("no calibration faces", why="0 given; expected at least 1", hint="--calibration-size 500")
        self.model, self.graph, self.spec = model, Flatbuffer(model), spec
        _require_finite(self.graph)
        self._ranges, self._moments = Ranges(self.graph), InputStatistics(self.graph, faces=len(faces))
        for values in activations(model, faces, spec):
            self._ranges.observe(values)
            self._moments.observe(values)

    def quantize(self, options: QuantizationOptions) -> bytes:
        """Return the int8 .tflite.

        Args:
            options: options of the quantization.

        Raises:
            UsageError: a pattern of ``options.float_layers`` matches no layer.
            DataError: an activation has values that are not finite.
            EdgeferError: TensorFlow Lite's quantizer fails.
        """
        kept = _kept_float(self.graph, options.float_layers)
        self._ranges.apply(options.calibration_method, self.spec.range)
        second_order, calibrated = options.rounding == "gptq", self.graph.to_bytes()
        if options.bias_correction:
            calibrated = absorb_constant_inputs(calibrated, self._moments, self._step)
        if options.bit_exact:
            calibrated = replace_means(calibrated)
        quantized, origin = _quantize(calibrated, options, kept), Flatbuffer(calibrated)
        if not (second_order or options.bias_correction or options.bit_exact):
            return quantized
        if options.bit_exact:
            quantized = align_scales(quantized, origin)
        return apply_gptq(
            quantized, self._moments, origin=origin, second_order=second_order,
            bias_correction=options.bias_correction, multiple=WEIGHT_MULTIPLE if options.bit_exact else 1,
        )  # fmt: skip

    def _step(self, tensor: int) -> float:
        """Return the quantization step of an activation, with the ranges that were applied last."""
        low, high = self.graph.range(tensor)
        return (max(high, 0.0) - min(low, 0.0)) / 255


def _require_finite(graph: Flatbuffer) -> None:
    constants = ((op, index) for op in graph.ops if op.weighted for index in op.inputs[1:] if index >= 0)
    for op, index in constants:
        # The converter replaces an infinite value with the largest finite one.
        if not (np.abs(graph.values(index)) < np.finfo(np.float32).max).all():
            why = f"{op.layer} has weights that are not finite"
            raise DataError("the model cannot be quantized", why=why, hint="edgefer train   (a new run)")


def _kept_float(graph: Flatbuffer, patterns: tuple[str, ...]) -> list[str]:
    """Return the output names of the operators that stay in float."""
    layers = list(dict.fromkeys(op.layer for op in graph.ops))
    for pattern in patterns:
        if not any(re.search(pattern, layer) for layer in layers):
            what = f"no layer matches {pattern!r}"
            raise UsageError(what, why=f"expected one of {', '.join(layers)}", hint=f"--keep-float {layers[0]}")
    return [
        graph.name(op.outputs[0])
        for op in graph.ops
        if any(re.search(pattern, op.layer) for pattern in patterns)
    ]  # fmt: skip


def _quantize(calibrated: bytes, options: QuantizationOptions, kept: list[str]) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize  # as tf.lite.experimental.QuantizationDebugger uses it

    dtype: Any = getattr(tf, options.io or "int8")
    with converting("the model cannot be quantized"):
        return bytes(
            mlir_quantize(
                calibrated,
                disable_per_channel=not options.per_channel,
                disable_per_channel_for_dense_layers=not options.dense_per_channel,
                # With fully_quantize=True, input and output would always be int8.
                input_data_type=dtype,
                output_data_type=dtype,
                denylisted_nodes=kept,
            )
        )
