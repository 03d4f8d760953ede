"""Accuracy of teachers, alone and together, and the agreement of students with them.

    teachers = read_teachers(fields)                # from benchmarks/teachers.py
    teachers_table(teachers)

A record has ``kind`` "teachers", ``schema_version`` 1, ``n``: the number of PublicTest faces, ``combinations``: one
object per set of teachers, ``training_faces``, and ``students``: one object per student.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.escaping import escape_markdown
from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import require
from ledgers.percent import percent_with_interval

__all__ = ["Combination", "Student", "Teachers", "read_teachers", "teachers_table"]

KIND = "teachers"
SCHEMA_VERSION = 1
HEADERS = ("teachers", "PublicTest, % (95 % interval)", "with mirror images, %")
LEGEND = (
    "PublicTest of FER2013, {n:,} images. The logits of several teachers are averaged; with mirror images, also those "
    "of each image and its mirror image."
)


@dataclass(frozen=True)
class Combination:
    """Teachers whose logits are averaged.

    Attributes:
        teachers: names of the teachers.
        correct, mirror_correct: correct PublicTest faces, without and with the logits of their mirror images.
    """

    teachers: tuple[str, ...]
    correct: int
    mirror_correct: int


@dataclass(frozen=True)
class Student:
    """A student beside all teachers together.

    Attributes:
        name: name of the student.
        public_agreement, training_agreement: share of PublicTest faces and of augmented Training faces that both label
            alike, in 0..1.
    """

    name: str
    public_agreement: float
    training_agreement: float


@dataclass(frozen=True)
class Teachers:
    """A record.

    Attributes:
        n, training_faces: number of PublicTest faces and of augmented Training faces.
        combinations: sets of teachers.
        students: their students.
    """

    n: int
    training_faces: int
    combinations: tuple[Combination, ...]
    students: tuple[Student, ...]


def read_teachers(fields: Mapping[str, Any]) -> Teachers:
    """Read a record of kind "teachers".

    Raises:
        DataError: the record has another kind, or an entry is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, n=int, training_faces=int, combinations=list, students=list)
    n = fields["n"]
    combinations = tuple(_combination(entry, n) for entry in fields["combinations"])
    return Teachers(n, fields["training_faces"], combinations, tuple(map(_student, fields["students"])))


def _combination(entry: Mapping[str, Any], n: int) -> Combination:
    require(entry, teachers=list, correct=int, mirror_correct=int)
    for key in ("correct", "mirror_correct"):
        if not 0 <= entry[key] <= n:
            raise DataError(f"{key} is {entry[key]}", why=f"expected 0 to {n:,}, the number of faces")
    return Combination(tuple(map(str, entry["teachers"])), entry["correct"], entry["mirror_correct"])


def _student(entry: Mapping[str, Any]) -> Student:
    require(entry, student=str, public_agreement=float, training_agreement=float)
    return Student(entry["student"], entry["public_agreement"], entry["training_agreement"])


def teachers_table(teachers: Teachers) -> Table:
    """Tabulate the sets of teachers, one row each, in the order of the record; the legend describes the students."""
    rows = []
    for combination in teachers.combinations:
        accuracy = percent_with_interval(combination.correct, teachers.n, digits=2)
        names = ", ".join(map(escape_markdown, combination.teachers))
        rows.append([names, accuracy, f"{100 * combination.mirror_correct / teachers.n:.2f}"])
    sentences = [
        f"{escape_markdown(student.name)} labels {100 * student.public_agreement:.1f} % of PublicTest and "
        f"{100 * student.training_agreement:.1f} % of {teachers.training_faces:,} augmented Training faces like all "
        "teachers together."
        for student in teachers.students
    ]
    return Table(HEADERS, rows, " ".join([LEGEND.format(n=teachers.n), *sentences]), text_columns=1, is_markdown=True)
