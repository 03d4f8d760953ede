"""Implement affine quantization, real = scale * (q - zero_point), with the only rounding rule in edgefer.

    params = QuantParams(scale=1 / 255, zero_point=-128, dtype="int8")
    quantize(np.float32([0.0, 1.0]), params)        # [-128, 127]
    dequantize(np.int8([-128, 127]), params)        # [0.0, 1.0]

The rule follows AffineQuantize of TensorFlow Lite (tensorflow/lite/kernels/internal/reference/quantize.h): divide,
round half away from zero, add the zero point, saturate. TensorFlow Lite divides in float32, edgefer in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["QuantParams", "dequantize", "quantize"]


@dataclass(frozen=True)
class QuantParams:
    """Mapping between the integers of a tensor and real numbers.

    Attributes:
        scale: real units per step; 0.0 for a tensor that is not quantized.
        zero_point: the integer that represents 0.0.
        dtype: numpy name of the tensor's type, for example "int8", "uint8", "int16" or "float32".
    """

    scale: float
    zero_point: int
    dtype: str

    @property
    def is_quantized(self) -> bool:
        """True if scale and zero point are needed to interpret the values."""
        return self.scale != 0.0


def quantize(real: npt.NDArray[np.floating[Any]], params: QuantParams) -> npt.NDArray[Any]:
    """Quantize real numbers.

    Args:
        real: floats of any shape.
        params: scale, zero point and dtype of the result; without a scale the numbers are only cast.

    Returns:
        An array of ``params.dtype`` with the shape of ``real``.
    """
    if not params.is_quantized:
        return real.astype(params.dtype)
    limits = np.iinfo(params.dtype)
    steps = real.astype(np.float64) / np.float64(params.scale)
    # numpy.round() rounds half to even; TensorFlow Lite rounds half away from zero.
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + params.zero_point
    return np.asarray(np.clip(rounded, limits.min, limits.max), params.dtype)


def dequantize(quantized: npt.NDArray[Any], params: QuantParams) -> npt.NDArray[np.float32]:
    """Convert integers of ``params.dtype`` and any shape to float32; floats keep their values."""
    if not params.is_quantized:
        return quantized.astype(np.float32)
    # An int8 minus a zero point can overflow int8, so the subtraction uses a wide integer.
    return np.asarray((quantized.astype(np.int64) - params.zero_point) * np.float64(params.scale), np.float32)
