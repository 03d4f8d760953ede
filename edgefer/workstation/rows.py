"""What a reader of a data set hands over: the usable rows, and a record of those that are not.

    bad = BadRows()
    rows = catalogue.load("edgefer.workstation.layouts", "csv_table").read(path, bad=bad, progress=silent)
    bad.refuse(path, skip=False)                    # raises, naming the first ten

A reader is one file in ``layouts/``.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError

__all__ = ["SPLITS", "BadRows", "Rows", "file_sha256"]

SPLITS = ("Training", "PublicTest", "PrivateTest")
NAMED_BAD_ROWS = 10


@dataclass(frozen=True)
class Rows:
    """Faces in the order of their source.

    Attributes:
        pixels: uint8 (n, 48, 48).
        labels: int64 (n,), indices into LABELS.
        usage: int8 (n,), indices into SPLITS.
        rows: int64 (n,), the identity of each face in its source: the 0-based data row of a table; for an image tree
            the row of fer2013.csv where the file names keep it, otherwise the position among the sorted names.
        votes: float32 (n, 10) FER+ votes where the source carries them, or None.
        layout: the kind of source, such as "fer2013.csv".
        row_count: how many data rows the source has, bad ones included; None where it is a tree of images.
        numbered: whether ``rows`` are row numbers of fer2013.csv or of the table that was read.
        notes: plain sentences for the user.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    usage: npt.NDArray[np.int8]
    rows: npt.NDArray[np.int64]
    votes: npt.NDArray[np.float32] | None
    layout: str
    row_count: int | None
    numbered: bool = True
    notes: tuple[str, ...] = ()

    def with_notes(self, notes: tuple[str, ...]) -> Rows:
        """The same rows with more notes."""
        return replace(self, notes=(*self.notes, *notes))


class BadRows:
    """Counts the rows that cannot be used and keeps the first ten with their reasons."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, place: str, reason: str) -> None:
        """Record one row; ``place`` is where the user finds it, such as "line 12" or "train/happy/7.jpg"."""
        self.count += 1
        if len(self.first) < NAMED_BAD_ROWS:
            self.first.append(f"{place}: {reason}")

    def named(self) -> str:
        """The first ten, in one line."""
        return "; ".join(self.first) + ("; ..." if self.count > len(self.first) else "")

    def refuse(self, path: Path, *, skip: bool) -> tuple[str, ...]:
        """Return the notes on what was left out.

        Raises:
            DataError: there are bad rows and ``skip`` is False.
        """
        if not self.count:
            return ()
        named = self.named()
        rows = "1 row" if self.count == 1 else f"{self.count} rows"
        if not skip:
            raise DataError(
                f"{path} has {rows} that cannot be used", why=named, fix="add --skip-bad-rows to leave them out"
            )
        return (f"{rows} that cannot be used left out ({named}).",)


def file_sha256(path: Path) -> str:
    """Hash of a file's content, in hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()
