"""dynamic: int8 weights and activations quantized for each face at run time; needs no calibration.

Each layer computes the range of its input at run time, so input and output stay float32
(https://ai.google.dev/edge/litert/models/post_training_quant). Kernels without an int8 implementation compute in float.
"""

from __future__ import annotations

from typing import Any

from edgefer.workstation.quantization.converter import convert as to_flatbuffer
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "SUPPORTED_OPTIONS", "convert"]

DESCRIPTION = "int8 weights, ranges of activations computed at run time"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False
SUPPORTED_OPTIONS = ()


def convert(network: FloatNetwork, options: QuantizationOptions) -> bytes:
    """Return the flatbuffer of ``network``; the scheme has no options."""

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]

    return to_flatbuffer(network.model, configure)
