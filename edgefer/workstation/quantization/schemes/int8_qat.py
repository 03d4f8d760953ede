"""int8_qat: an int8 model from quantization-aware training.

Training refines the ranges that calibration initializes. See edgefer/workstation/quantization/qat/finetune.py.
"""

from __future__ import annotations

from typing import Any

from edgefer.workstation.quantization.converter import convert as to_flatbuffer, require_identity_input
from edgefer.workstation.quantization.flatbuffer_editor import compact
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "SUPPORTED_OPTIONS", "convert"]

DESCRIPTION = "int8 with ranges and weights from quantization-aware training"
NEEDS_CALIBRATION = True
NEEDS_TRAINING = True
SUPPORTED_OPTIONS = ("io",)


def convert(network: FloatNetwork, options: QuantizationOptions) -> bytes:
    """Return the flatbuffer of a network with fake quantization, which stores its own ranges."""

    def configure(tf: Any, converter: Any) -> None:
        # A representative data set or int8-only kernels would make the converter calibrate again.
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = converter.inference_output_type = getattr(tf, options.io or "int8")

    return compact(require_identity_input(to_flatbuffer(network.model, configure), network.spec))
