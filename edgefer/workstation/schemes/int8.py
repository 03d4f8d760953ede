"""int8: full-integer post-training quantization, per-channel weights, input pixel - 128, logits out.

The arithmetic is TensorFlow Lite's (https://ai.google.dev/edge/litert/models/quantization_spec); ranges are the minimum
and maximum that the calibration faces produce.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.convert import convert as to_flatbuffer, representative, require_identity_input

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "convert"]

DESCRIPTION = "int8 weights, activations, input and output, calibrated after training"
NEEDS_CALIBRATION = True
NEEDS_TRAINING = False


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None) -> bytes:
    """The flatbuffer of a float Keras model, calibrated with uint8 (n, h, w) faces."""
    if calibration is None:
        raise TypeError("int8 needs calibration faces")

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: representative(calibration)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8

    return require_identity_input(to_flatbuffer(model, configure))
