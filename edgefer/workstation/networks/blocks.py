"""Building blocks of residual networks: a convolution with batch normalization, and a residual block.

    x = layers.ReLU(name="stem_relu")(convolve(layers, inputs, 16, name="stem"))
    x = block(layers, x, 32, strides=2, name="stage2_block1")

Batch normalization follows every convolution, then ReLU or the addition. Converters and quantization-aware training
fold the convolution and its normalization into one int8 kernel. The block is from He et al., "Deep Residual Learning",
CVPR 2016, figure 2.
"""

from __future__ import annotations

from typing import Any

__all__ = ["block", "convolve"]


def convolve(layers: Any, x: Any, filters: int, *, size: int = 3, strides: int = 1, name: str) -> Any:
    """Apply a convolution without bias, then batch normalization; name the layers ``name``_conv and ``name``_bn."""
    x = layers.Conv2D(filters, size, strides=strides, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)


def block(layers: Any, x: Any, filters: int, *, strides: int, name: str) -> Any:
    """Apply two 3x3 convolutions with a shortcut, which is a 1x1 convolution if the shape changes."""
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = convolve(layers, x, filters, size=1, strides=strides, name=f"{name}_shortcut")
    x = layers.ReLU(name=f"{name}_relu1")(convolve(layers, x, filters, strides=strides, name=f"{name}_1"))
    x = convolve(layers, x, filters, name=f"{name}_2")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, shortcut]))
