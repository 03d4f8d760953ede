"""Building blocks of convolutional networks, for ``keras`` and ``tf_keras`` alike.

    x = conv_bn_relu(layers, inputs, 16, name="stem")
    x = residual_stage(layers, x, 32, blocks=2, strides=2, name="stage2")
    logits = pooled_logits(layers, x, classes=7, dropout=0.2)

Batch normalization follows every convolution, then ReLU or the addition. Converters and quantization-aware training
fold the convolution and its normalization into one int8 kernel.
"""

from __future__ import annotations

from typing import Any

__all__ = ["conv_bn", "conv_bn_relu", "logits", "pooled_logits", "residual_block", "residual_stage"]


def conv_bn(
    layers: Any, x: Any, filters: int, *, size: int = 3, strides: int = 1, padding: str = "same", name: str
) -> Any:
    """Apply a convolution without bias, then batch normalization; name the layers ``name``_conv and ``name``_bn."""
    x = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False, name=f"{name}_conv")(x)
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)


def conv_bn_relu(layers: Any, x: Any, filters: int, *, strides: int = 1, padding: str = "same", name: str) -> Any:
    """Apply a 3x3 convolution, batch normalization and ReLU; name the last layer ``name``_relu."""
    return layers.ReLU(name=f"{name}_relu")(conv_bn(layers, x, filters, strides=strides, padding=padding, name=name))


def residual_block(layers: Any, x: Any, filters: int, *, strides: int = 1, name: str) -> Any:
    """Apply two 3x3 convolutions with a shortcut, which is a 1x1 convolution if the shape changes.

    He et al., "Deep Residual Learning", CVPR 2016, figure 2.
    """
    shortcut = x
    if strides != 1 or x.shape[-1] != filters:
        shortcut = conv_bn(layers, x, filters, size=1, strides=strides, name=f"{name}_shortcut")
    x = layers.ReLU(name=f"{name}_relu1")(conv_bn(layers, x, filters, strides=strides, name=f"{name}_1"))
    x = conv_bn(layers, x, filters, name=f"{name}_2")
    return layers.ReLU(name=f"{name}_relu2")(layers.Add(name=f"{name}_add")([x, shortcut]))


def residual_stage(layers: Any, x: Any, filters: int, *, blocks: int, strides: int = 1, name: str) -> Any:
    """Apply several residual blocks, the first of them with ``strides``."""
    for index in range(blocks):
        block_strides = strides if index == 0 else 1
        x = residual_block(layers, x, filters, strides=block_strides, name=f"{name}_block{index + 1}")
    return x


def pooled_logits(layers: Any, x: Any, *, classes: int, dropout: float) -> Any:
    """Apply global average pooling, dropout and a dense layer."""
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return logits(layers, x, classes)


def logits(layers: Any, x: Any, classes: int) -> Any:
    """Apply the last dense layer of a classifier."""
    # Keep the logits in float32 even when other layers train in bfloat16: the loss needs the precision.
    return layers.Dense(classes, dtype="float32", name="logits")(x)
