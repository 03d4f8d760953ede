"""``vgg``: blocks of two 3x3 convolutions, each with BN and ReLU, then max-pool and dropout; twice as wide a block.

    block b  2 x [Conv 3x3 - BN - ReLU], max-pool, Dropout     width << b channels, half the side
    head     Flatten, Dense - BN - ReLU - Dropout, Dense -> logits

The plan is Simonyan and Zisserman's, "Very Deep Convolutional Networks", ICLR 2015, with the normalization that came
later. Four of the reference systems are this net at different widths.
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
    """A functional model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).

    Args:
        keras: the framework to build in, ``keras`` or ``tf_keras``.
        input_shape: (height, width, 1).
        classes: number of logits.
        width: channels of the first block.
        blocks: how many; each halves the side.
        padded: whether the second convolution of a block keeps the side; without padding it takes a pixel off each
            edge, so that Flatten leaves fewer features.
        dropout: share of what the first block dropped in training; each further block drops ``dropout_growth`` more.
        dense: features of the hidden layer.
        dense_dropout: share of them that is dropped in training.
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
    # float32 even where the rest trains in bfloat16: the loss needs the logits' last bits.
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="vgg")
