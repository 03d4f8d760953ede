"""Convert a Keras model to a flatbuffer; the only module that calls the TensorFlow Lite converter.

    flatbuffer = convert(model)                     # float32
    flatbuffer = convert(model, configure)          # configure(tf, converter) sets the scheme; see schemes/

The result has batch 1 and operator versions that tflite-runtime 2.14 supports.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder
from edgefer.errors import EdgeferError
from edgefer.processes import suppress_native_output
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer

__all__ = [
    "convert",
    "convert_function",
    "converting",
    "framework_of",
    "representative_images",
    "require_identity_input",
]


def convert(model: Any, configure: Callable[[Any, Any], None] | None = None) -> bytes:
    """Convert a Keras model, float32 (n, h, w, channels) to logits, to .tflite bytes with batch 1.

    Args:
        configure: function of TensorFlow and the TFLiteConverter that sets the scheme; None for float32.

    Raises:
        EdgeferError: the converter fails.
    """
    import tensorflow as tf

    keras = framework_of(model)
    # A dynamic batch makes tflite-runtime 2.14 six times slower.
    fixed_input = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="face")
    fixed = keras.Model(fixed_input, model(fixed_input), name="edgefer")
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    # In dynamic range, per-channel Dense weights need FULLY_CONNECTED version 12, which no runtime before 2.17 has.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if configure is not None:
        configure(tf, converter)
    with converting("the model cannot be converted"):
        return _with_short_names(converter.convert())


def convert_function(function: Any, owner: Any) -> bytes:
    """Convert a concrete TensorFlow function of one float32 image, with batch 1, to a float32 .tflite.

    Args:
        function: concrete function.
        owner: object with its variables.

    Raises:
        EdgeferError: the converter fails.
    """
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], owner)
    with converting("the model cannot be converted"):
        return _with_short_names(converter.convert())


@contextlib.contextmanager
def converting(failure: str) -> Iterator[None]:
    """Suppress output of the converter; re-raise its exceptions as EdgeferError with the message ``failure``."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError  # tf.lite does not export it

    try:
        with suppress_native_output():
            yield
    except (ValueError, RuntimeError, ConverterError, tf.errors.OpError) as error:
        raise EdgeferError(failure, why=_reason(error)) from error


def _reason(error: Exception) -> str:
    """Return one sentence for an exception of the converter, whose messages are pages of its graph."""
    text = str(error)
    missing = dict.fromkeys(re.findall(r"'tf\.(\w+)' op is neither a custom op nor a flex op", text))
    if missing:
        return f"TensorFlow Lite has no operator for {', '.join(missing)}"
    lines = [line.strip() for line in text.splitlines() if "error:" in line] or text.strip().splitlines()
    return lines[-1].rpartition("error: ")[2] if lines else type(error).__name__


def _with_short_names(model: bytes) -> bytes:
    """Name tensors after their layers; the converter's names take a tenth of a small int8 model."""
    graph = Flatbuffer(model)
    graph.name_after_layers()
    return graph.to_bytes()


def framework_of(model: Any) -> Any:
    """Return the framework of a model: keras or tf_keras."""
    return importlib.import_module(type(model).__module__.partition(".")[0])


def representative_images(
    faces: npt.NDArray[np.uint8], spec: InputSpec = InputSpec()
) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Yield calibration images for the converter.

    The range of the input must be exactly that of the pixels; otherwise its quantization is not the identity on
    pixels. The first image is therefore a copy of the first face with one black and one white corner pixel, which
    hardly affects the ranges of other layers.

    Args:
        faces: uint8 (n, *spec.shape), n >= 1.
        spec: input of the model.

    Yields:
        A list with one encoded image, float32 (1, h, w, channels), n + 1 times.
    """
    table = encoder(FLOAT32, spec)
    pinned = faces[:1].copy()
    pinned[0, 0, 0], pinned[0, -1, -1] = 0, 255
    for face in np.concatenate([pinned, faces]):
        yield [encode(table, face).reshape(spec.tensor_shape)]


def require_identity_input(flatbuffer: bytes, spec: InputSpec = InputSpec()) -> bytes:
    """Return the flatbuffer if it quantizes pixels exactly: to pixel - 128 in int8, or unchanged in uint8.

    An input with another range than [0, 1] passes if its quantization covers the range, at most a step apart.

    For a float32 input, the outputs of the QUANTIZE operators that read it are checked. Layers that stay in float read
    pixel / 255.

    Args:
        flatbuffer: .tflite with one input.
        spec: input of the model.

    Raises:
        EdgeferError: the scale is not 1/255, or the zero point differs.
    """
    low, high = spec.range
    graph = Flatbuffer(flatbuffer)
    (tensor,) = graph.inputs
    quantized = [tensor]
    if graph.dtype(tensor) == "float32":
        quantized = [op.outputs[0] for op in graph.ops if op.kind == "QUANTIZE" and op.inputs[0] == tensor]
    for index in quantized:
        dtype, (scales, zero_points) = graph.dtype(index), graph.scales(index)
        lowest = {"int8": -128, "uint8": 0}.get(dtype, math.nan)
        step = (high - low) / 255
        ok = scales.size == 1 and abs(scales[0] / step - 1) <= (1e-6 if spec.is_plain else 0.01)
        if not (ok and abs(zero_points[0] - (lowest - low / step)) <= (0 if spec.is_plain else 1)):
            raise EdgeferError(
                "the quantization of the input is not the identity on pixels",
                why=f"{dtype}, scale {scales.tolist()}, zero point {zero_points.tolist()}; "
                f"expected int8 or uint8, scale {step:.6g}, and the range {low:g} to {high:g}",
            )
    return flatbuffer
