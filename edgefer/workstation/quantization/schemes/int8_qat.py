"""int8_qat: an int8 model after some epochs of training with simulated rounding.

Training refines the ranges that calibration initializes. See edgefer/workstation/quantization/qat/finetune.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.workstation.quantization.converter import convert as to_flatbuffer, require_identity_input
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "TAKES", "convert"]

DESCRIPTION = "int8 as by int8, after training that simulates the rounding"
NEEDS_CALIBRATION = True
NEEDS_TRAINING = True
TAKES = ("io",)


def convert(model: Any, *, calibration: npt.NDArray[np.uint8] | None, recipe: QuantizationOptions) -> bytes:
    """The flatbuffer of a model that simulates int8, with its own ranges; ``calibration`` is not looked at."""

    def configure(tf: Any, converter: Any) -> None:
        # With a representative data set, or int8 kernels asked for, the converter would calibrate anew.
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, recipe.io or "int8")

    return require_identity_input(to_flatbuffer(model, configure))
