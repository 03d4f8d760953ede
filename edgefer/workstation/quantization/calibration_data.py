"""Select the Training faces that calibrate an int8 model.

    draw_faces(training, size=500, seed=0).faces                # uint8 (500, 48, 48), a random draw

    pool = calibration_pool(dataset)                            # stratified: classes, brightness, contrast
    selection = pool.select(size=500, seed=0)
    selection.rows, selection.labels, selection.faces
    pool.select_disjoint(sets=5, size=500, seed=0)

Only Training faces are used: calibration with test images leaks them into the model, and calibration with noise costs
about two points. Stratified selection excludes images that have an exact duplicate anywhere in the data set, and images
with a single gray value. It uses integers and hashes instead of a random generator, so the same data, size and seed
select the same faces with every numpy version and on every processor.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.data.dataset import Dataset, Split
from edgefer.data.pixels import Pixels
from edgefer.data.records import file_sha256
from edgefer.errors import DataError, UsageError
from edgefer.results import schema

__all__ = [
    "CalibrationPool", "DrawnFaces", "SelectedFaces", "calibration_pool", "draw_faces", "selection_record",
]  # fmt: skip

DEFAULT_SIZE = 500
DECILES = 10
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class DrawnFaces:
    """Calibration faces drawn at random from Training.

    Attributes:
        faces: uint8 (n, h, w).
        seed: random seed of the draw.
    """

    faces: npt.NDArray[np.uint8]
    seed: int

    def provenance(self) -> dict[str, Any]:
        """Return the calibration entry of a model's contract."""
        return {"faces": len(self.faces), "seed": self.seed}


def draw_faces(training: Split, *, size: int | None = None, seed: int = 0) -> DrawnFaces:
    """Draw faces, balanced over the classes as far as the data allow.

    Args:
        training: training images.
        size: number of faces; None draws 500, or all if there are fewer.
        seed: random seed of the draw.

    Raises:
        UsageError: ``size`` is less than 1.
        DataError: ``training`` has fewer than ``size`` images, or none.
    """
    size = min(DEFAULT_SIZE, max(1, len(training))) if size is None else size
    if size < 1:
        raise UsageError(f"{size} calibration faces", why="expected at least 1", hint="--calibration-size 500")
    if len(training) < size:
        raise DataError(
            f"cannot draw {size} calibration faces",
            why=f"Training has {len(training)} images",
            hint=f"--calibration-size {max(1, len(training))}",
        )
    generator = np.random.default_rng(seed)
    classes = range(len(training.label_names))
    queues = [generator.permutation(np.flatnonzero(training.labels == label)) for label in classes]
    # Each turn takes one face of every class that has faces left, so rare classes run out first.
    order = [queue[turn] for turn in range(size) for queue in queues if turn < len(queue)]
    return DrawnFaces(training.pixels[np.array(order[:size])], seed)


@dataclass(frozen=True, eq=False)
class SelectedFaces:
    """Training images selected for calibration, in the order of their rows.

    Attributes:
        rows, labels, label_names: as in Split.
        faces: uint8 (n, h, w).
        digests: as in Split, one per face.
        brightness, contrast: int64 (n,), decile of each face among the pool, 0 to 9, by the mean and by the standard
            deviation of its pixels.
    """

    rows: Integers
    labels: Integers
    faces: npt.NDArray[np.uint8]
    digests: tuple[bytes, ...]
    brightness: Integers
    contrast: Integers
    label_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class CalibrationPool:
    """Training images that may calibrate a model.

    Attributes:
        split: the images.
        digests: as in Split, one per image.
        brightness, contrast: int64 (n,), as in SelectedFaces.
        constant: excluded images with a single gray value.
        duplicates: other excluded images, which have an exact duplicate in the data set.
    """

    split: Split
    digests: tuple[bytes, ...]
    brightness: Integers
    contrast: Integers
    constant: int
    duplicates: int

    def select(self, *, size: int, seed: int = 0) -> SelectedFaces:
        """Select ``size`` faces.

        Raises:
            DataError: the pool has fewer images.
        """
        return self.select_disjoint(sets=1, size=size, seed=seed)[0]

    def select_disjoint(self, *, sets: int, size: int, seed: int = 0) -> list[SelectedFaces]:
        """Select several disjoint sets of ``size`` faces with the same composition.

        The classes take turns, and within each class the sets: each turn adds one face of a class that has faces left,
        so rare classes run out first. It is the face whose brightness and contrast deciles occur least among the set's
        faces of that class, then among the whole set. A hash of seed and pixels breaks ties.

        Raises:
            DataError: the pool has fewer than ``sets * size`` images.
        """
        if len(self.split) < sets * size:
            flag, largest = "--size" if sets == 1 else "--calibration-size", len(self.split) // sets
            check = "edgefer data check PATH   (counts duplicates and constant images)"
            raise DataError(
                f"cannot select {sets * size:,} different calibration faces",
                why=f"Training has {len(self.split):,}, without {self.constant:,} images with a single gray value and "
                f"{self.duplicates:,} exact duplicates",
                hint=f"{flag} {largest}" if largest else check,
            )
        return [_selected(self, sorted(members)) for members in _take_turns(self, sets, size, seed)]


