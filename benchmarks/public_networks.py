"""Public image networks with random weights as .tflite, for instruction counts; weights change no instruction.

    NETWORKS["mobilenet_v2"]()                      # a Keras model
    convert(network, "int8")                        # content of a .tflite

Classifiers: MobileNet v1, v2 and v3 from keras.applications. Detectors, without their postprocessing: SSDLite on
MobileNet v2 (300 pixels, 91 classes; Sandler et al. 2018) and EfficientDet-Lite0 to 2 (90 classes; Tan et al. 2020,
with the changes of EfficientNet-Lite: no squeeze-and-excitation, ReLU6, stem and head not scaled).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

__all__ = ["NETWORKS", "convert"]

# Repeats, kernel, stride, expansion and channels of the stages of EfficientNet-B0; the first and last never repeat.
STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
ANCHORS = 9
DETECTED_CLASSES, SSD_CLASSES = 90, 91


def _conv(x: Any, channels: int, kernel: int = 1, stride: int = 1, *, activate: bool = True) -> Any:
    x = layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False)(x)
    return _normalize(x, activate=activate)


def _depthwise(x: Any, kernel: int = 3, stride: int = 1) -> Any:
    return _normalize(layers.DepthwiseConv2D(kernel, stride, "same", use_bias=False)(x), activate=True)


def _separable(x: Any, channels: int, *, activate: bool) -> Any:
    return _normalize(layers.SeparableConv2D(channels, 3, padding="same")(x), activate=activate)


def _normalize(x: Any, *, activate: bool) -> Any:
    x = layers.BatchNormalization()(x)
    return layers.ReLU(6.0)(x) if activate else x


def _round_channels(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _efficientnet_features(size: int, width: float, depth: float) -> tuple[Any, dict[int, Any]]:
    """Return the input of an EfficientNet-Lite, and its last feature map at each stride."""
    image = keras.Input((size, size, 3))
    x, maps = _conv(image, 32, 3, 2), {}
    for index, (repeats, kernel, stride, expansion, channels) in enumerate(STAGES):
        is_scaled = 0 < index < len(STAGES) - 1
        for repeat in range(math.ceil(repeats * depth) if is_scaled else repeats):
            before = x
            x = _conv(x, before.shape[-1] * expansion) if expansion > 1 else x
            x = _depthwise(x, kernel, 1 if repeat else stride)
            x = _conv(x, _round_channels(channels * width), activate=False)
            x = layers.Add()([x, before]) if repeat else x
        maps[size // x.shape[1]] = x
    return image, maps


def _efficientdet(size: int, width: float, depth: float, channels: int, cells: int) -> Any:
    image, maps = _efficientnet_features(size, width, depth)
    sixth = layers.MaxPooling2D(3, 2, "same")(_conv(maps[32], channels, activate=False))
    levels = [_conv(maps[stride], channels, activate=False) for stride in (8, 16, 32)]
    levels += [sixth, layers.MaxPooling2D(3, 2, "same")(sixth)]
    for _ in range(cells):
        levels = _fuse(levels, channels)
    return keras.Model(image, _heads(levels, channels))


def _fuse(levels: list[Any], channels: int) -> list[Any]:
    """Return the levels after one cell of a bidirectional feature pyramid."""

    def merge(parts: list[Any]) -> Any:
        return _separable(layers.ReLU(6.0)(layers.Add()(parts)), channels, activate=False)

    down = [levels[-1]]
    for level in reversed(levels[:-1]):
        larger = layers.Resizing(*level.shape[1:3], interpolation="nearest")(down[0])
        down.insert(0, merge([level, larger]))
    fused = [down[0]]
    for index in range(1, len(levels)):
        smaller = layers.MaxPooling2D(3, 2, "same")(fused[-1])
        fused.append(merge([levels[index], smaller, *([down[index]] if index < len(levels) - 1 else [])]))
    return fused


def _heads(levels: list[Any], channels: int) -> list[Any]:
    boxes, scores = [], []
    for level in levels:
        box = score = level
        for _ in range(3):
            box, score = _separable(box, channels, activate=True), _separable(score, channels, activate=True)
        for outputs, x, values in ((boxes, box, 4), (scores, score, DETECTED_CLASSES)):
            x = layers.SeparableConv2D(ANCHORS * values, 3, padding="same")(x)
            outputs.append(layers.Reshape((-1, values))(x))
    return [layers.Concatenate(1)(boxes), layers.Activation("sigmoid")(layers.Concatenate(1)(scores))]


def _ssdlite() -> Any:
    backbone = keras.applications.MobileNetV2((300, 300, 3), weights=None, include_top=False)
    maps = [backbone.get_layer("block_13_expand_relu").output, backbone.output]
    for narrow, wide in ((256, 512), (128, 256), (128, 256), (64, 128)):
        maps.append(_conv(_depthwise(_conv(maps[-1], narrow), 3, 2), wide))
    boxes, scores = [], []
    for index, x in enumerate(maps):
        anchors = 6 if index else 3
        for outputs, values in ((boxes, 4), (scores, SSD_CLASSES)):
            outputs.append(layers.Reshape((-1, values))(layers.Conv2D(anchors * values, 1)(_depthwise(x))))
    outputs = [layers.Concatenate(1)(boxes), layers.Activation("sigmoid")(layers.Concatenate(1)(scores))]
    return keras.Model(backbone.input, outputs)


def _classifier(name: str, **options: Any) -> Any:
    return getattr(keras.applications, name)((224, 224, 3), weights=None, **options)


NETWORKS: Mapping[str, Callable[[], Any]] = {
    "mobilenet_v1": lambda: _classifier("MobileNet"),
    "mobilenet_v2": lambda: _classifier("MobileNetV2"),
    "mobilenet_v3_large": lambda: _classifier("MobileNetV3Large", include_preprocessing=False),
    "mobilenet_v3_small": lambda: _classifier("MobileNetV3Small", include_preprocessing=False),
    "ssdlite_mobilenet_v2": _ssdlite,
    "efficientdet_lite0": lambda: _efficientdet(320, 1.0, 1.0, 64, 3),
    "efficientdet_lite1": lambda: _efficientdet(384, 1.0, 1.1, 88, 4),
    "efficientdet_lite2": lambda: _efficientdet(448, 1.1, 1.2, 112, 5),
}


def convert(network: Any, dtype: str) -> bytes:
    """Convert a network with a batch of 1.

    Args:
        network: a Keras model.
        dtype: "float32", or "int8" for inputs, outputs, weights and activations.
    """
    shape = (1, *network.input_shape[1:])
    call = tf.function(lambda image: network(image, training=False))
    # The calibrator of the converter cannot read variables.
    constant = convert_variables_to_constants_v2(call.get_concrete_function(tf.TensorSpec(shape, tf.float32)))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([constant])
    if dtype == "int8":
        generator = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([generator.random(shape, dtype=np.float32)] for _ in range(2))
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    content: bytes = converter.convert()
    return content
