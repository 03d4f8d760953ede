"""``vgg``: blocks of two 3x3 convolutions with BN and ReLU, then max-pool and dropout; each block doubles the width.

    block b  2 x [Conv 3x3 - BN - ReLU], max-pool, Dropout     width << b channels, half the side
    head     Flatten, Dense - BN - ReLU - Dropout, Dense -> logits

The design is from Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015, with batch normalization
added. Four of the reference systems use this network at different widths.
"""

from __future__ import annotations

from typing import Any

from edgefer.workstation.networks.blocks import conv_bn_relu, logits

__all__ = ["build"]


def build(
    keras: Any,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    width: int = 64,
    blocks: int = 3,
    padded: bool = True,
    dropout: float = 0.3,
    dropout_growth: float = 0.1,
    dense: int = 256,
    dense_dropout: float = 0.5,
) -> Any:
    """Build a functional model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).

    Args:
        keras: framework, ``keras`` or ``tf_keras``.
        input_shape: (height, width, 1).
        classes: number of logits.
        width: channels of the first block.
        blocks: number of blocks; each halves the side.
        padded: pad the second convolution of each block. Without padding it removes one pixel at each edge, so Flatten
            outputs fewer features.
        dropout: dropout rate of the first block.
        dropout_growth: increase of the dropout rate per further block.
        dense: features of the hidden layer.
        dense_dropout: dropout rate of the hidden layer.
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, name="face")
    x = inputs
    for index in range(blocks):
        rate = dropout + index * dropout_growth
        x = _block(layers, x, width << index, padded=padded, dropout=rate, name=f"block{index + 1}")
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(dense, use_bias=False, name="dense")(x)
    x = layers.BatchNormalization(momentum=0.9, name="dense_bn")(x)
    x = layers.ReLU(name="dense_relu")(x)
    x = layers.Dropout(dense_dropout, name="dropout")(x)
    return keras.Model(inputs, logits(layers, x, classes), name="vgg")


def _block(layers: Any, x: Any, filters: int, *, padded: bool, dropout: float, name: str) -> Any:
    x = conv_bn_relu(layers, x, filters, name=f"{name}_1")
    x = conv_bn_relu(layers, x, filters, padding="same" if padded else "valid", name=f"{name}_2")
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)
