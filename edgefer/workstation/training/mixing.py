"""Mix each image with another one by mixup or CutMix: in an epoch with its predecessor, in a view with any other.

    mixing = draw_mixing(settings.augment, generator, count=n, height=48, width=48)
    targets, weights = mixing.mix_targets(targets, weights)         # of all images
    pixels = mixing.mix(own, other, slice(0, 128))                  # of one batch

Zhang et al., "mixup", ICLR 2018; Yun et al., "CutMix", ICCV 2019. If both are enabled, each image is mixed by one of
them, chosen at random.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from edgefer.workstation.training.settings import Augment

__all__ = ["Mixing", "draw_mixing"]

# Number of float images that fit into a CPU cache.
BLEND_CHUNK = 512

Floats = npt.NDArray[np.float64]
Targets = npt.NDArray[np.float32]
Positions = slice | npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Mixing:
    """Random numbers that mix images.

    Attributes:
        partner: int64 (n,), position of the image that each image is mixed with.
        cut: bool (n,), True for CutMix and False for mixup.
        ratio: float64 (n,), share of each image in its mixture; the rest is its partner.
        center_y, center_x: float64 (n,), centers of the CutMix rectangles in pixels.
        side: float64 (n,), half the sides of the rectangles, relative to those of the image.
        height, width: size of the images in pixels.
    """

    partner: npt.NDArray[np.int64]
    cut: npt.NDArray[np.bool_]
    ratio: Floats
    center_y: Floats
    center_x: Floats
    side: Floats
    height: int
    width: int

    def mix_targets(self, targets: Targets, weights: Targets) -> tuple[Targets, Targets]:
        """Mix the targets float32 (n, classes) and the weights float32 (n,) of all images."""
        share = self.ratio.astype(np.float32)
        return (
            share[:, None] * targets + (1 - share[:, None]) * targets[self.partner],
            share * weights + (1 - share) * weights[self.partner],
        )

    def mix(self, own: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8], images: Positions) -> npt.NDArray[np.uint8]:
        """Mix some of the images.

        Args:
            own: the images, uint8 (n, h, w, channels).
            other: their partners.
            images: positions of the images.
        """
        cut, ratio = self.cut[images], self.ratio[images]
        rows, columns = self._inside(images)
        box = rows[cut, :, None, None] & columns[cut, None, :, None]
        mixed = own.copy()
        mixed[cut] = np.where(box, other[cut], own[cut])
        blended = np.flatnonzero(~cut)
        for start in range(0, len(blended), BLEND_CHUNK):
            chunk = blended[start : start + BLEND_CHUNK]
            share = ratio[chunk, None, None, None].astype(np.float32)
            mixed[chunk] = np.rint(share * own[chunk] + (1 - share) * other[chunk]).astype(np.uint8)
        return mixed

    def box_shares(self) -> Floats:
        """Return the share of each image inside its rectangle, which the image edge clips, float64 (n,)."""
        rows, columns = self._inside(slice(None))
        shares: Floats = rows.sum(axis=1) * columns.sum(axis=1) / (self.height * self.width)
        return shares

    def _inside(self, images: Positions) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
        """Return the rows bool (n, h) and the columns bool (n, w) that the rectangles cover."""
        side = self.side[images, None]
        distance_y = np.abs(np.arange(self.height) + 0.5 - self.center_y[images, None]) / self.height
        distance_x = np.abs(np.arange(self.width) + 0.5 - self.center_x[images, None]) / self.width
        return distance_y < side, distance_x < side


def draw_mixing(augment: Augment, generator: np.random.Generator, count: int, height: int, width: int) -> Mixing:
    """Draw random numbers that mix each image with its predecessor, and the first one with the last.

    Args:
        augment: augmentation with mixup, CutMix or both.
        generator: generator of the epoch or of the view.
        count: number of images.
        height, width: size of the images in pixels.
    """
    cut_share = 0.5 if augment.mixup and augment.cutmix else float(augment.cutmix > 0)
    cut: npt.NDArray[np.bool_] = generator.random(count) < np.full(count, cut_share)
    ratio = np.ones(count)
    ratio[~cut] = generator.beta(augment.mixup or 1, augment.mixup or 1, int((~cut).sum()))
    ratio[cut] = generator.beta(augment.cutmix or 1, augment.cutmix or 1, int(cut.sum()))
    center_y, center_x = generator.random((2, count)) * [[height], [width]]
    partner = np.roll(np.arange(count), 1)
    mixing = Mixing(partner, cut, ratio, center_y, center_x, np.sqrt(1 - ratio) / 2, height, width)
    # The image edge clips the rectangles, so their areas give the ratios.
    return replace(mixing, ratio=np.where(cut, 1 - mixing.box_shares(), ratio))
