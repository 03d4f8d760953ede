"""Build one epoch's images, targets and sample weights.

    pixels, targets, weights = make_epoch(training, settings, epoch=0)
    make_epoch(training, settings, epoch=1, soft_targets=probabilities, per_class_recall=recall)
    with epoch_loader(training, settings) as loader:   # builds the next epoch in a background thread
        loader.load(0)

The settings, the seed and the epoch number determine the result. augmentation.py transforms single images, or views.py
if teachers and student share views; mixup and CutMix are here, because they also mix targets.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import prepare_all, with_channels
from edgefer.data.dataset import Split, ferplus_targets
from edgefer.workstation.training.settings import Augment, TrainSettings
from edgefer.workstation.training.soft_targets import SoftTargets
from edgefer.workstation.training.views import make_view

__all__ = ["EpochLoader", "class_weights", "epoch_loader", "make_epoch", "steps_per_epoch"]

# Minimum error rate, so that a class with full recall keeps some weight.
MIN_ERROR_RATE = 0.05
# Number of float images that fit into a CPU cache.
BLEND_CHUNK = 512


def make_epoch(
    training: Split,
    settings: TrainSettings,
    *,
    epoch: int,
    soft_targets: npt.NDArray[np.float32] | None = None,
    per_class_recall: npt.NDArray[np.float64] | None = None,
) -> tuple[npt.NDArray[Any], ...]:
    """Build the data of one epoch in training order.

    Images that do not fill the last batch are dropped for this epoch.

    Args:
        training: prepared training images.
        settings: training settings.
        epoch: epoch number, counted from 0.
        soft_targets: float32 (len(training), classes), teacher probabilities. They are appended to the targets.
        per_class_recall: float64 (classes,), training recall of each class after the previous epoch, for dynamic class
            weights. None before the first epoch.

    Returns:
        Pixels uint8 (n, h, w, channels), targets float32 (n, classes) or (n, 2 * classes) with ``soft_targets``, and
        weights float32 (n,).
    """
    generator = np.random.default_rng([settings.seed, 0, epoch])
    order = generator.permutation(_draw(training, settings, generator))
    order = order[: steps_per_epoch(training, settings) * settings.batch_size]
    targets = _targets(training, settings)
    if soft_targets is not None:
        targets = np.concatenate([targets, soft_targets], axis=1)
    per_class = class_weights(training, settings, per_class_recall=per_class_recall)
    batch = with_channels(training.pixels[order]), targets[order], per_class[training.labels[order]]
    return _mix(*batch, augment=settings.augment, generator=generator)


def steps_per_epoch(training: Split, settings: TrainSettings) -> int:
    """Count the batches of an epoch without building it; images that fill no batch make one short batch."""
    return max(1, int(_draws_per_class(training, settings).sum()) // settings.batch_size)


class EpochLoader:
    """A loader of consecutive epochs that builds the next epoch in a background thread."""

    def __init__(
        self, training: Split, settings: TrainSettings, soft_targets: SoftTargets | None, executor: Executor
    ) -> None:
        self.training, self.settings, self.soft_targets, self.executor = training, settings, soft_targets, executor
        self.ahead: dict[int, Future[tuple[npt.NDArray[Any], ...]]] = {}

    def load(
        self, epoch: int, *, per_class_recall: npt.NDArray[np.float64] | None = None
    ) -> tuple[npt.NDArray[Any], ...]:
        """Return the data of an epoch and start to build the next one, unless that depends on the recall."""
        ready = self.ahead.pop(epoch, None)
        if self.settings.class_weights != "dynamic" and epoch + 1 < self.settings.epochs:
            self.ahead[epoch + 1] = self.executor.submit(self._make, epoch + 1)
        return self._make(epoch, per_class_recall) if ready is None else ready.result()

    def _make(
        self, epoch: int, per_class_recall: npt.NDArray[np.float64] | None = None
    ) -> tuple[npt.NDArray[Any], ...]:
        training, settings = self.training, self.settings
        if settings.views:
            view = make_view(training.pixels, settings.augment, seed=settings.seed, view=epoch % settings.views)
            training = dataclasses.replace(training, pixels=prepare_all(view, settings.input))
        soft = self.soft_targets.at(epoch) if self.soft_targets else None
        return make_epoch(training, settings, epoch=epoch, soft_targets=soft, per_class_recall=per_class_recall)


@contextlib.contextmanager
def epoch_loader(
    training: Split, settings: TrainSettings, *, soft_targets: SoftTargets | None = None
) -> Iterator[EpochLoader]:
    """Create an EpochLoader.

    Args:
        training: training images, prepared for the network; with ``settings.views``, unprepared.
        settings: training settings.
        soft_targets: teacher probabilities, or None without teachers.
    """
    with ThreadPoolExecutor(1) as executor:
        yield EpochLoader(training, settings, soft_targets, executor)


def _draw(training: Split, settings: TrainSettings, generator: np.random.Generator) -> Any:
    """Draw image indices with oversampled rare classes; without oversampling, return the image count."""
    if not settings.oversampling:
        return len(training)
    parts = []
    for label, draws in enumerate(_draws_per_class(training, settings)):
        members = np.flatnonzero(training.labels == label)
        repeats, remainder = divmod(draws, max(1, len(members)))
        parts += [np.tile(members, repeats), generator.permutation(members)[:remainder]]
    return np.concatenate(parts)


def _draws_per_class(training: Split, settings: TrainSettings) -> npt.NDArray[np.int64]:
    """Count how often an epoch draws an image of each class, as int64 (classes,)."""
    counts = np.bincount(training.labels, minlength=len(training.label_names))
    if not settings.oversampling:
        return counts
    share, cap = settings.oversampling, settings.oversampling_cap
    return np.array([max(count, int(min(share * counts.max(), cap * count))) for count in counts])


def _targets(split: Split, settings: TrainSettings) -> npt.NDArray[np.float32]:
    """Compute the target distributions (n, classes): one-hot labels, mixed with FER+ votes, then smoothed."""
    classes = len(split.label_names)
    targets = np.eye(classes, dtype=np.float32)[split.labels]
    if split.votes is not None:
        targets += settings.ferplus_weight * (ferplus_targets(split) - targets)
    return targets * np.float32(1 - settings.label_smoothing) + np.float32(settings.label_smoothing / classes)


def class_weights(
    training: Split, settings: TrainSettings, *, per_class_recall: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.float32]:
    """Compute the loss weight of each class as float32 (classes,).

    Weights have a mean of 1 over all images; absent classes have weight 0.

    "balanced" is n / (classes x count). "effective" uses the effective number of samples: Cui et al., "Class-Balanced
    Loss Based on Effective Number of Samples", CVPR 2019, equation 2. "dynamic" weights a class by its error rate:
    Sinha et al., "Class-Wise Difficulty-Balanced Loss", ACCV 2020, equation 3. The recall is measured on training
    images, so the validation split does not influence the weights.
    """
    counts = np.bincount(training.labels, minlength=len(training.label_names))
    present = counts > 0
    if settings.class_weights == "balanced":
        raw = 1 / np.maximum(counts, 1)
    elif settings.class_weights == "effective":
        beta = settings.effective_beta
        raw = (1 - beta) / (1 - beta ** np.maximum(counts, 1))
    elif settings.class_weights == "dynamic" and per_class_recall is not None:
        raw = np.maximum(1 - per_class_recall, MIN_ERROR_RATE) ** settings.dynamic_tau
    else:
        raw = np.ones(len(counts))
    raw = np.where(present, raw, 0.0)
    weights: npt.NDArray[np.float32] = (raw * len(training) / (raw * counts).sum()).astype(np.float32)
    return weights


def _mix(
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
    ratio = np.ones(count)
    ratio[~cut] = generator.beta(augment.mixup or 1, augment.mixup or 1, int((~cut).sum()))
    ratio[cut] = generator.beta(augment.cutmix or 1, augment.cutmix or 1, int(cut.sum()))
    center_y, center_x = generator.random((2, count)) * [[height], [width]]
    side = np.sqrt(1 - ratio[cut]) / 2
    distance_y = np.abs(np.arange(height) + 0.5 - center_y[cut, None]) / height
    distance_x = np.abs(np.arange(width) + 0.5 - center_x[cut, None]) / width
    box: npt.NDArray[np.bool_] = np.maximum(distance_y[:, :, None], distance_x[:, None, :]) < side[:, None, None]
    # The image edge clips the box, so recompute the ratio from its area.
    ratio[cut] = 1 - box.mean(axis=(1, 2))
    mixed, other = pixels.copy(), np.roll(pixels, 1, axis=0)
    mixed[cut] = np.where(box[..., None], other[cut], pixels[cut])
    blended = np.flatnonzero(~cut)
    for start in range(0, len(blended), BLEND_CHUNK):
        rows = blended[start : start + BLEND_CHUNK]
        share = ratio[rows, None, None, None].astype(np.float32)
        mixed[rows] = np.rint(share * pixels[rows] + (1 - share) * other[rows]).astype(np.uint8)
    share = ratio.astype(np.float32)
    return (
        mixed,
        share[:, None] * targets + (1 - share[:, None]) * np.roll(targets, 1, axis=0),
        share * weights + (1 - share) * np.roll(weights, 1),
    )
