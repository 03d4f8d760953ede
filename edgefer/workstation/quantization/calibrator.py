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
  Inference", 2020, section 5.2, which finds 99.99 % best or nearly best for most networks.
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

from edgefer.contract.preprocessing import encoder
from edgefer.errors import DataError, UsageError
from edgefer.inference.runtime import InterpreterRuntime, open_interpreter, select_runtime
from edgefer.workstation.quantization.converter import converting
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer
from edgefer.workstation.quantization.gptq import InputStatistics, apply_gptq
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["Calibrator", "Ranges", "activations"]

def activations(model: bytes, faces: npt.NDArray[np.uint8]) -> Iterator[Callable[[int], npt.NDArray[Any]]]:
    """For each of uint8 (n, h, w): a function from a tensor's number to its values, valid until the next face.

    Of a quantized model the values are integer steps.
    """
    module = select_runtime("litert")
    name, version = "litert", module.available() or ""
    interpreter = open_interpreter(
        module.load(), model, kernels="builtin", keep_tensors=True, name=name, version=version
    )
    runtime = InterpreterRuntime(interpreter, name=name, version=version)
    table = encoder(runtime.input.params)
    for face in faces:
        runtime.set_input(table[face].reshape(runtime.input.shape))
        runtime.invoke()
        yield interpreter.get_tensor


PERCENT_CLIPPED = 0.01
# Values kept of each face and tensor: a million for 500 faces, of which a hundred are beyond the percentile.
SAMPLE = 2048


class Ranges:
    """What has been seen of each activation of ``graph``, which is a float model."""

    def __init__(self, graph: Flatbuffer) -> None:
        self._graph = graph
        self._tensors = [index for op in graph.ops for index in op.outputs]
        self._lows: dict[int, list[float]] = {index: [] for index in self._tensors}
        self._highs: dict[int, list[float]] = {index: [] for index in self._tensors}
        self._samples: dict[int, list[npt.NDArray[np.float32]]] = {index: [] for index in self._tensors}

    def observe(self, values: Callable[[int], npt.NDArray[Any]]) -> None:
        """Take in what one face produces."""
        for index in self._tensors:
            found = values(index)
            self._lows[index].append(float(found.min()))
            self._highs[index].append(float(found.max()))
            self._samples[index].append(found.ravel()[:: _stride(found.size, found.shape[-1])].copy())

    def range_of(self, tensor: int, method: str) -> tuple[float, float]:
        """(low, high) of an activation; ``method`` is one of the three above."""
        lows, highs = self._lows[tensor], self._highs[tensor]
        if not np.isfinite([*lows, *highs]).all():
            why = f"{self._graph.name(tensor)} puts out values that are not finite"
            raise DataError("the model cannot be quantized", why=why, hint="edgefer train   (a new run)")
        if method == "min-max":
            return min(lows), max(highs)
        if method == "moving-average":
            return float(np.mean(lows)), float(np.mean(highs))
        low, high = np.percentile(np.concatenate(self._samples[tensor]), [PERCENT_CLIPPED, 100 - PERCENT_CLIPPED])
        return float(low), float(high)

    def apply(self, method: str) -> None:
        """Write all ranges into the graph; the input's is [0, 1], which makes a pixel its own step."""
        for index in self._tensors:
            low, high = self.range_of(index, method)
            if low == high == 0:
                low, high = self.range_of(index, "min-max")
            # No runtime takes a scale of zero; what is always zero can have any other.
            self._graph.set_range(index, low, high if low or high else 1.0)
        for index in self._graph.inputs:
            self._graph.set_range(index, 0.0, 1.0)


def _stride(size: int, channels: int) -> int:
    """The step through ``size`` values that leaves SAMPLE of them and does not fall into step with the channels."""
    stride = max(1, size // SAMPLE) | 1
    while math.gcd(stride, channels) > 1:
        stride += 2
    return stride


class Calibrator:
    """A float32 model and what it does with the calibration faces.

    Attributes:
        model: the flatbuffer.
        graph: the same, taken apart.
    """

    def __init__(self, model: bytes, faces: npt.NDArray[np.uint8]) -> None:
        """``faces`` are prepared, uint8 (n, h, w), n >= 1.

        Raises:
            DataError: no face, or weights that are not finite.
        """
        if not len(faces):
            raise DataError("no calibration face", why="one is the least", hint="--calibration-size 500")
        self.model, self.graph = model, Flatbuffer(model)
        _require_finite(self.graph)
        self._ranges, self._moments = Ranges(self.graph), InputStatistics(self.graph, faces=len(faces))
        for values in activations(model, faces):
            self._ranges.observe(values)
            self._moments.observe(values)

    def quantize(self, recipe: QuantizationOptions) -> bytes:
        """The int8 model by ``recipe``.

        Raises:
            UsageError: no layer has a name that ``recipe.float_layers`` asks for.
            DataError: the network puts out values that are not finite.
            EdgeferError: TensorFlow Lite's quantizer fails.
        """
        kept = _kept_float(self.graph, recipe.float_layers)
        self._ranges.apply(recipe.calibration_method)
        model = _quantize(self.graph.to_bytes(), recipe, kept)
        second_order = recipe.rounding == "gptq"
        if second_order or recipe.bias_correction:
            model = apply_gptq(model, self._moments, second_order=second_order, bias_correction=recipe.bias_correction)
        return model


def _require_finite(graph: Flatbuffer) -> None:
    constants = ((op, index) for op in graph.ops if op.weighted for index in op.inputs[1:] if index >= 0)
    for op, index in constants:
        # The converter makes the largest number there is of an infinite one.
        if not (np.abs(graph.values(index)) < np.finfo(np.float32).max).all():
            why = f"{op.layer} has weights that are not finite"
            raise DataError("the model cannot be quantized", why=why, hint="edgefer train   (a new run)")


def _kept_float(graph: Flatbuffer, patterns: tuple[str, ...]) -> list[str]:
    """Names of the outputs of the operators that stay float."""
    layers = list(dict.fromkeys(op.layer for op in graph.ops))
    for pattern in patterns:
        if not any(re.search(pattern, layer) for layer in layers):
            what = f"no layer has a name that {pattern!r} finds"
            raise UsageError(what, why=f"there are {', '.join(layers)}", hint=f"--keep-float {layers[0]}")
    return [
        graph.name(op.outputs[0])
        for op in graph.ops
        if any(re.search(pattern, op.layer) for pattern in patterns)
    ]  # fmt: skip


def _quantize(calibrated: bytes, recipe: QuantizationOptions, kept: list[str]) -> bytes:
    import tensorflow as tf
    from tensorflow.lite.python.convert import mlir_quantize  # as tf.lite.experimental.QuantizationDebugger uses it

    dtype: Any = getattr(tf, recipe.io or "int8")
    with converting("the model cannot be quantized"):
        return bytes(
            mlir_quantize(
                calibrated,
                disable_per_channel=not recipe.per_channel,
                disable_per_channel_for_dense_layers=not recipe.dense_per_channel,
                # With fully_quantize=True, input and output would be int8 whatever is said here.
                input_data_type=dtype,
                output_data_type=dtype,
                denylisted_nodes=kept,
            )
        )
