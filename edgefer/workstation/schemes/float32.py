"""float32: no quantization, the reference of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.convert import convert as to_flatbuffer

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "convert"]

DESCRIPTION = "float weights and arithmetic"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None) -> bytes:
    """The flatbuffer of a float Keras model; ``calibration`` is not looked at."""
    return to_flatbuffer(model)
