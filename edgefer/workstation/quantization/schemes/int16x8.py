"""int16x8: int8 weights with int16 activations, for nets that lose too much in int8; input and output stay float32.

Activations are symmetric and have 256 times as many steps as in int8
(https://ai.google.dev/edge/litert/models/post_training_integer_quant_16x8). XNNPACK has no such kernels, so expect
it to be far slower than float32 wherever that runs on XNNPACK.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.converter import convert as to_flatbuffer, representative
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "TAKES", "convert"]

DESCRIPTION = "int8 weights, int16 activations, calibrated after training"
NEEDS_CALIBRATION = True
NEEDS_TRAINING = False
TAKES = ()


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None, recipe: QuantizationOptions) -> bytes:
    """The flatbuffer of a float Keras model, calibrated with uint8 (n, h, w) faces; ``recipe`` is not looked at."""
    if calibration is None:
        raise TypeError("int16x8 needs calibration faces")

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: representative(calibration)
        kernels = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [kernels]

    return to_flatbuffer(model, configure)
