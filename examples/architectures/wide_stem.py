"""``wide_stem``: a 5x5 stem with stride 2, two convolutions with stride 2, and a linear head.

stem     Conv 5x5, stride 2 - BN - ReLU        48 -> 24
body     Conv 3x3, stride 2 - BN - ReLU, x 2   24 -> 12 -> 6
head     global average, Dense -> logits
"""

from __future__ import annotations

from typing import Any

__all__ = ["build"]


def build(keras: Any, *, input_shape: tuple[int, int, int], classes: int, width: int = 16) -> Any:
    """Return a functional model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).

    Args:
        keras: ``keras`` or ``tf_keras``; both build the same layers in the same order.
        input_shape: (height, width, 1).
        classes: number of logits.
        width: channels of the stem; the body has twice and four times as many.
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, name="face")
    x = inputs
    for name, filters, size in (("stem", width, 5), ("body1", 2 * width, 3), ("body2", 4 * width, 3)):
        x = layers.Conv2D(filters, size, strides=2, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(name=f"{name}_bn")(x)
        x = layers.ReLU(name=f"{name}_relu")(x)
    x = layers.GlobalAveragePooling2D(name="average")(x)
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="wide_stem")
