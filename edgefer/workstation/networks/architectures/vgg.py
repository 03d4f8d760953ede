"""``vgg``: blocks of two 3x3 convolutions with BN and ReLU, then max-pool and dropout; each block doubles the width.

    block b  2 x [Conv 3x3 - BN - ReLU], max-pool, Dropout     width << b channels, half the side
    head     Flatten, Dense - BN - ReLU - Dropout, Dense -> logits

The design is from Simonyan and Zisserman, "Very Deep Convolutional Networks", ICLR 2015, with batch normalization
added. Four of the reference systems use this network at different widths.
"""

from __future__ import annotations

from typing import Any

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

    def normalize(x: Any, name: str) -> Any:
        x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    inputs = keras.Input(input_shape, name="face")
    x = inputs
    for block in range(blocks):
        for index in (1, 2):
            name = f"block{block + 1}_{index}"
            padding = "same" if padded or index == 1 else "valid"
            x = layers.Conv2D(width << block, 3, padding=padding, use_bias=False, name=f"{name}_conv")(x)
            x = normalize(x, name)
        x = layers.MaxPooling2D(2, name=f"block{block + 1}_pool")(x)
        x = layers.Dropout(dropout + block * dropout_growth, name=f"block{block + 1}_dropout")(x)
    x = layers.Flatten(name="flatten")(x)
    x = normalize(layers.Dense(dense, use_bias=False, name="dense")(x), "dense")
    x = layers.Dropout(dense_dropout, name="dropout")(x)
    # Keep the logits in float32 even when other layers train in bfloat16: the loss needs the precision.
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="vgg")
