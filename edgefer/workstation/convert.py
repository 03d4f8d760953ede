"""Keras model -> flatbuffer: the only place that talks to TensorFlow Lite's converter.

    flatbuffer = convert(model)                                  # float32
    flatbuffer = convert(model, calibration=faces)               # int8 throughout, input exactly pixel - 128

Both come out with batch 1 and with operator versions that tflite-runtime 2.14 knows.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.board.runtime import choose
from edgefer.errors import EdgeferError
from edgefer.quiet import quiet

__all__ = ["convert"]


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None = None) -> bytes:
    """The TensorFlow Lite flatbuffer of a Keras model from float32 (n, h, w, 1) in [0, 1] to logits.

    Args:
        calibration: uint8 (n, h, w) faces that set the ranges of an int8 model; None keeps float32.

    Raises:
        EdgeferError: the converter fails, or the int8 input is not exactly pixel - 128.
    """
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError  # what tf.lite raises and does not export

    keras = _keras_of(model)
    # A dynamic batch in the graph costs tflite-runtime 2.14 a factor of six; a board has one face at a time anyway.
    fixed_input = keras.Input(batch_shape=(1, *model.input_shape[1:]), name="face")
    fixed = keras.Model(fixed_input, model(fixed_input), name="edgefer")
    converter = tf.lite.TFLiteConverter.from_keras_model(fixed)
    if calibration is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([image] for image in _representative(calibration))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        # Per-channel Dense weights need FULLY_CONNECTED version 12, which no runtime before 2.17 has.
        converter._experimental_disable_per_channel_quantization_for_dense_layers = True
    try:
        with quiet():
            flatbuffer = bytes(converter.convert())
    except (ValueError, RuntimeError, ConverterError, tf.errors.OpError) as error:
        *_, reason = [type(error).__name__, *str(error).strip().splitlines()]
        raise EdgeferError("the model cannot be converted", why=reason) from error
    if calibration is not None:
        _check_identity_input(flatbuffer)
    return flatbuffer


def _keras_of(model: Any) -> Any:
    """The framework that a model was built in: keras or tf_keras."""
    return importlib.import_module(type(model).__module__.partition(".")[0])


def _representative(faces: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.float32]]:
    """float32 (1, h, w, 1) images in [0, 1], the first of which is made to reach both ends of the range.

    The input's range must be exactly [0, 1], or its quantization is not the identity on pixels. Two corner pixels of
    one face see to that and leave the ranges of the layers behind it as they are.
    """
    pinned = faces[:1].copy()
    pinned[0, 0, 0], pinned[0, -1, -1] = 0, 255
    for face in np.concatenate([pinned, faces]):
        yield face[None, ..., None].astype(np.float32) / np.float32(255)


def _check_identity_input(flatbuffer: bytes) -> None:
    params = choose().open_model(flatbuffer).input.params
    if params.dtype != "int8" or abs(params.scale * 255 - 1) > 1e-6 or params.zero_point != -128:
        raise EdgeferError("the int8 input is not pixel - 128", why=f"{params} came, scale 1/255 was expected")
