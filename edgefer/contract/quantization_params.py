"""Affine quantization, real = scale * (q - zero_point), and the only rounding rule in edgefer.

    params = QuantParams(scale=1 / 255, zero_point=-128, dtype="int8")
    quantize(np.float32([0.0, 1.0]), params)        # [-128, 127]
    dequantize(np.int8([-128, 127]), params)        # [0.0, 1.0]

The rule is that of TensorFlow Lite's AffineQuantize (tensorflow/lite/kernels/internal/reference/quantize.h): divide,
round half away from zero, add the zero point, saturate. It divides in float32, edgefer in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["QuantParams", "dequantize", "quantize"]


@dataclass(frozen=True)
class QuantParams:
    """How the integers of one tensor stand for real numbers.

    Attributes:
        scale: real units per step; 0.0 where the tensor is not quantized.
        zero_point: the integer that stands for 0.0.
        dtype: numpy's name of the tensor's type, such as "int8", "uint8", "int16" or "float32".
    """

    scale: float
    zero_point: int
    dtype: str

    @property
    def is_quantized(self) -> bool:
        """Whether the tensor holds integers that need scale and zero point to be read."""
        return self.scale != 0.0


def quantize(real: npt.NDArray[np.floating[Any]], params: QuantParams) -> npt.NDArray[Any]:
    """Real numbers of any shape -> integers of ``params.dtype``; unquantized params only cast."""
    if not params.is_quantized:
        return real.astype(params.dtype)
    limits = np.iinfo(params.dtype)
    steps = real.astype(np.float64) / np.float64(params.scale)
    # numpy's round() goes to even; TensorFlow Lite goes away from zero.
    rounded = np.trunc(steps + np.copysign(0.5, steps)) + params.zero_point
    return np.asarray(np.clip(rounded, limits.min, limits.max), params.dtype)


def dequantize(quantized: npt.NDArray[Any], params: QuantParams) -> npt.NDArray[np.float32]:
    """Integers of ``params.dtype`` and any shape -> float32; floats are passed through."""
    if not params.is_quantized:
        return quantized.astype(np.float32)
    # int8 minus zero point overflows int8, so subtract in a wide integer.
    return np.asarray((quantized.astype(np.int64) - params.zero_point) * np.float64(params.scale), np.float32)
