"""``compact``: a residual network of plain 3x3 convolutions, designed for int8 on small processors.

    stem     Conv 3x3 - BN - ReLU, max-pool            48 -> 24
    stage 1  depth x block(width)                      24
    stage 2  depth x block(2 width), first stride 2    12
    stage 3  depth x block(4 width), first stride 2    6
    head     global average, Dense -> logits

XNNPACK has an int8 kernel for each operator (CONV_2D, MAX_POOL_2D, ADD, MEAN, FULLY_CONNECTED). blocks.py defines the
residual block.
"""

from __future__ import annotations

from typing import Any

from edgefer.workstation.networks.blocks import conv_bn_relu, pooled_logits, residual_stage

__all__ = ["build"]


def build(
    keras: Any,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    stem: int = 16,
    width: int = 32,
    depth: int = 2,
    dropout: float = 0.2,
) -> Any:
    """Build a functional model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).

    Args:
        keras: framework, ``keras`` or ``tf_keras``; both build the same layers in the same order.
        input_shape: (height, width, 1).
        classes: number of logits.
        stem: channels of the first convolution.
        width: channels of stage 1; stages 2 and 3 have two and four times as many.
        depth: residual blocks per stage.
        dropout: fraction of the pooled features dropped during training.
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, name="face")
    x = conv_bn_relu(layers, inputs, stem, name="stem")
    x = layers.MaxPooling2D(2, name="stem_pool")(x)
    x = residual_stage(layers, x, width, blocks=depth, name="stage1")
    x = residual_stage(layers, x, 2 * width, blocks=depth, strides=2, name="stage2")
    x = residual_stage(layers, x, 4 * width, blocks=depth, strides=2, name="stage3")
    return keras.Model(inputs, pooled_logits(layers, x, classes=classes, dropout=dropout), name="compact")
