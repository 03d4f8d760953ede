"""Make augmented views of all training images that teachers and student share.

    pixels = make_view(training.pixels, settings.augment, seed=settings.seed, view=3)
    pixels[positions]                               # augments these images only

A view depends only on the images, the augmentation, the seed and its number, so its teacher logits can be computed once
and stored. Teachers that see the same view as the student are better teachers than those that see another one: Beyer et
al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022.
"""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.data.pixels import LazyPixels, Pixels
from edgefer.errors import UsageError
from edgefer.workstation.training.settings import Augment

__all__ = ["check_view_augmentation", "make_view"]

Floats = npt.NDArray[np.float64]


def check_view_augmentation(augment: Augment) -> None:
    """Raise UsageError for mixup and CutMix, which need the teacher logits of mixed images."""
    for name in ("mixup", "cutmix"):
        if getattr(augment, name):
            why = "stored views have one image each"
            raise UsageError(f"augment.{name} with views", why=why, hint=f"--augment {name}=0")


class _View(LazyPixels):
    """Images that are augmented whenever they are read."""

    def __init__(self, pixels: Pixels, augment: Augment, seed: int, view: int) -> None:
        super().__init__(tuple(pixels.shape))
        count, height, width = self.shape[:3]
        generator = np.random.default_rng([seed, 4, view])
        self.pixels = pixels
        self.changes_light = bool(augment.brightness or augment.contrast)
        self.matrices = _affine_matrices(augment, generator, count, height, width)
        self.gain = np.asarray(generator.uniform(1 - augment.contrast, 1 + augment.contrast, count))
        self.offset = np.asarray(generator.uniform(-255 * augment.brightness, 255 * augment.brightness, count))
        self.boxes = _boxes(augment, generator, count, height, width)
        self.grays = generator.integers(0, 256, count, np.uint8)

    def read(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        images: npt.NDArray[np.uint8] = self.pixels[positions]
        augmented = np.empty_like(images)
        for index, position in enumerate(positions.tolist()):
            augmented[index] = self._augment(images[index], position)
        return augmented

    def _augment(self, image: npt.NDArray[np.uint8], position: int) -> npt.NDArray[Any]:
        size, flags = (image.shape[1], image.shape[0]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        warped: npt.NDArray[Any] = cv2.warpAffine(
            image, self.matrices[position], size, flags=flags, borderMode=cv2.BORDER_CONSTANT
        )
        if self.changes_light:
            mean = float(warped.mean())
            light: Floats = (warped.astype(np.float64) - mean) * self.gain[position] + mean + self.offset[position]
            warped = np.rint(np.clip(light, 0, 255)).astype(np.uint8)
        top, bottom, left, right = self.boxes[position]
        warped[top:bottom, left:right] = self.grays[position]
        return warped


def make_view(pixels: Pixels, augment: Augment, *, seed: int, view: int) -> LazyPixels:
    """Augment every image with parameters drawn from (seed, view), whenever it is read.

    Flip, rotation, shear, zoom and shift form one affine transform with bilinear interpolation and black borders, as in
    augmentation.py. Brightness and contrast follow, then erasing.

    Args:
        pixels: uint8 (n, h, w) or (n, h, w, 3).
        augment: augmentation without mixup and CutMix.
        seed: seed of the training.
        view: number of the view.

    Returns:
        Images of the shape of ``pixels``.
    """
    return _View(pixels, augment, seed, view)


def _affine_matrices(augment: Augment, generator: np.random.Generator, count: int, height: int, width: int) -> Floats:
    """Return the maps from output to input coordinates, float64 (count, 2, 3)."""

    def uniform(limit: float) -> Floats:
        return limit * generator.uniform(-1, 1, count)

    angle, scale = uniform(math.radians(augment.rotation_degrees)), 1 + uniform(augment.zoom)
    mirror = np.where(generator.random(count) < 0.5, -1.0, 1.0) if augment.flip else np.ones(count)
    shear = np.tan(uniform(math.radians(augment.shear_degrees)))
    a, b = mirror * scale * np.cos(angle), -scale * np.sin(angle)
    c, d = mirror * scale * np.sin(angle), scale * np.cos(angle)
    b, d = b + shear * a, d + shear * c
    center_x, center_y = (width - 1) / 2, (height - 1) / 2
    dx = center_x - a * center_x - b * center_y + width * uniform(augment.shift)
    dy = center_y - c * center_x - d * center_y + height * uniform(augment.shift)
    return np.stack([np.stack([a, b, dx], axis=1), np.stack([c, d, dy], axis=1)], axis=1)


def _boxes(augment: Augment, generator: np.random.Generator, count: int, height: int, width: int) -> npt.NDArray[Any]:
    """Return the erased rectangles, int64 (count, 4): top, bottom, left, right; empty for images without one."""
    sides = []
    for size in (height, width):
        center = generator.uniform(0, size, count)
        half = generator.uniform(0, augment.erasing_side * size / 2, count)
        sides += [np.maximum(0, np.ceil(center - half)), np.minimum(size, np.ceil(center + half))]
    boxes = np.stack(sides, axis=1).astype(np.int64)
    boxes[generator.random(count) >= augment.erasing] = 0
    return boxes
