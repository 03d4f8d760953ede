"""float32: no quantization, the reference of all others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.convert import convert as to_flatbuffer
from edgefer.workstation.recipe import Recipe

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "TAKES", "convert"]

DESCRIPTION = "float weights and arithmetic"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False
TAKES = ()


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None, recipe: Recipe) -> bytes:
    """The flatbuffer of a float Keras model; ``calibration`` and ``recipe`` are not looked at."""
    return to_flatbuffer(model)
