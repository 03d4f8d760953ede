"""Build one epoch's images, targets and sample weights.

    pixels, targets, weights = make_epoch(learn, settings, epoch=0)
    make_epoch(learn, settings, epoch=1, soft=probabilities, recalls=recalls)
    with epoch_loader(learn, settings) as loader:   # builds the next epoch in a background thread
        loader.of(0)

The settings, the seed and the epoch number determine the result. augmentation.py transforms single images; mixup and
CutMix are here, because they also mix targets.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Split, ferplus_targets
from edgefer.workstation.training.settings import Augment, TrainSettings

__all__ = ["EpochLoader", "class_weights", "epoch_loader", "make_epoch"]

# Minimum error rate, so that a class with full recall keeps some weight.
LEAST_MISSED = 0.05
# Number of float images that fit into a CPU cache.
BLENDED_AT_ONCE = 512


def make_epoch(
    learn: Split,
    settings: TrainSettings,
    *,
    epoch: int,
    soft: npt.NDArray[np.float32] | None = None,
    recalls: npt.NDArray[np.float64] | None = None,
) -> tuple[npt.NDArray[Any], ...]:
    """Build the data of one epoch in training order.

    Images that do not fill the last batch are dropped for this epoch.

    Args:
        learn: prepared training images.
        settings: training settings.
        epoch: epoch number, counted from 0.
        soft: float32 (len(learn), 7), teacher probabilities. They are appended to the targets.
        recalls: float64 (7,), training recall of each class after the previous epoch, for dynamic class weights. None
            before the first epoch.

    Returns:
        Pixels uint8 (n, h, w, 1), targets float32 (n, 7) or (n, 14) with ``soft``, and weights float32 (n,).
    """
    generator = np.random.default_rng([settings.seed, 0, epoch])
    order = generator.permutation(_drawn(learn.labels, settings, generator))
    order = order[: max(1, len(order) // settings.batch_size) * settings.batch_size]
    targets = _targets(learn, settings)
    if soft is not None:
        targets = np.concatenate([targets, soft], axis=1)
    per_class = class_weights(learn.labels, settings, recalls=recalls)
    batch = learn.pixels[order, ..., None], targets[order], per_class[learn.labels[order]]
    return _mixed(*batch, augment=settings.augment, generator=generator)


class EpochLoader:
    """A loader of consecutive epochs that builds the next epoch in a background thread."""

    def __init__(
        self, learn: Split, settings: TrainSettings, soft: npt.NDArray[np.float32] | None, maker: Executor
    ) -> None:
        self.make, self.settings, self.maker = partial(make_epoch, learn, settings, soft=soft), settings, maker
        self.ahead: dict[int, Future[tuple[npt.NDArray[Any], ...]]] = {}

    def of(self, epoch: int, *, recalls: npt.NDArray[np.float64] | None = None) -> tuple[npt.NDArray[Any], ...]:
        """Return the data of ``epoch`` and start to build the next epoch, unless it depends on recalls."""
        ready = self.ahead.pop(epoch, None)
        if self.settings.class_weights != "dynamic" and epoch + 1 < self.settings.epochs:
            self.ahead[epoch + 1] = self.maker.submit(self.make, epoch=epoch + 1)
        return self.make(epoch=epoch, recalls=recalls) if ready is None else ready.result()


@contextlib.contextmanager
def epoch_loader(
    learn: Split, settings: TrainSettings, *, soft: npt.NDArray[np.float32] | None = None
) -> Iterator[EpochLoader]:
    """Create an EpochLoader for prepared images ``learn`` and optional teacher probabilities ``soft``."""
    with ThreadPoolExecutor(1) as maker:
        yield EpochLoader(learn, settings, soft, maker)


def _drawn(labels: npt.NDArray[np.int64], settings: TrainSettings, generator: np.random.Generator) -> Any:
    """Draw image indices with oversampled rare classes; without oversampling, return the image count."""
    if not settings.oversampling:
        return len(labels)
    counts = np.bincount(labels, minlength=len(LABELS))
    parts = []
    for label, count in enumerate(counts):
        wanted = max(count, int(min(settings.oversampling * counts.max(), settings.oversampling_cap * count)))
        members = np.flatnonzero(labels == label)
        whole, rest = divmod(wanted, max(1, count))
        parts += [np.tile(members, whole), generator.permutation(members)[:rest]]
    return np.concatenate(parts)


def _targets(split: Split, settings: TrainSettings) -> npt.NDArray[np.float32]:
    """Compute the target distributions (n, 7): one-hot labels, mixed with FER+ votes if present, then smoothed."""
    targets = np.eye(len(LABELS), dtype=np.float32)[split.labels]
    if split.votes is not None:
        targets += settings.ferplus_weight * (ferplus_targets(split) - targets)
    return targets * np.float32(1 - settings.label_smoothing) + np.float32(settings.label_smoothing / len(LABELS))


def class_weights(
    labels: npt.NDArray[np.int64], settings: TrainSettings, *, recalls: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float32]:
    """Compute the loss weight of each class as float32 (7,).

    Weights have a mean of 1 over all images; absent classes have weight 0.

    "balanced" is n / (classes x count). "effective" uses the effective number of samples: Cui et al., "Class-Balanced
    Loss Based on Effective Number of Samples", CVPR 2019, equation 2. "dynamic" weights a class by its error rate:
    Sinha et al., "Class-Wise Difficulty-Balanced Loss", ACCV 2020, equation 3. The recall is measured on training
    images, so the validation split does not influence the weights.
    """
    counts = np.bincount(labels, minlength=len(LABELS))
    present = counts > 0
    if settings.class_weights == "balanced":
        raw = 1 / np.maximum(counts, 1)
    elif settings.class_weights == "effective":
        beta = settings.effective_beta
        raw = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    elif settings.class_weights == "dynamic" and recalls is not None:
        raw = np.maximum(1 - recalls, LEAST_MISSED) ** settings.dynamic_tau
    else:
        raw = np.ones(len(LABELS))
    raw = np.where(present, raw, 0.0)
    weights: npt.NDArray[np.float32] = (raw * len(labels) / (raw * counts).sum()).astype(np.float32)
    return weights


def _mixed(
    pixels: npt.NDArray[np.uint8],
    targets: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float32],
    *,
    augment: Augment,
    generator: np.random.Generator,
) -> tuple[npt.NDArray[Any], ...]:
    """Mix each image with its predecessor by mixup or CutMix; if both are enabled, choose one at random.

    Zhang et al., "mixup", ICLR 2018; Yun et al., "CutMix", ICCV 2019.
    """
    if not (augment.mixup or augment.cutmix):
        return pixels, targets, weights
    count, height, width, _ = pixels.shape
    cut_share = 0.5 if augment.mixup and augment.cutmix else float(augment.cutmix > 0)
    cut: npt.NDArray[np.bool_] = generator.random(count) < np.full(count, cut_share)
    own = np.ones(count)
    own[~cut] = generator.beta(augment.mixup or 1, augment.mixup or 1, int((~cut).sum()))
    own[cut] = generator.beta(augment.cutmix or 1, augment.cutmix or 1, int(cut.sum()))
    centre_y, centre_x = generator.random((2, count)) * [[height], [width]]
    side = np.sqrt(1 - own[cut]) / 2
    off_y = np.abs(np.arange(height) + 0.5 - centre_y[cut, None]) / height
    off_x = np.abs(np.arange(width) + 0.5 - centre_x[cut, None]) / width
    box: npt.NDArray[np.bool_] = np.maximum(off_y[:, :, None], off_x[:, None, :]) < side[:, None, None]
    # The image edge clips the box, so recompute the ratio from its area.
    own[cut] = 1 - box.mean(axis=(1, 2))
    mixed, other = pixels.copy(), np.roll(pixels, 1, axis=0)
    mixed[cut] = np.where(box[..., None], other[cut], pixels[cut])
    blended = np.flatnonzero(~cut)
    for start in range(0, len(blended), BLENDED_AT_ONCE):
        rows = blended[start : start + BLENDED_AT_ONCE]
        share = own[rows, None, None, None].astype(np.float32)
        mixed[rows] = np.rint(share * pixels[rows] + (1 - share) * other[rows]).astype(np.uint8)
    part = own.astype(np.float32)
    return (
        mixed,
        part[:, None] * targets + (1 - part[:, None]) * np.roll(targets, 1, axis=0),
        part * weights + (1 - part) * np.roll(weights, 1),
    )
