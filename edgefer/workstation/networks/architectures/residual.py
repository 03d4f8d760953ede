"""``residual``: a residual network of plain 3x3 convolutions with more stages at full resolution than ``compact``.

    stem     Conv 3x3 - BN - ReLU                                  48
    stage 1  depths[0] x block(widths[0])                          48
    stage 2  depths[1] x block(widths[1]), first stride 2          24
    ...      one stage for each entry of widths                    12, 6
    head     global average, Dense -> logits

A stage with twice the side length needs four times the operations with the same number of weights. This trade-off
suits devices where model size is scarcer than latency. A stem with stride 2 halves the side length of every stage, for
processors where latency is scarcer. blocks.py defines the residual block.

Use at least 16 channels. With a stem of 8 at 48 x 48, TensorFlow 2.21 corrupted memory and crashed in float32 training
("unaligned tcache chunk") in every attempt on the tested CPU. The defect is in its oneDNN kernels;
TF_ENABLE_ONEDNN_OPTS=0 avoids it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgefer.workstation.networks.blocks import conv_bn_relu, pooled_logits, residual_stage

__all__ = ["build"]


def build(
    keras: Any,
    *,
    input_shape: tuple[int, int, int],
    classes: int,
    stem: int = 16,
    stem_stride: int = 1,
    widths: Sequence[int] = (16, 32, 64),
    depths: Sequence[int] = (1, 2, 2),
    dropout: float = 0.2,
) -> Any:
    """Build a functional model from float32 (n, h, w, 1) in [0, 1] to logits (n, classes).

    Args:
        keras: framework, ``keras`` or ``tf_keras``; both build the same layers in the same order.
        input_shape: (height, width, 1).
        classes: number of logits.
        stem: channels of the first convolution.
        stem_stride: stride of the first convolution, 1 or 2.
        widths: channels of each stage.
        depths: residual blocks of each stage.
        dropout: fraction of the pooled features dropped during training.
    """
    layers = keras.layers
    inputs = keras.Input(input_shape, name="face")
    x = conv_bn_relu(layers, inputs, stem, strides=stem_stride, name="stem")
    for stage, (filters, blocks) in enumerate(zip(widths, depths, strict=True), start=1):
        strides = 1 if stage == 1 else 2
        x = residual_stage(layers, x, filters, blocks=blocks, strides=strides, name=f"stage{stage}")
    return keras.Model(inputs, pooled_logits(layers, x, classes=classes, dropout=dropout), name="residual")
