"""int8: full-integer post-training quantization, per-channel weights, input pixel - 128, logits out.

calibrator.py describes how the calibration faces set ranges, weights and biases.
"""

from __future__ import annotations

from edgefer.workstation.quantization.converter import require_identity_input
from edgefer.workstation.quantization.flatbuffer_editor import compact
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "SUPPORTED_OPTIONS", "convert"]

DESCRIPTION = "int8 weights, activations, input and output, calibrated after training"
NEEDS_CALIBRATION = True
NEEDS_TRAINING = False
SUPPORTED_OPTIONS = (
    "io",
    "per_channel",
    "dense_per_channel",
    "calibration_method",
    "rounding",
    "bias_correction",
    "bit_exact",
    "float_layers",
)


def convert(network: FloatNetwork, options: QuantizationOptions) -> bytes:
    """Return the flatbuffer of ``network``, calibrated with its faces."""
    return compact(require_identity_input(network.calibrator.quantize(options), network.spec))
