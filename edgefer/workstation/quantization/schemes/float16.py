"""float16: half the bytes of float32; the arithmetic stays float32 wherever there are no half-precision units.

The weights are stored as float16 and widened when the model is loaded
(https://ai.google.dev/edge/litert/models/post_training_float16_quant).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.converter import convert as to_flatbuffer
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "TAKES", "convert"]

DESCRIPTION = "float16 weights, float arithmetic"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False
TAKES = ()


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None, recipe: QuantizationOptions) -> bytes:
    """The flatbuffer of a float Keras model; ``calibration`` and ``recipe`` are not looked at."""

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return to_flatbuffer(model, configure)
