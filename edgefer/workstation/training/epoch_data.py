"""Plan the batches of one epoch: images, targets and sample weights.

    batches = make_epoch(training, settings, epoch=0)
    make_epoch(training, settings, epoch=1, soft_targets=probabilities, per_class_recall=recall)
    pixels, targets, weights = batches[0]           # reads and mixes the images of this batch only
    with epoch_loader(training, settings) as loader:   # builds the next epoch in a background thread
        loader.load(0)

The settings, the seed and the epoch number determine the result. augmentation.py transforms single images, and
mixing.py mixes images and their targets; views.py does both if teachers and student share views.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import with_channels
from edgefer.data.dataset import Split, ferplus_targets
from edgefer.data.pixels import Pixels, prepared
from edgefer.workstation.training.mixing import Mixing, draw_mixing
from edgefer.workstation.training.settings import NO_AUGMENT, TrainSettings
from edgefer.workstation.training.soft_targets import SoftTargets
from edgefer.workstation.training.views import make_view

__all__ = ["Batch", "EpochBatches", "EpochLoader", "class_weights", "epoch_loader", "make_epoch", "steps_per_epoch"]

# Minimum error rate, so that a class with full recall keeps some weight.
MIN_ERROR_RATE = 0.05

Batch = tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class EpochBatches:
    """One epoch as batches, whose pixels are read and mixed when a batch is indexed.

    Attributes:
        pixels: prepared training images, uint8 (images, *input.shape).
        order: int64 (n,), positions of the images in training order; n is a multiple of the batch size, or smaller.
        targets: float32 (n, classes), or (n, 2 * classes) with teacher probabilities.
        weights: float32 (n,), sample weights.
        batch_size: images of a batch.
        mixing: ratios and rectangles of mixup and CutMix, or None.
    """

    pixels: Pixels
    order: npt.NDArray[np.int64]
    targets: npt.NDArray[np.float32]
    weights: npt.NDArray[np.float32]
    batch_size: int
    mixing: Mixing | None = None

    def __len__(self) -> int:
        return max(1, len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return pixels uint8 (n, h, w, channels), targets and weights of a batch; the first has index 0."""
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        return self.images(index * self.batch_size, (index + 1) * self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        return (self[index] for index in range(len(self)))

    @property
    def nbytes(self) -> int:
        """Size of the pixels of all batches in bytes."""
        return len(self.order) * int(np.prod(self.pixels.shape[1:]))

    def images(self, start: int, stop: int) -> Batch:
        """Return pixels uint8 (n, h, w, channels), targets and weights of images in training order."""
        order, images = self.order[start:stop], slice(start, stop)
        if self.mixing is None:
            pixels = with_channels(self.pixels[order])
        else:
            # The first image of the epoch is mixed with the last one.
            read = with_channels(self.pixels[np.concatenate([self.order[[start - 1]], order])])
            pixels = self.mixing.mix(read[1:], read[:-1], images)
        return pixels, self.targets[images], self.weights[images]

    def segments(self, limit_bytes: int) -> Iterator[Batch]:
        """Yield all batches in arrays of several batches, whose pixels have at most ``limit_bytes`` if possible."""
        image_bytes = self.nbytes // max(1, len(self.order))
        size = max(1, limit_bytes // (image_bytes * self.batch_size)) * self.batch_size
        for start in range(0, len(self.order), size):
            stop = min(start + size, len(self.order))
            # By batches, because mixing needs several times the memory of its result.
            starts = range(start, stop, self.batch_size)
            pixels = np.concatenate([self.images(first, first + self.batch_size)[0] for first in starts])
            yield pixels, self.targets[start:stop], self.weights[start:stop]

    def arrays(self) -> Batch:
        """Return pixels, targets and weights of all batches; the pixels must fit into memory."""
        return next(self.segments(self.nbytes))

    def in_memory(self) -> EpochBatches:
        """Return the same batches with their pixels in memory."""
        pixels, targets, weights = self.arrays()
        return EpochBatches(pixels, np.arange(len(pixels)), targets, weights, self.batch_size)


def make_epoch(
    training: Split,
    settings: TrainSettings,
    *,
    epoch: int,
    soft_targets: npt.NDArray[np.float32] | None = None,
    per_class_recall: npt.NDArray[np.float64] | None = None,
    view_mixing: Mixing | None = None,
) -> EpochBatches:
    """Plan one epoch; its pixels are read when its batches are.

    Images that do not fill the last batch are dropped for this epoch.

    Args:
        training: prepared training images.
        settings: training settings.
        epoch: epoch number, counted from 0.
        soft_targets: float32 (len(training), classes), teacher probabilities. They are appended to the targets.
        per_class_recall: float64 (classes,), training recall of each class after the previous epoch, for dynamic class
            weights. None before the first epoch.
        view_mixing: how the images of ``training``, a view, are mixed already, or None.
    """
    generator = np.random.default_rng([settings.seed, 0, epoch])
    order = generator.permutation(_draw(training, settings, generator))
    order = order[: steps_per_epoch(training, settings) * settings.batch_size]
    targets = _targets(training, settings)
    weights = class_weights(training, settings, per_class_recall=per_class_recall)[training.labels]
    if view_mixing is not None:
        targets, weights = view_mixing.mix_targets(targets, weights)
    if soft_targets is not None:
        targets = np.concatenate([targets, soft_targets], axis=1)
    targets, weights = targets[order], weights[order]
    if not (settings.augment.mixup or settings.augment.cutmix):
        return EpochBatches(training.pixels, order, targets, weights, settings.batch_size)
    height, width = training.pixels.shape[1:3]
    mixing = draw_mixing(settings.augment, generator, len(order), height, width)
    targets, weights = mixing.mix_targets(targets, weights)
    return EpochBatches(training.pixels, order, targets, weights, settings.batch_size, mixing)


def steps_per_epoch(training: Split, settings: TrainSettings) -> int:
    """Count the batches of an epoch without building it; images that fill no batch make one short batch."""
    return max(1, int(_draws_per_class(training, settings).sum()) // settings.batch_size)


class EpochLoader:
    """A loader of consecutive epochs that can build the next epoch in a background thread."""

    def __init__(
        self,
        training: Split,
        settings: TrainSettings,
        soft_targets: SoftTargets | None,
        executor: Executor,
        memory_bytes: int,
    ) -> None:
        self.training, self.settings, self.soft_targets = training, settings, soft_targets
        self.executor, self.memory_bytes = executor, memory_bytes
        self.ahead: dict[int, Future[EpochBatches]] = {}

    def load(self, epoch: int, *, per_class_recall: npt.NDArray[np.float64] | None = None) -> EpochBatches:
        """Return the batches of an epoch and start to build the next one, unless that depends on the recall."""
        ready = self.ahead.pop(epoch, None)
        if self.settings.class_weights != "dynamic" and epoch + 1 < self.settings.epochs:
            self.ahead[epoch + 1] = self.executor.submit(self._make, epoch + 1)
        return self._make(epoch, per_class_recall) if ready is None else ready.result()

    def _make(self, epoch: int, per_class_recall: npt.NDArray[np.float64] | None = None) -> EpochBatches:
        training, settings, mixing = self.training, self.settings, None
        if settings.views:
            view = make_view(training.pixels, settings.augment, seed=settings.seed, view=epoch % settings.views)
            training = dataclasses.replace(training, pixels=prepared(view, settings.input))
            settings, mixing = dataclasses.replace(settings, augment=NO_AUGMENT), view.mixing
        batches = make_epoch(
            training, settings, epoch=epoch, soft_targets=self.soft_targets.at(epoch) if self.soft_targets else None,
            per_class_recall=per_class_recall, view_mixing=mixing,
        )  # fmt: skip
        return batches.in_memory() if batches.nbytes <= self.memory_bytes else batches


@contextlib.contextmanager
def epoch_loader(
    training: Split, settings: TrainSettings, *, soft_targets: SoftTargets | None = None, memory_bytes: int = 0
) -> Iterator[EpochLoader]:
    """Create an EpochLoader.

    Args:
        training: training images, prepared for the network; with ``settings.views``, unprepared.
        settings: training settings.
        soft_targets: teacher probabilities, or None without teachers.
        memory_bytes: an epoch with at most this size of pixels is built completely before it is returned.
    """
    with ThreadPoolExecutor(1) as executor:
        yield EpochLoader(training, settings, soft_targets, executor, memory_bytes)


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
