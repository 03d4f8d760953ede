"""Compute and store teacher logits on the training images for knowledge distillation.

    logits = compute_teacher_logits([Run(Path("runs/wide-1")), Run(Path("runs/wide-2"))], training, settings)
    save_teacher_logits(run, logits, training.rows)
    soft = soft_targets(run, training, settings)

Teachers run once, before training, on a few fixed views of each image instead of on every augmentation.
On a CPU, running large teachers in every step of a small student would dominate the training time.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import Split
from edgefer.errors import DataError, UsageError
from edgefer.progress import Progress, silent
from edgefer.statistics import softmax
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.settings import TrainSettings

__all__ = ["check_teachers", "compute_teacher_logits", "save_teacher_logits", "soft_targets"]

FILE = "teachers.npz"
SHIFT = 2


def compute_teacher_logits(
    teachers: Sequence[Run], training: Split, settings: TrainSettings, *, progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """Average the logits of all teachers over the views that ``settings.distill_views`` selects.

    Args:
        teachers: completed runs.
        training: raw, unprepared images; each teacher applies its own preprocessing.
        settings: settings of the student.
        progress: progress callback.

    Returns:
        float32 (len(training), 7).

    Raises:
        DataError: a run has no weights, or its weights cannot be loaded.
    """
    logits = []
    for number, teacher in enumerate(teachers):
        progress(number, len(teachers), f"computing teacher logits: {teacher.settings().system}")
        logits.append(_cached_logits(teacher, training, settings.distill_views))
    mean: npt.NDArray[np.float32] = np.stack(logits).mean(axis=0, dtype=np.float32)
    return mean


def _cached_logits(teacher: Run, training: Split, selection: str) -> npt.NDArray[np.float32]:
    """Compute the mean logits of one teacher, cached in its run folder for further students."""
    teacher.require_weights()
    digest = hashlib.sha256(f"{teacher.subject['sha256']} {selection}".encode())
    digest.update(training.pixels.tobytes())
    path = teacher.folder / f"answers-{digest.hexdigest()[:16]}.npy"
    with contextlib.suppress(OSError, ValueError):  # treat a damaged cache as a miss
        cached: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        return cached
    network = load_network(load_keras(), teacher)
    faces = prepare_all(training.pixels, teacher.settings().input)
    logits = [keras_logits(network, view) for view in views(faces, selection)]
    mean: npt.NDArray[np.float32] = np.stack(logits).mean(axis=0, dtype=np.float32)
    with files.atomic_write(path) as temporary:
        np.save(temporary, mean)
    return mean


def views(faces: npt.NDArray[np.uint8], selection: str) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield the views of ``faces`` for one value of ``distill_views``, padded by edge replication.

    Args:
        faces: uint8 (n, h, w).
        selection: "plain", "mirror" or "crops".

    Yields:
        uint8 (n, h, w).
    """
    _, height, width = faces.shape
    padded = np.pad(faces, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    corners = [(SHIFT, SHIFT), (0, 0), (0, 2 * SHIFT), (2 * SHIFT, 0), (2 * SHIFT, 2 * SHIFT)]
    for top, left in corners if selection == "crops" else corners[:1]:
        view = padded[:, top : top + height, left : left + width]
        yield view
        if selection != "plain":
            yield view[:, :, ::-1]


def save_teacher_logits(run: Run, logits: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]) -> None:
    """Save the teacher logits of the images ``rows`` in the run folder."""
    with files.atomic_write(run.folder / FILE) as temporary:
        np.savez(temporary, logits=logits, rows=rows)


def soft_targets(run: Run, training: Split, settings: TrainSettings) -> npt.NDArray[np.float32] | None:
    """Compute the teachers' softmax at ``settings.distill_temperature`` from the saved logits.

    Returns:
        float32 (len(training), 7), or None for a run without teachers.

    Raises:
        DataError: the saved logits are missing, damaged or belong to other images.
    """
    if not run.teachers:
        return None
    path = run.folder / FILE
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            logits, rows = saved["logits"], saved["rows"]
        if not np.array_equal(rows, training.rows):
            raise ValueError("it contains the logits of other images")
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        hint = "edgefer train --teacher RUN   (a new run)"
        raise DataError(f"cannot read the teacher logits in {path}", why=str(error), hint=hint) from error
    return softmax(logits / settings.distill_temperature).astype(np.float32)


def check_teachers(teachers: Sequence[Run], settings: TrainSettings) -> None:
    """Check that the settings use the teachers.

    Raises:
        UsageError: there are teachers, but ``distill_alpha`` is 0.
    """
    if teachers and not settings.distill_alpha:
        why = "distill_alpha weights the distillation loss, so the teachers would have no effect"
        raise UsageError("--teacher with distill_alpha = 0", why=why, hint="--set distill_alpha=0.9")
