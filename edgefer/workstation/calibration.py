"""The faces that set the ranges of an int8 model.

    faces = calibration_faces(training, size=500, seed=0)       # uint8 (500, 48, 48)

They come from Training and from nowhere else: a model calibrated on test images has seen them, and one calibrated on
noise loses about two points.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError, UsageError
from edgefer.labels import LABELS
from edgefer.workstation.dataset import Split

__all__ = ["calibration_faces"]


def calibration_faces(training: Split, *, size: int = 500, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw ``size`` faces of ``training``, as balanced over the classes as the data allow; uint8 (size, h, w).

    Raises:
        UsageError: ``size`` is less than 1.
        DataError: Training holds fewer than ``size`` images.
    """
    if size < 1:
        what = f"{size} calibration faces were asked for"
        raise UsageError(what, why="one is the least", fix="--calibration-size 500")
    if len(training) < size:
        raise DataError(
            f"{size} calibration faces were asked for",
            why=f"Training holds {len(training)}",
            fix=f"--calibration-size {len(training)}",
        )
    generator = np.random.default_rng(seed)
    queues = [generator.permutation(np.flatnonzero(training.labels == label)) for label in range(len(LABELS))]
    # Round by round one face of each class that still has some; rare classes run out first.
    rounds = [queue[turn] for turn in range(size) for queue in queues if turn < len(queue)]
    faces: npt.NDArray[np.uint8] = training.pixels[np.array(rounds[:size])]
    return faces
