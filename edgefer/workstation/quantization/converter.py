"""Convert a Keras model to a flatbuffer; the only module that calls the TensorFlow Lite converter.

    flatbuffer = convert(model)                     # float32
    flatbuffer = convert(model, configure)          # configure(tf, converter) sets the scheme; see schemes/

The result has batch 1 and operator versions that tflite-runtime 2.14 supports.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import EdgeferError
from edgefer.processes import suppress_native_output
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer

__all__ = ["convert", "converting", "representative", "require_identity_input"]


def convert(model: Any, configure: Callable[[Any, Any], None] | None = None) -> bytes:
    """Convert a Keras model, float32 (n, h, w, 1) in [0, 1] to logits, to .tflite bytes with batch 1.

    Args:
        configure: function of TensorFlow and the TFLiteConverter that sets the scheme; None for float32.

    Raises:
        EdgeferError: the converter fails.
    """
    import tensorflow as tf

    keras = _keras_of(model)
    # A dynamic batch in the graph costs tflite-runtime 2.14 a factor of six; a board has one face at a time anyway.
    fixed_input = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="face")
    fixed = keras.Model(fixed_input, model(fixed_input), name="edgefer")
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    # In dynamic range, per-channel Dense weights need FULLY_CONNECTED version 12, which no runtime before 2.17 has.
    converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    if configure is not None:
        configure(tf, converter)
    with converting("the model cannot be converted"):
        return _with_short_names(converter.convert())


@contextlib.contextmanager
def converting(failure: str) -> Iterator[None]:
    """Suppress output of the converter; re-raise its exceptions as EdgeferError with the message ``failure``."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError  # what tf.lite raises and does not export

    try:
        with suppress_native_output():
            yield
    except (ValueError, RuntimeError, ConverterError, tf.errors.OpError) as error:
        *_, reason = [type(error).__name__, *str(error).strip().splitlines()]
        raise EdgeferError(failure, why=reason) from error


def _with_short_names(model: bytes) -> bytes:
    """Name tensors after their layers; the converter's names take a tenth of a small int8 model."""
    graph = Flatbuffer(model)
    graph.name_after_layers()
    return graph.to_bytes()


def _keras_of(model: Any) -> Any:
    """Return the framework of a model: keras or tf_keras."""
    return importlib.import_module(type(model).__module__.partition(".")[0])


def representative(faces: npt.NDArray[np.uint8]) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Of uint8 (n, h, w): float32 (1, h, w, 1) images in [0, 1], the first made to reach both ends of the range.

    The input's range must be exactly [0, 1], or its quantization is not the identity on pixels. Two corner pixels of
    one face see to that and leave the ranges of the layers behind it as they are.
    """
    pinned = faces[:1].copy()
    pinned[0, 0, 0], pinned[0, -1, -1] = 0, 255
    for face in np.concatenate([pinned, faces]):
        yield [face[None, ..., None].astype(np.float32) / np.float32(255)]


def require_identity_input(flatbuffer: bytes) -> bytes:
    """The flatbuffer, if its input becomes exactly pixel - 128 (of a uint8 input: is the pixel); else EdgeferError.

    A float input is followed to where it is quantized; layers that take it as it is see pixel / 255.
    """
    graph = Flatbuffer(flatbuffer)
    (tensor,) = graph.inputs
    quantized = [tensor]
    if graph.dtype(tensor) == "float32":
        quantized = [op.outputs[0] for op in graph.ops if op.kind == "QUANTIZE" and op.inputs[0] == tensor]
    for each in quantized:
        dtype, (scales, zero_points) = graph.dtype(each), graph.scales(each)
        expected = {"int8": -128, "uint8": 0}.get(dtype)
        if expected is None or zero_points.tolist() != [expected] or abs(scales[0] * 255 - 1) > 1e-6:
            found = f"{dtype}, scale {scales.tolist()}, zero point {zero_points.tolist()}"
            raise EdgeferError("the input is not the identity on pixels", why=f"{found} came, scale 1/255 was expected")
    return flatbuffer
