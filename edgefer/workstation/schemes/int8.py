"""int8: full-integer post-training quantization, per-channel weights, input pixel - 128, logits out.

The arithmetic is TensorFlow Lite's (https://ai.google.dev/edge/litert/models/quantization_spec); ranges are the minimum
and maximum that the calibration faces produce.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.convert import convert as to_flatbuffer

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "convert"]

DESCRIPTION = "int8 weights, activations, input and output, calibrated after training"
NEEDS_CALIBRATION = True


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None) -> bytes:
    """The flatbuffer of a float Keras model, calibrated with uint8 (n, h, w) faces."""
    if calibration is None:
        raise TypeError("int8 needs calibration faces")
    return to_flatbuffer(model, calibration=calibration)
