"""Compute and store teacher logits on the training images for knowledge distillation.

    teachers = [open_teacher("runs/wide-1"), open_teacher("small")]
    computed = compute_teacher_logits(teachers, training, settings)
    save_teacher_logits(run, computed, training.rows, settings)
    soft_targets(run, training, settings).at(epoch)                 # float32 (n, classes)

Teachers run before training, never during it: on a CPU, running large teachers in every step of a small student would
dominate the training time. With ``settings.views``, each epoch uses one of that many augmented views of all images, and
the teachers see the pixels that the student sees. Otherwise the teachers see the images, and the student sees random
augmentations. In both cases, ``settings.distill_views`` averages the logits over copies that are mirrored or shifted.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edgefer import cache, files
from edgefer.data.dataset import Split
from edgefer.data.naming import list_names, match_names
from edgefer.data.pixels import LazyPixels, Pixels, chunks
from edgefer.errors import DataError, UsageError
from edgefer.progress import Progress, silent
from edgefer.statistics import softmax
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.soft_targets import SoftTargets, encode
from edgefer.workstation.training.teachers import Teacher
from edgefer.workstation.training.views import make_view

__all__ = ["check_teachers", "compute_teacher_logits", "save_teacher_logits", "soft_targets"]

FILE = "teachers.npz"
SHIFT = 2

Logits = npt.NDArray[np.float32]


def compute_teacher_logits(
    teachers: Sequence[Teacher], training: Split, settings: TrainSettings, *, progress: Progress = silent
) -> Logits:
    """Average the logits of all teachers and of the copies of each image, or of each augmented view.

    Each teacher's logits are cached, so an interrupted computation continues and further students reuse them.

    Args:
        teachers: trained classifiers.
        training: raw, unprepared images; each teacher applies its own preprocessing.
        settings: settings of the student.
        progress: progress callback.

    Returns:
        float32 (1, n, classes), or with ``settings.views``, float32 (views, n, classes).

    Raises:
        DataError: the weights of a run cannot be loaded, or a teacher lacks a class of the student.
    """
    views = settings.views or 1
    columns = [_columns(teacher, training.label_names) for teacher in teachers]
    logits = []
    for number in range(views):
        copies = _copies(training, settings, number)
        per_teacher = []
        for index, teacher in enumerate(teachers):
            note = f"computing teacher logits: {teacher.name}"
            progress(number * len(teachers) + index, views * len(teachers), note)
            parts = [_cached_logits(teacher, training, identity, images) for identity, images in copies]
            per_teacher.append(np.stack(parts)[:, :, columns[index]].mean(axis=0, dtype=np.float32))
        logits.append(np.stack(per_teacher).mean(axis=0, dtype=np.float32))
    averaged: Logits = np.stack(logits)
    return averaged


def _columns(teacher: Teacher, labels: tuple[str, ...]) -> list[int]:
    """Return the output of a teacher for each class of the student; a teacher may have more classes."""
    index_of = match_names(labels, teacher.labels)
    missing = [label for label in labels if label not in index_of]
    if missing:
        why = f"its classes are {list_names(teacher.labels)}"
        hint = "--classes with classes of the teacher, or another --teacher"
        raise DataError(f"the teacher {teacher.name} lacks the classes {list_names(missing)}", why=why, hint=hint)
    return [index_of[label] for label in labels]


def _copies(training: Split, settings: TrainSettings, number: int) -> list[tuple[str, list[LazyPixels]]]:
    """Return what the teachers see: images whose logits are cached together, each list with its identity."""
    if not settings.views:
        return [(settings.distill_views, list(fixed_views(training.pixels, settings.distill_views)))]
    view = make_view(training.pixels, settings.augment, seed=settings.seed, view=number)
    facts = [number, settings.seed, dataclasses.asdict(settings.augment)]
    copies = enumerate(fixed_views(view, settings.distill_views))
    # The first copy is the view itself.
    return [(json.dumps([*facts, *([index] if index else [])]), [copy]) for index, copy in copies]


def _cached_logits(teacher: Teacher, training: Split, identity: str, images: list[LazyPixels]) -> Logits:
    """Return the logits of one teacher, averaged over the copies of the images, from its cache if it has them."""
    digest = hashlib.sha256(f"{teacher.cache_key} {identity}".encode())
    for chunk in chunks(training.pixels):
        digest.update(np.ascontiguousarray(chunk).data)
    path = teacher.cache / f"answers-{digest.hexdigest()[:16]}.npy" if teacher.cache else None
    if path is not None:
        with contextlib.suppress(OSError, ValueError, EOFError):  # treat a damaged cache as a miss
            cached: Logits = np.load(path, allow_pickle=False)
            if cached.shape == (len(training), len(teacher.labels)):
                cache.mark_used(path)
                return cached
    mean: Logits = np.stack([teacher.logits(copy) for copy in images]).mean(axis=0, dtype=np.float32)
    if path is not None:
        # The folder of a teacher may be one that cannot be written.
        with contextlib.suppress(OSError), files.atomic_write(path) as temporary:
            np.save(temporary, mean)
        cache.trim()
    return mean


class _ShiftedView(LazyPixels):
    """Images that are shifted, and mirrored or not, whenever they are read."""

    def __init__(self, pixels: Pixels, top: int, left: int, *, mirror: bool) -> None:
        super().__init__(tuple(pixels.shape))
        self.pixels, self.top, self.left, self.mirror = pixels, top, left, mirror

    def read(self, positions: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        height, width = self.shape[1:3]
        padding = [(0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)]
        padded = np.pad(self.pixels[positions], padding[: len(self.shape)], mode="edge")
        view: npt.NDArray[np.uint8] = padded[:, self.top : self.top + height, self.left : self.left + width]
        return view[:, :, ::-1] if self.mirror else view


def fixed_views(faces: Pixels, selection: str) -> Iterator[LazyPixels]:
    """Yield the copies of ``faces`` for one value of ``distill_views``, padded by edge replication.

    Args:
        faces: uint8 (n, h, w) or (n, h, w, 3).
        selection: "plain", "mirror" or "crops".

    Yields:
        Copies of the shape of ``faces``, computed whenever they are read; the first one is unchanged.
    """
    corners = [(SHIFT, SHIFT), (0, 0), (0, 2 * SHIFT), (2 * SHIFT, 0), (2 * SHIFT, 2 * SHIFT)]
    for top, left in corners if selection == "crops" else corners[:1]:
        for mirror in (False, True) if selection != "plain" else (False,):
            yield _ShiftedView(faces, top, left, mirror=mirror)


def save_teacher_logits(run: Run, logits: Logits, rows: npt.NDArray[np.int64], settings: TrainSettings) -> None:
    """Save the result of compute_teacher_logits() for the images ``rows`` and ``settings`` in the run folder."""
    with files.atomic_write(run.folder / FILE) as temporary:
        if settings.views:
            np.savez(temporary, views=encode(softmax(logits / settings.distill_temperature)), rows=rows)
        else:
            np.savez(temporary, logits=logits[0], rows=rows)


def soft_targets(run: Run, training: Split, settings: TrainSettings) -> SoftTargets | None:
    """Load the teacher probabilities at ``settings.distill_temperature``.

    Returns:
        The probabilities of all training images, or None for a run without teachers.

    Raises:
        DataError: the saved logits are missing, damaged or belong to other images.
    """
    if not run.teachers:
        return None
    path = run.folder / FILE
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as saved:
            stored, rows = saved["views" if settings.views else "logits"], saved["rows"]
        if not np.array_equal(rows, training.rows):
            raise ValueError("it contains the logits of other images")
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        hint = "edgefer train --teacher RUN   (a new run)"
        raise DataError(f"cannot read the teacher logits in {path}", why=str(error), hint=hint) from error
    if settings.views:
        return SoftTargets(stored)
    return SoftTargets(softmax(stored / settings.distill_temperature).astype(np.float32)[None])


def check_teachers(teachers: Sequence[Teacher], settings: TrainSettings) -> None:
    """Check that the settings use the teachers.

    Raises:
        UsageError: there are teachers, but ``distill_alpha`` is 0; or there are views, but no teachers.
    """
    if teachers and not settings.distill_alpha:
        why = "distill_alpha weights the distillation loss, so the teachers would have no effect"
        raise UsageError("--teacher with distill_alpha = 0", why=why, hint="--set distill_alpha=0.9")
    if settings.views and not teachers:
        why = "views exist for their teacher logits"
        raise UsageError(f"views = {settings.views} without a teacher", why=why, hint="--teacher RUN, or --views 0")
