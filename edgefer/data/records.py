"""Tables of samples that data formats return, records of unusable rows, and a cache of parsed data sets.

    bad = BadRows()
    table = plugins.load("edgefer.data.formats", "csv_table").read(path, bad=bad, progress=silent)
    bad.refuse(path, skip=False)                    # raises; the message names the first ten rows

    path = entry(key, skip_bad_rows=False)          # ~/.cache/edgefer/<key>-v1.npz
    table = restore(path)                           # None if the entry is missing or damaged
    problem = store(path, table)                    # empty on success

A cache entry is named after the content of its source, never after its path, so an entry cannot be stale. The name also
contains the format version and whether unusable rows were skipped.
"""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.errors import DataError

__all__ = ["SPLITS", "BadRows", "SampleTable", "entry", "file_sha256", "restore", "store"]

SPLITS = ("Training", "PublicTest", "PrivateTest")
NAMED_BAD_ROWS = 10


@dataclass(frozen=True)
class SampleTable:
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

    def with_notes(self, notes: tuple[str, ...]) -> SampleTable:
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
                f"{path} has {rows} that cannot be used", why=named, hint="add --skip-bad-rows to leave them out"
            )
        return (f"{rows} that cannot be used left out ({named}).",)


def file_sha256(path: Path) -> str:
    """Hash of a file's content, in hex, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


# Raise it whenever a reader would give other rows for the same source.
FORMAT_VERSION = 1


def entry(key: str, *, skip_bad_rows: bool) -> Path | None:
    """Where the rows of the source with ``key`` are kept: in $XDG_CACHE_HOME/edgefer, or ~/.cache/edgefer.

    None for a user without a home, as services and containers have.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    suffix = "-skipped" if skip_bad_rows else ""
    return Path(home) / "edgefer" / f"{key}-v{FORMAT_VERSION}{suffix}.npz"


def restore(path: Path) -> SampleTable | None:
    """What store() wrote, or None where the file is missing or damaged (the checksums in a .npz tell)."""
    try:
        # Where the file is damaged, np.load() would not close what it opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            facts = json.loads(str(archive["facts"]))
            return SampleTable(
                pixels=archive["pixels"],
                labels=archive["labels"],
                usage=archive["usage"],
                rows=archive["rows"],
                votes=None,
                layout=facts["layout"],
                row_count=facts["row_count"],
                numbered=facts["numbered"],
                notes=tuple(facts["notes"]),
            )
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return None


def store(path: Path | None, rows: SampleTable) -> str:
    """Write ``rows`` to ``path`` in one step; return why they could not be kept, or "".

    A full disk or a read-only home costs time and must not cost the run, so it is no error.
    """
    if path is None:
        return "this user has no home folder"
    facts = json.dumps(
        {"layout": rows.layout, "row_count": rows.row_count, "numbered": rows.numbered, "notes": rows.notes}
    )
    try:
        with files.atomic_write(path) as temporary:
            np.savez(
                temporary,
                pixels=rows.pixels,
                labels=rows.labels,
                usage=rows.usage,
                rows=rows.rows,
                facts=np.array(facts),
            )
    except OSError as error:
        return error.strerror or str(error)
    return ""
