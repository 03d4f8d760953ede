"""Augment images in a Keras layer that runs on the training device, on any Keras backend.

    layer = augmentation_layer(keras, Augment(rotation_degrees=15), InputSpec())
    images = layer(pixels, training=True)           # uint8 (n, 48, 48, 1) -> float32 in [0, 1]

At inference the layer only applies mean and std of the input, so the training model always takes raw pixels. Flip,
rotation, shear, zoom and shift form one affine matrix, so each image is interpolated only once.
"""

from __future__ import annotations

import math
from typing import Any

from edgefer.contract.preprocessing import InputSpec
from edgefer.workstation.training.settings import Augment

__all__ = ["augmentation_layer"]


def augmentation_layer(keras: Any, settings: Augment, spec: InputSpec) -> Any:
    """Create a layer that augments images as ``settings`` describes, and applies mean and std of ``spec``.

    Returns:
        A layer from uint8 (n, height, width, channels) to float32 of that shape, (pixel - mean) / std.
    """
    height, width = spec.height, spec.width
    ops, random = keras.ops, keras.random
    is_affine = settings.flip or settings.rotation_degrees or settings.shift or settings.zoom or settings.shear_degrees

    class Augmentation(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="augmentation", dtype="float32", autocast=False)
            self.seeds = random.SeedGenerator(0)

        def call(self, pixels: Any, training: bool = False) -> Any:
            if not training:
                return self.normalize(ops.cast(pixels, "float32"))
            images = ops.cast(pixels, "float32") / 255.0
            count = ops.shape(images)[0]
            if is_affine:
                images = self.transform(images, count)
            if settings.brightness or settings.contrast:
                images = self.adjust_light(images, count)
            if settings.erasing:
                images = self.erase(images, count)
            return images if spec.has_unit_range else self.normalize(images * 255.0)

        def normalize(self, pixels: Any) -> Any:
            if spec.has_unit_range:
                return pixels / 255.0
            mean, std = (ops.convert_to_tensor(values, "float32") for values in (spec.mean, spec.std))
            return (pixels - mean) / std

        def uniform(self, count: Any, low: float, high: float) -> Any:
            return random.uniform((count,), low, high, dtype="float32", seed=self.seeds)

        def transform(self, images: Any, count: Any) -> Any:
            angle = self.uniform(count, -1, 1) * math.radians(settings.rotation_degrees)
            scale = 1 + settings.zoom * self.uniform(count, -1, 1)
            mirror = ops.sign(self.uniform(count, -1, 1)) if settings.flip else ops.ones((count,), "float32")
            # The affine transform maps output coordinates to input coordinates, relative to the image center.
            a, b = mirror * scale * ops.cos(angle), -scale * ops.sin(angle)
            c, d = mirror * scale * ops.sin(angle), scale * ops.cos(angle)
            if settings.shear_degrees:
                shear = ops.tan(self.uniform(count, -1, 1) * math.radians(settings.shear_degrees))
                b, d = b + shear * a, d + shear * c
            x0, y0 = (width - 1) / 2, (height - 1) / 2
            dx = x0 - a * x0 - b * y0 + width * settings.shift * self.uniform(count, -1, 1)
            dy = y0 - c * x0 - d * y0 + height * settings.shift * self.uniform(count, -1, 1)
            zero = ops.zeros_like(a)
            matrix = ops.stack([a, b, dx, c, d, dy, zero, zero], axis=1)
            return ops.image.affine_transform(
                images, matrix, interpolation="bilinear", fill_mode="constant", data_format="channels_last"
            )

        def adjust_light(self, images: Any, count: Any) -> Any:
            gain = 1 + settings.contrast * ops.reshape(self.uniform(count, -1, 1), (-1, 1, 1, 1))
            offset = settings.brightness * ops.reshape(self.uniform(count, -1, 1), (-1, 1, 1, 1))
            mean = ops.mean(images, axis=(1, 2, 3), keepdims=True)
            return ops.clip((images - mean) * gain + mean + offset, 0.0, 1.0)

        def erase(self, images: Any, count: Any) -> Any:
            def interval(size: int, shape: tuple[int, ...]) -> Any:
                center = ops.reshape(self.uniform(count, 0, size), (-1, 1, 1, 1))
                half = ops.reshape(self.uniform(count, 0, settings.erasing_side * size / 2), (-1, 1, 1, 1))
                return ops.abs(ops.reshape(ops.arange(size, dtype="float32"), shape) - center) < half

            chosen = ops.reshape(self.uniform(count, 0, 1) < settings.erasing, (-1, 1, 1, 1))
            inside = ops.logical_and(interval(height, (1, -1, 1, 1)), interval(width, (1, 1, -1, 1)))
            gray = ops.reshape(self.uniform(count, 0, 1), (-1, 1, 1, 1))
            return ops.where(ops.logical_and(chosen, inside), gray, images)

    return Augmentation()
