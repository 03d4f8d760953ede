"""float32: no quantization; the reference for all other schemes."""

from __future__ import annotations

from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "SUPPORTED_OPTIONS", "convert"]

DESCRIPTION = "float weights and arithmetic"
NEEDS_CALIBRATION = False
NEEDS_TRAINING = False
SUPPORTED_OPTIONS = ()


def convert(network: FloatNetwork, options: QuantizationOptions) -> bytes:
    """Return the flatbuffer of ``network``; the scheme has no options."""
    return network.flatbuffer
