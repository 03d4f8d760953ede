"""float32: no quantization, the reference of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.converter import convert as to_flatbuffer
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "TAKES", "convert"]

DESCRIPTION = "float weights and arithmetic"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False
TAKES = ()


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None, recipe: QuantizationOptions) -> bytes:
    """The flatbuffer of a float Keras model; ``calibration`` and ``recipe`` are not looked at."""
    return to_flatbuffer(model)
