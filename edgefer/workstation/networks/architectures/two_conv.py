"""``two_conv``: the classic compact FER2013 network of many tutorials.

    Conv32 - ReLU - max-pool - Conv64 - ReLU - max-pool - Flatten - Dense128 - ReLU - Dropout - Dense -> logits

The convolutions are 3x3 without padding. The first Dense layer has nine tenths of the parameters.
"""

from __future__ import annotations

from typing import Any

from edgefer.workstation.networks.blocks import logits

__all__ = ["build"]


def build(keras: Any, *, input_shape: tuple[int, int, int], classes: int, dropout: float = 0.5) -> Any:
    """Build a functional model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).

    Args:
        keras: framework, ``keras`` or ``tf_keras``.
        input_shape: (height, width, 1).
        classes: number of logits.
        dropout: fraction of the 128 features dropped during training.
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, name="face")
    x = inputs
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{filters}")(x)
        x = layers.MaxPooling2D(2, name=f"pool{filters}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(128, activation="relu", name="dense128")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, logits(layers, x, classes), name="two_conv")
