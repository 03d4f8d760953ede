"""Select the Training faces that calibrate an int8 model.

    faces = calibration_faces(training, size=500, seed=0)       # uint8 (500, 48, 48), a random draw

    pool = candidates(dataset)                                  # stratified: classes, brightness, contrast
    chosen = pool.choose(size=500, seed=0)
    chosen.rows, chosen.labels, chosen.faces
    pool.choose_disjoint(sets=5, size=500, seed=0)

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

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset, Split
from edgefer.data.records import file_sha256
from edgefer.errors import DataError, UsageError
from edgefer.results import schema
from edgefer.text_table import Result, table

__all__ = ["Candidates", "Chosen", "calibration_faces", "candidates", "summary"]

def calibration_faces(training: Split, *, size: int = 500, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw ``size`` faces of ``training``, as balanced over the classes as the data allow; uint8 (size, h, w).

    Raises:
        UsageError: ``size`` is less than 1.
        DataError: Training holds fewer than ``size`` images.
    """
    if size < 1:
        what = f"{size} calibration faces were asked for"
        raise UsageError(what, why="one is the least", hint="--calibration-size 500")
    if len(training) < size:
        raise DataError(
            f"{size} calibration faces were asked for",
            why=f"Training holds {len(training)}",
            hint=f"--calibration-size {len(training)}",
        )
    generator = np.random.default_rng(seed)
    queues = [generator.permutation(np.flatnonzero(training.labels == label)) for label in range(len(LABELS))]
    # Round by round one face of each class that still has some; rare classes run out first.
    rounds = [queue[turn] for turn in range(size) for queue in queues if turn < len(queue)]
    faces: npt.NDArray[np.uint8] = training.pixels[np.array(rounds[:size])]
    return faces


DECILES = 10
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Chosen:
    """Images of Training, by row.

    Attributes:
        rows, labels: int64 (n,), as in Split.
        faces: uint8 (n, 48, 48).
        digests: as in Split, one per face.
        brightness, contrast: int64 (n,), in which tenth of the candidates each stands, 0 to 9, by the mean and by the
            standard deviation of its pixels.
    """

    rows: Integers
    labels: Integers
    faces: npt.NDArray[np.uint8]
    digests: tuple[bytes, ...]
    brightness: Integers
    contrast: Integers

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class Candidates:
    """The images of Training that may be chosen, and how many may not.

    Attributes:
        split: those images.
        digests: as in Split, one per image, copied from the Training split.
        brightness, contrast: int64 (n,), as in Chosen.
        constant, twins: how many images of Training have a single grey value, or else an exact twin anywhere.
    """

    split: Split
    digests: tuple[bytes, ...]
    brightness: Integers
    contrast: Integers
    constant: int
    twins: int

    def choose(self, *, size: int, seed: int = 0) -> Chosen:
        """``size`` faces, in the order of their rows.

        Raises:
            DataError: there are not as many candidates.
        """
        return self.choose_disjoint(sets=1, size=size, seed=seed)[0]

    def choose_disjoint(self, *, sets: int, size: int, seed: int = 0) -> list[Chosen]:
        """So many times ``size`` faces, no face twice, every set composed like the others.

        The classes take turns, and with each class the sets: one face of each class that still has some, so that rare
        classes run out first and frequent ones fill up. A turn takes the face whose tenths of brightness and contrast
        the set's faces of that class have used least, then those of the whole set; among equals a hash of seed and
        pixels decides.

        Raises:
            DataError: there are not as many candidates.
        """
        if len(self.split) < sets * size:
            raise DataError(
                f"{sets * size:,} different faces were asked for",
                why=f"Training has {len(self.split):,}, besides {self.constant:,} with a single grey value and "
                f"{self.twins:,} with an exact twin",
                hint=f"--{'size' if sets == 1 else 'calibration-size'} {len(self.split) // sets}",
            )
        return [_chosen(self, sorted(members)) for members in _take_turns(self, sets, size, seed)]


def candidates(dataset: Dataset) -> Candidates:
    """The images of Training that calibration may use.

    Raises:
        DataError: there is no Training.
    """
    training = dataset.split("Training")
    counts = Counter(digest for split in dataset.splits.values() for digest in split.digests)
    twin = np.array([counts[digest] > 1 for digest in training.digests], bool)
    brightness, contrast = _brightness_and_contrast(training.pixels)
    constant = contrast == 0
    kept = np.flatnonzero(~twin & ~constant)
    return Candidates(
        split=Split(training.pixels[kept], training.labels[kept], training.rows[kept]),
        digests=tuple(training.digests[index] for index in kept.tolist()),
        brightness=_tenths(brightness[kept]),
        contrast=_tenths(contrast[kept]),
        constant=int(constant.sum()),
        twins=int((twin & ~constant).sum()),
    )


