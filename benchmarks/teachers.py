"""Measure teachers, alone and together, and how well students reproduce them.

    python benchmarks/teachers.py TEACHER... --student MODEL... --data fer2013.csv --out results/teachers.json

TEACHER and MODEL are a run, a .tflite or the name of a shipped model. Teachers are combined as ``edgefer train
--teacher`` combines them: by the mean of their logits, without and with the logits of the mirror images. The record has
kind "teachers". For each student, it contains the share of faces that the student and all teachers together label
alike: on PublicTest, and on every eighth Training face, augmented as in the first view of ``--views``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.data.dataset import load
from edgefer.data.pixels import Pixels
from edgefer.errors import EdgeferError
from edgefer.results import schema
from edgefer.workstation.training.systems.nano import SYSTEM
from edgefer.workstation.training.teachers import Teacher, open_teacher
from edgefer.workstation.training.views import make_view

TRAINING_STEP = 8

Logits = npt.NDArray[np.float32]


def main() -> None:
    """Measure the teachers and the students, and write the record."""
    options = _options()
    dataset = load(options.data)
    public, training = dataset.split("PublicTest"), dataset.split("Training")
    teachers, students = ([open_teacher(name) for name in names] for names in (options.teachers, options.student))
    views = make_view(training.pixels, SYSTEM.augment, seed=SYSTEM.seed, view=0)
    augmented = views[np.arange(0, len(training), TRAINING_STEP)]
    plain = {teacher.name: teacher.logits(public.pixels) for teacher in teachers}
    mirrored = {teacher.name: teacher.logits(public.pixels[:, :, ::-1]) for teacher in teachers}
    sizes = range(1, len(teachers) + 1)
    combinations = [
        {
            "teachers": list(names),
            "correct": _correct([plain[name] for name in names], public.labels),
            "mirror_correct": _correct([logits[name] for logits in (plain, mirrored) for name in names], public.labels),
        }
        for names in itertools.chain(*(itertools.combinations(plain, size) for size in sizes))
    ]
    together = _labels(list(plain.values())), _labels([teacher.logits(augmented) for teacher in teachers])
    record = {
        **schema.header("teachers", 1),
        "n": len(public),
        "combinations": combinations,
        "training_faces": len(augmented),
        "students": [_student(student, public.pixels, augmented, together) for student in students],
    }
    files.write_text(options.out, json.dumps(record, indent=1) + "\n")
    print(json.dumps(record))  # noqa: T201 - a script reports its results


def _student(
    student: Teacher, public: Pixels, augmented: Pixels, together: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]
) -> dict[str, Any]:
    agreements = [
        float((_labels([student.logits(faces)]) == labels).mean())
        for faces, labels in zip((public, augmented), together, strict=True)
    ]
    return {"student": student.name, "public_agreement": agreements[0], "training_agreement": agreements[1]}


def _labels(logits: list[Logits]) -> npt.NDArray[np.int64]:
    labels: npt.NDArray[np.int64] = np.mean(logits, axis=0).argmax(axis=1)
    return labels


def _correct(logits: list[Logits], labels: npt.NDArray[np.int64]) -> int:
    return int((_labels(logits) == labels).sum())


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("teachers", nargs="+", metavar="TEACHER")
    parser.add_argument("--student", nargs="*", default=[], metavar="MODEL")
    parser.add_argument("--data", type=Path, required=True, help="fer2013.csv")
    parser.add_argument("--out", type=Path, required=True, help="file of the record")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except EdgeferError as error:
        sys.exit(str(error))
