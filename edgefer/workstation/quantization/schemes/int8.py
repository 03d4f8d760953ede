"""int8: full-integer post-training quantization, per-channel weights, input pixel - 128, logits out.

calibrator.py describes how the calibration faces set ranges, weights and biases.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert as to_flatbuffer, require_identity_input
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "TAKES", "convert"]

DESCRIPTION = "int8 weights, activations, input and output, calibrated after training"
NEEDS_CALIBRATION = True
NEEDS_TRAINING = False
TAKES = ("io", "per_channel", "dense_per_channel", "ranges", "rounding", "bias_correction", "float_layers")


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None, recipe: QuantizationOptions) -> bytes:
    """The flatbuffer of a float Keras model, calibrated with uint8 (n, h, w) faces."""
    if calibration is None:
        raise TypeError("int8 needs calibration faces")
    return require_identity_input(Calibrator(to_flatbuffer(model), calibration).quantize(recipe))