def summary(chosen: Chosen, found: Candidates, path: Path) -> Result:
    """What was chosen, and from how many; ``path`` is the set that was written."""
    classes = np.bincount(chosen.labels, minlength=len(LABELS)).tolist()
    available = np.bincount(found.split.labels, minlength=len(LABELS)).tolist()
    tenths = {
        name: np.bincount(values, minlength=DECILES).tolist()
        for name, values in (("brightness", chosen.brightness), ("contrast", chosen.contrast))
    }
    record = {
        **schema.header("calibration_set", 1),
        "path": str(path),
        "sha256": file_sha256(path),
        "faces": len(chosen),
        "classes": dict(zip(LABELS, classes)),
        "brightness_tenths": tenths["brightness"],
        "contrast_tenths": tenths["contrast"],
        "candidates": len(found.split),
        "constant_images": found.constant,
        "images_with_a_twin": found.twins,
    }
    spread = [[name, *counts] for name, counts in tenths.items()]
    text = (
        f"{path}: {len(chosen):,} faces, sha256 {record['sha256']}\n\n"
        f"{table(['class', 'chosen', 'of'], list(zip(LABELS, classes, available)))}\n\n"
        f"{table(['tenth', *map(str, range(1, DECILES + 1))], spread)}\n\n"
        f"Left out of Training: {found.constant:,} with a single grey value, {found.twins:,} with an exact twin.\n"
        f"next: edgefer quantize --int8 --calibration {path}"
    )
    return Result(record, text)


def _take_turns(found: Candidates, sets: int, size: int, seed: int) -> list[list[int]]:
    count = len(found.split)
    ranks = _ranks(found.digests, seed)
    left = [np.flatnonzero(found.split.labels == label) for label in range(len(LABELS))]
    # How often each set has used each tenth, by class; the last entry is all classes together.
    used = np.zeros((sets, len(LABELS) + 1, 2, DECILES), np.int64)
    taken: list[list[int]] = [[] for _ in range(sets)]
    while min(map(len, taken)) < size:
        for label in range(len(LABELS)):
            for members, use in zip(taken, used):
                if len(members) == size or not len(left[label]):
                    continue
                tenths = found.brightness[left[label]], found.contrast[left[label]]
                own, whole = (use[index, 0, tenths[0]] + use[index, 1, tenths[1]] for index in (label, -1))
                # One number that sorts by the first, then the second, then the third.
                place = int(np.argmin((own * (2 * size + 1) + whole) * count + ranks[left[label]]))
                members.append(int(left[label][place]))
                left[label] = np.delete(left[label], place)
                for kind in (0, 1):
                    use[[label, -1], kind, tenths[kind][place]] += 1
    return taken


def _chosen(found: Candidates, members: list[int]) -> Chosen:
    split = found.split
    return Chosen(
        split.rows[members],
        split.labels[members],
        split.pixels[members],
        tuple(found.digests[member] for member in members),
        found.brightness[members],
        found.contrast[members],
    )


def _ranks(digests: tuple[bytes, ...], seed: int) -> Integers:
    """int64 (n,): the place of each image in the order that ``seed`` shuffles them into."""
    keys = [hashlib.sha256(b"%d " % seed + each).digest() for each in digests]
    ranks = np.empty(len(keys), np.int64)
    ranks[sorted(range(len(keys)), key=keys.__getitem__)] = np.arange(len(keys))
    return ranks


def _brightness_and_contrast(pixels: npt.NDArray[np.uint8]) -> tuple[Integers, Integers]:
    """The sum of each image's pixels, and their variance times their number squared: exact, as rounding differs."""
    count = pixels[0].size if len(pixels) else 0
    sums = pixels.sum(axis=(1, 2), dtype=np.int64)
    squares = np.array([np.square(image, dtype=np.int64).sum() for image in pixels], np.int64)
    return sums, count * squares - sums**2


def _tenths(values: Integers) -> Integers:
    tenths = np.empty(len(values), np.int64)
    tenths[np.argsort(values, kind="stable")] = np.arange(len(values)) * DECILES // max(1, len(values))
    return tenths