def calibration_pool(dataset: Dataset) -> CalibrationPool:
    """Return the Training images that may calibrate a model.

    Raises:
        DataError: the data set has no Training split.
    """
    training = dataset.split("Training")
    counts = Counter(digest for split in dataset.splits.values() for digest in split.digests)
    is_duplicate = np.array([counts[digest] > 1 for digest in training.digests], bool)
    brightness, contrast = _brightness_and_contrast(training.pixels)
    is_constant = contrast == 0
    kept = np.flatnonzero(~is_duplicate & ~is_constant)
    return CalibrationPool(
        split=training.take(kept),
        digests=tuple(training.digests[index] for index in kept.tolist()),
        brightness=_deciles(brightness[kept]),
        contrast=_deciles(contrast[kept]),
        constant=int(is_constant.sum()),
        duplicates=int((is_duplicate & ~is_constant).sum()),
    )


def selection_record(selection: SelectedFaces, pool: CalibrationPool, path: Path) -> dict[str, Any]:
    """Return a record of kind "calibration_set" for the set written to ``path``."""
    selected, available = (
        dict(
            zip(selection.label_names, np.bincount(labels, minlength=len(selection.label_names)).tolist(), strict=True)
        )
        for labels in (selection.labels, pool.split.labels)
    )
    return {
        **schema.header("calibration_set", 1),
        "path": str(path),
        "sha256": file_sha256(path),
        "faces": len(selection),
        "classes": selected,
        "available": available,
        "brightness_tenths": np.bincount(selection.brightness, minlength=DECILES).tolist(),
        "contrast_tenths": np.bincount(selection.contrast, minlength=DECILES).tolist(),
        "candidates": len(pool.split),
        "constant_images": pool.constant,
        "images_with_a_twin": pool.duplicates,
    }


def _take_turns(pool: CalibrationPool, sets: int, size: int, seed: int) -> list[list[int]]:
    count, classes = len(pool.split), len(pool.split.label_names)
    ranks = _ranks(pool.digests, seed)
    remaining = [np.flatnonzero(pool.split.labels == label) for label in range(classes)]
    # Uses of each decile per set and class; the last class entry counts all classes.
    uses = np.zeros((sets, classes + 1, 2, DECILES), np.int64)
    selected: list[list[int]] = [[] for _ in range(sets)]
    while min(map(len, selected)) < size:
        for label in range(classes):
            for members, use in zip(selected, uses, strict=True):
                if len(members) == size or not len(remaining[label]):
                    continue
                deciles = pool.brightness[remaining[label]], pool.contrast[remaining[label]]
                in_class, in_set = (use[index, 0, deciles[0]] + use[index, 1, deciles[1]] for index in (label, -1))
                # One integer that sorts by uses in the class, then uses in the set, then rank.
                place = int(np.argmin((in_class * (2 * size + 1) + in_set) * count + ranks[remaining[label]]))
                members.append(int(remaining[label][place]))
                remaining[label] = np.delete(remaining[label], place)
                for kind in (0, 1):
                    use[[label, -1], kind, deciles[kind][place]] += 1
    return selected


def _selected(pool: CalibrationPool, members: list[int]) -> SelectedFaces:
    split = pool.split
    return SelectedFaces(
        split.rows[members],
        split.labels[members],
        split.pixels[members],
        tuple(pool.digests[member] for member in members),
        pool.brightness[members],
        pool.contrast[members],
        split.label_names,
    )


def _ranks(digests: tuple[bytes, ...], seed: int) -> Integers:
    """Return the rank of each image, int64 (n,), in the order of a hash of ``seed`` and its digest."""
    keys = [hashlib.sha256(b"%d " % seed + digest).digest() for digest in digests]
    ranks = np.empty(len(keys), np.int64)
    ranks[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return ranks


def _brightness_and_contrast(pixels: Pixels) -> tuple[Integers, Integers]:
    """Return integers, int64 (n,), that order images by mean and by variance without rounding.

    They are the sum of the pixels, and the variance times the squared number of pixels.
    """
    count = pixels[0].size if len(pixels) else 0
    sums = np.array([image.sum(dtype=np.int64) for image in pixels], np.int64)
    squares = np.array([np.square(image, dtype=np.int64).sum() for image in pixels], np.int64)
    return sums, count * squares - sums**2


def _deciles(values: Integers) -> Integers:
    deciles = np.empty(len(values), np.int64)
    deciles[np.argsort(values, kind="stable")] = np.arange(len(values)) * DECILES // max(1, len(values))
    return deciles
