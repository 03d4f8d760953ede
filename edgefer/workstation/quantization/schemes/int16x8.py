"""int16x8: int8 weights with int16 activations, for networks that lose too much in int8; input and output stay float32.

Activations are symmetric and have 256 times as many steps as in int8
(https://ai.google.dev/edge/litert/models/post_training_integer_quant_16x8). XNNPACK has no such kernels, so it
is far slower than float32 with XNNPACK.
"""

from __future__ import annotations

from typing import Any

from edgefer.workstation.quantization.converter import convert as to_flatbuffer, representative_images
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions

__all__ = ["DESCRIPTION", "NEEDS_CALIBRATION", "NEEDS_TRAINING", "SUPPORTED_OPTIONS", "convert"]

DESCRIPTION = "int8 weights, int16 activations, calibrated after training"
NEEDS_CALIBRATION = True
NEEDS_TRAINING = False
SUPPORTED_OPTIONS = ()


def convert(network: FloatNetwork, options: QuantizationOptions) -> bytes:
    """Return the flatbuffer of ``network``, calibrated with its faces; the scheme has no options."""
    faces = network.require_faces()

    def configure(tf: Any, converter: Any) -> None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: representative_images(faces, network.spec)
        kernels = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        converter.target_spec.supported_ops = [kernels]

    return to_flatbuffer(network.model, configure)
