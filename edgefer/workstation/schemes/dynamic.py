"""dynamic: int8 weights, activations quantized anew for each face; needs no calibration.

Each layer finds the range of its input while it runs, so input and output stay float32
(https://ai.google.dev/edge/litert/models/post_training_quant). Kernels without an int8 form compute in float.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.convert import convert as to_flatbuffer

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "convert"]

DESCRIPTION = "int8 weights, ranges of activations found while it runs"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None) -> bytes:
    """The flatbuffer of a float Keras model; ``calibration`` is not looked at."""

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    return to_flatbuffer(model, configure)
