"""Full-integer post-training quantization of a float .tflite, by a recipe.

    calibrated = Calibrated(float_model, faces)
    int8 = calibrated.quantize(Recipe())
    other = calibrated.quantize(Recipe(ranges="percentile"))

The calibration faces run through the float model once. What they produce sets the ranges of the activations, rounds the
weights and corrects the biases; the arithmetic in between, and the choice of what can be quantized at all, is that of
TensorFlow Lite (https://ai.google.dev/edge/litert/models/quantization_spec).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError, UsageError
from edgefer.workstation.activations import activations
from edgefer.workstation.convert import converting
from edgefer.workstation.flatbuffer import Flatbuffer
from edgefer.workstation.ranges import Ranges
from edgefer.workstation.recipe import Recipe
from edgefer.workstation.rounding import Moments, refine

__all__ = ["Calibrated"]


class Calibrated:
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
            raise DataError("no calibration face", why="one is the least", fix="--calibration-size 500")
        self.model, self.graph = model, Flatbuffer(model)
        _require_finite(self.graph)
        self._ranges, self._moments = Ranges(self.graph), Moments(self.graph, faces=len(faces))
        for values in activations(model, faces):
            self._ranges.see(values)
            self._moments.see(values)

    def quantize(self, recipe: Recipe) -> bytes:
        """The int8 model by ``recipe``.

        Raises:
            UsageError: no layer has a name that ``recipe.float_layers`` asks for.
            DataError: the network puts out values that are not finite.
            EdgeferError: TensorFlow Lite's quantizer fails.
        """
        kept = _kept_float(self.graph, recipe.float_layers)
        self._ranges.note(recipe.ranges)
        model = _quantize(self.graph.to_bytes(), recipe, kept)
        second_order = recipe.rounding == "second-order"
        if second_order or recipe.bias_correction:
            model = refine(model, self._moments, second_order=second_order, bias_correction=recipe.bias_correction)
        return model


def _require_finite(graph: Flatbuffer) -> None:
    constants = ((op, index) for op in graph.ops if op.weighted for index in op.inputs[1:] if index >= 0)
    for op, index in constants:
        # The converter makes the largest number there is of an infinite one.
        if not (np.abs(graph.values(index)) < np.finfo(np.float32).max).all():
            why = f"{op.layer} has weights that are not finite"
            raise DataError("the model cannot be quantized", why=why, fix="edgefer train   (a new run)")


def _kept_float(graph: Flatbuffer, patterns: tuple[str, ...]) -> list[str]:
    """Names of the outputs of the operators that stay float."""
    layers = list(dict.fromkeys(op.layer for op in graph.ops))
    for pattern in patterns:
        if not any(re.search(pattern, layer) for layer in layers):
            what = f"no layer has a name that {pattern!r} finds"
            raise UsageError(what, why=f"there are {', '.join(layers)}", fix=f"--skip-layer {layers[0]}")
    return [
        graph.name(op.outputs[0])
        for op in graph.ops
        if any(re.search(pattern, op.layer) for pattern in patterns)
    ]  # fmt: skip


def _quantize(calibrated: bytes, recipe: Recipe, kept: list[str]) -> bytes:
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
