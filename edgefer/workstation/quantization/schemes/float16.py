"""float16: half the bytes of float32; arithmetic stays float32 on processors without half-precision units.

The weights are stored as float16 and converted to float32 when the model is loaded
(https://ai.google.dev/edge/litert/models/post_training_float16_quant).
"""

from __future__ import annotations

from typing import Any

from edgefer.workstation.quantization.converter import convert as to_flatbuffer
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "SUPPORTED_OPTIONS", "convert"]

DESCRIPTION = "float16 weights, float arithmetic"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False
SUPPORTED_OPTIONS = ()


def convert(network: FloatNetwork, options: QuantizationOptions) -> bytes:
    """Return the flatbuffer of ``network``; the scheme has no options."""

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]

    return to_flatbuffer(network.model, configure)
