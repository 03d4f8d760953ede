"""dynamic: int8 weights, activations quantized anew for each face; needs no calibration.

Each layer finds the range of its input while it runs, so input and output stay float32
(https://ai.google.dev/edge/litert/models/post_training_quant). Kernels without an int8 form compute in float.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.converter import convert as to_flatbuffer
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "TAKES", "convert"]

DESCRIPTION = "int8 weights, ranges of activations found while it runs"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False
TAKES = ()


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None, recipe: QuantizationOptions) -> bytes:
    """The flatbuffer of a float Keras model; ``calibration`` and ``recipe`` are not looked at."""

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    return to_flatbuffer(model, configure)
