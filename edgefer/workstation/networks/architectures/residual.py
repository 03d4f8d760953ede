"""``residual``: a residual net of plain 3x3 convolutions that looks at the whole picture for longer than ``compact``.

    stem     Conv 3x3 - BN - ReLU                                  48
    stage 1  depths[0] x block(widths[0])                          48
    stage 2  depths[1] x block(widths[1]), first stride 2          24
    ...      as many stages as there are widths                    12, 6
    head     global average, Dense -> logits

A stage with twice the side does four times the arithmetic with the same number of weights. Where the bytes of a model
are scarcer than its microseconds, that is the better bargain. blocks.py has the residual block.

Keep to 16 channels or more: with a stem of 8 at 48 x 48, TensorFlow 2.21 wrote beyond its memory in a float32 training
and was killed ("unaligned tcache chunk"), each time on the processor it was tried on. It is in its oneDNN kernels;
TF_ENABLE_ONEDNN_OPTS=0 goes around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgefer.workstation.networks.blocks import block, convolve

__all__ = ["build"]


def build(
    keras: Any,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    stem: int = 16,
    widths: Sequence[int] = (16, 32, 64),
    depths: Sequence[int] = (1, 2, 2),
    dropout: float = 0.2,
) -> Any:
    """A functional model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).

    Args:
        keras: the framework to build in, ``keras`` or ``tf_keras``: both get the same layers in the same order.
        input_shape: (height, width, 1).
        classes: number of logits.
        stem: channels of the first convolution.
        widths: channels of each stage.
        depths: residual blocks in each stage.
        dropout: share of the averaged features that are dropped in training.
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, name="face")
    x = layers.ReLU(name="stem_relu")(convolve(layers, inputs, stem, name="stem"))
    for stage, (filters, blocks) in enumerate(zip(widths, depths, strict=True)):
        for index in range(blocks):
            strides = 2 if stage > 0 and index == 0 else 1
            x = block(layers, x, filters, strides=strides, name=f"stage{stage + 1}_block{index + 1}")
    x = layers.GlobalAveragePooling2D(name="average")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    # float32 even where the rest trains in bfloat16: the loss needs the logits' last bits.
    logits = layers.Dense(classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="residual")
