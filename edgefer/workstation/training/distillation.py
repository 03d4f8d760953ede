"""What trained networks answer to the training images, for another network to learn from.

    logits = ask([Run(Path("runs/wide-1")), Run(Path("runs/wide-2"))], learn, settings)
    save(run, logits, learn.rows); soft = soft_targets(run, learn, settings)

They are asked once, before the training, and answer to some views of each image, not to each of its augmentations: on a
processor that trains a small network, running several large ones beside it in every step would take most of the time.
"""

from __future__ import annotations

import contextlib
import hashlib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

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

__all__ = ["check_teachers", "compute_teacher_logits", "describe_teachers", "save_teacher_logits", "soft_targets"]

FILE = "teachers.npz"
SHIFT = 2


def compute_teacher_logits(
    teachers: Sequence[Run], learn: Split, settings: TrainSettings, *, progress: Progress = silent
) -> npt.NDArray[np.float32]:
    """float32 (len(learn), 7): the mean of the teachers' logits for the views of the images that the settings name.

    ``learn`` holds raw images; each teacher gets them prepared as it wants them.

    Raises:
        DataError: a run without weights, or one whose weights cannot be loaded.
    """
    answers = []
    for number, teacher in enumerate(teachers):
        progress(number, len(teachers), f"asking {teacher.settings().system} what it thinks")
        answers.append(_answers(teacher, learn, settings.distill_views))
    mean: npt.NDArray[np.float32] = np.stack(answers).mean(axis=0, dtype=np.float32)
    return mean


def _answers(teacher: Run, learn: Split, which: str) -> npt.NDArray[np.float32]:
    """What one of them answers, kept in its folder: several students learn from it, and it was asked once."""
    teacher.require_weights()
    digest = hashlib.sha256(f"{teacher.subject['sha256']} {which}".encode())
    digest.update(learn.pixels.tobytes())
    path = teacher.folder / f"answers-{digest.hexdigest()[:16]}.npy"
    with contextlib.suppress(OSError, ValueError):  # as good as none
        kept: npt.NDArray[np.float32] = np.load(path, allow_pickle=False)
        return kept
    network = load_network(load_keras(), teacher)
    faces = prepare_all(learn.pixels, teacher.settings().input)
    answers = [keras_logits(network, view) for view in views(faces, which)]
    mean: npt.NDArray[np.float32] = np.stack(answers).mean(axis=0, dtype=np.float32)
    with files.atomic_write(path) as temporary:
        np.save(temporary, mean)
    return mean


def views(faces: npt.NDArray[np.uint8], which: str) -> Iterator[npt.NDArray[np.uint8]]:
    """The views of uint8 (n, h, w) that ``distill_views`` calls ``which``; past an edge the edge is repeated."""
    _, height, width = faces.shape
    padded = np.pad(faces, ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)), mode="edge")
    corners = [(SHIFT, SHIFT), (0, 0), (0, 2 * SHIFT), (2 * SHIFT, 0), (2 * SHIFT, 2 * SHIFT)]
    for top, left in corners if which == "crops" else corners[:1]:
        view = padded[:, top : top + height, left : left + width]
        yield view
        if which != "plain":
            yield view[:, :, ::-1]


def describe_teachers(teachers: Sequence[Run]) -> list[dict[str, Any]]:
    """Which networks they are, for the record of the training: name and hash of the weights."""
    return [{"run": teacher.folder.resolve().name, **teacher.subject} for teacher in teachers]


def save_teacher_logits(run: Run, logits: npt.NDArray[np.float32], rows: npt.NDArray[np.int64]) -> None:
    """Keep the answers to the images ``rows`` in the run's folder."""
    with files.atomic_write(run.folder / FILE) as temporary:
        np.savez(temporary, logits=logits, rows=rows)


def soft_targets(run: Run, learn: Split, settings: TrainSettings) -> npt.NDArray[np.float32] | None:
    """float32 (len(learn), 7), the teachers' softmax at the temperature of the settings; None for a run without any.

    Raises:
        DataError: the run has had teachers, and what they answered is gone, damaged or for other images.
    """
    if not run.teachers:
        return None
    path = run.folder / FILE
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            logits, rows = kept["logits"], kept["rows"]
        if not np.array_equal(rows, learn.rows):
            raise ValueError("it holds answers for other images")
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        hint = "edgefer train --teacher RUN   (a new run)"
        raise DataError(f"cannot read what the teachers answered from {path}", why=str(error), hint=hint) from error
    return softmax(logits / settings.distill_temperature).astype(np.float32)


def check_teachers(teachers: Sequence[Run], settings: TrainSettings) -> None:
    """Raise UsageError where teachers are given and the settings do not listen to them."""
    if teachers and not settings.distill_alpha:
        why = "nothing would be learned from them"
        raise UsageError("--teacher with distill_alpha = 0", why=why, hint="--set distill_alpha=0.9")
