"""Make augmented views of all training images that teachers and student share.

    view = make_view(training.pixels, settings.augment, seed=settings.seed, view=3)
    view[positions]                                 # augments these images only
    view.mixing                                     # ratios of mixup and CutMix, or None

A view depends only on the images, the augmentation, the seed and its number, so its teacher logits can be computed once
and stored. Teachers that see the same view as the student are better teachers than those that see another one: Beyer et
al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import with_channels
from edgefer.data.pixels import LazyPixels, Pixels
from edgefer.workstation.training.mixing import Mixing, draw_mixing
from edgefer.workstation.training.settings import Augment

__all__ = ["View", "make_view"]

Floats = npt.NDArray[np.float64]


class View(LazyPixels):
    """Images that are augmented whenever they are read.

    Attributes:
        mixing: the image that each image is mixed with, and the ratios; None without mixup and CutMix.
    """

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
        self.mixing: Mixing | None = None
        if augment.mixup or augment.cutmix:
            order = generator.permutation(count)
            partner = np.empty_like(order)
            partner[order] = np.roll(order, 1)
            self.mixing = dataclasses.replace(draw_mixing(augment, generator, count, height, width), partner=partner)

    def read(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Augment the images at these positions, and mix them with their partners."""
        own = self._augmented(positions)
        if self.mixing is None:
            return own
        other = self._augmented(self.mixing.partner[positions])
        return self.mixing.mix(with_channels(own), with_channels(other), positions).reshape(own.shape)

    def _augmented(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
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


def make_view(pixels: Pixels, augment: Augment, *, seed: int, view: int) -> View:
    """Augment every image with parameters drawn from (seed, view), whenever it is read.

    Flip, rotation, shear, zoom and shift form one affine transform with bilinear interpolation and black borders, as in
    augmentation.py. Brightness and contrast follow, then erasing, then mixup or CutMix with another augmented image.

    Args:
        pixels: uint8 (n, h, w) or (n, h, w, 3).
        augment: augmentation.
        seed: seed of the training.
        view: number of the view.

    Returns:
        Images of the shape of ``pixels``.
    """
    return View(pixels, augment, seed, view)


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
