"""Tables of samples that data formats return, records of unusable rows, and a cache of parsed data sets.

    bad = BadRows()
    reader = plugins.load("edgefer.data.formats", "csv_table")
    table = reader.read(path, options=ReadOptions(), bad=bad, progress=silent)
    bad.check(path, skip=False, valid=len(table.labels))    # DataError with the first ten rows

    path = cache_path(key, skip_bad_rows=False)             # ~/.cache/edgefer/<key>-v8.npz
    table = read_cache(path)                                # None if the entry is missing or damaged
    problem = write_cache(path, table)                      # empty on success

A cache entry has two files: the pixels in an .npy, which is mapped into memory if it is large, and all else in an .npz.
It is named after the content of its source, never after its path, so an entry cannot be stale. The name also contains
the format version and whether unusable rows were skipped.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import cache, files
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.naming import counted
from edgefer.data.pixel_files import open_pixels, pixels_crc, save_pixels
from edgefer.data.pixels import Pixels
from edgefer.errors import DataError

__all__ = [
    "SPLITS", "BadRows", "FaceCrop", "ReadOptions", "SampleTable", "cache_path", "file_sha256", "index_subjects",
    "read_cache", "write_cache",
]  # fmt: skip

SPLITS = ("Training", "PublicTest", "PrivateTest")
# Version of the cache; increase it whenever a reader returns other samples for the same source.
FORMAT_VERSION = 8
NAMED_BAD_ROWS = 10
NAMED_IF_NONE_VALID = 3


@dataclass(frozen=True)
class SampleTable:
    """Faces in the order of their source.

    Attributes:
        pixels: uint8 (n, h, w), or BGR (n, h, w, 3).
        labels: int64 (n,), indices into ``label_names``.
        usage: int8 (n,), indices into SPLITS.
        rows: int64 (n,), the identity of each face in its source: the 0-based data row of a table; for an image tree
            the row of fer2013.csv if the file names contain it, otherwise the position among the sorted names.
        votes: float32 (n, 10) FER+ votes, or None if the source has none.
        layout: kind of source, such as "fer2013.csv".
        row_count: number of data rows in the source, including unusable ones; None for an image tree.
        has_row_numbers: True if ``rows`` are row numbers of a table, False if they are positions.
        notes: sentences for the user.
        label_names: class names, as the source spells them.
        subjects: int64 (n,), the person in each face, -1 if unknown; None if the source does not distinguish them.
        default_names: names of numbered classes, which the user's map overrides.
        is_cacheable: False if pixels come from files that the cache key does not cover.
    """

    pixels: Pixels
    labels: npt.NDArray[np.int64]
    usage: npt.NDArray[np.int8]
    rows: npt.NDArray[np.int64]
    votes: npt.NDArray[np.float32] | None
    layout: str
    row_count: int | None
    has_row_numbers: bool = True
    notes: tuple[str, ...] = ()
    label_names: tuple[str, ...] = LABELS
    subjects: npt.NDArray[np.int64] | None = None
    default_names: Mapping[str, str] = field(default_factory=dict)
    is_cacheable: bool = True

    def with_notes(self, notes: tuple[str, ...]) -> SampleTable:
        """Return the same samples with additional notes."""
        return replace(self, notes=(*self.notes, *notes))


def index_subjects(names: Sequence[str]) -> npt.NDArray[np.int64] | None:
    """Return the number of each face's person, -1 for an empty name; None if all faces have the same name, or none."""
    known = sorted(set(names) - {""})
    if not known or len(set(names)) == 1:
        return None
    index_of = {"": -1, **{name: index for index, name in enumerate(known)}}
    return np.array([index_of[name] for name in names], np.int64)


@dataclass(frozen=True)
class FaceCrop:
    """Crop of a face from a picture of a scene.

    Attributes:
        name: face detector and its parameters, for cache keys.
        find: returns the crop of the largest face in uint8 (h, w) or BGR (h, w, 3), or None without a face.
    """

    name: str
    find: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8] | None]


@dataclass(frozen=True)
class ReadOptions:
    """Options of a reader.

    Attributes:
        spec: input of the model. Pictures are read at its size and channels; tables and arrays keep their size.
        columns: columns of a table by role: "label", "pixels", "path", "split" and "subject".
        needs_splits: False if the caller splits the samples, so that a source without splits is complete.
        crop: crop of the face in each picture; None for pictures of faces.
        class_names: classes that the user's map names, in lower case. A table of pixels accepts each of them.
    """

    spec: InputSpec = InputSpec()
    columns: Mapping[str, str] = field(default_factory=dict)
    needs_splits: bool = True
    crop: FaceCrop | None = None
    class_names: frozenset[str] = frozenset()


class BadRows:
    """Counter of unusable rows that keeps the first ten with their reasons."""

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, place: str, reason: str) -> None:
        """Record an unusable row; ``place`` locates it for the user, such as "line 12" or "train/happy/7.jpg"."""
        self.count += 1
        if len(self.first) < NAMED_BAD_ROWS:
            self.first.append(f"{place}: {reason}")

    def first_reasons(self) -> str:
        """Return the first ten rows and their reasons, in one line."""
        return "; ".join(self.first) + ("; ..." if self.count > len(self.first) else "")

    def check(self, path: Path, *, skip: bool, valid: int) -> tuple[str, ...]:
        """Return a note on the rows that were skipped.

        Args:
            path: source of the rows.
            skip: True if the user chose to skip unusable rows.
            valid: number of usable rows; if it is 0, skipping the others does not help.

        Raises:
            DataError: there are unusable rows, and ``skip`` is False or no row is usable.
        """
        if not self.count:
            return ()
        reasons = self.first_reasons()
        rows = counted(self.count, "row")
        if not valid:
            verb = "is" if self.count == 1 else "are"
            first = "; ".join(self.first[:NAMED_IF_NONE_VALID])
            hint = "correct the file, or name another data set"
            raise DataError(f"{path} has no usable images: {rows} {verb} unusable", why=first, hint=hint)
        if not skip:
            hint = f"add --skip-bad-rows to use the other {valid:,}"
            if valid < self.count:
                hint = f"correct the file, or name another data set; --skip-bad-rows leaves {counted(valid, 'image')}"
            raise DataError(f"{path} has {rows} that cannot be used", why=reasons, hint=hint)
        return (f"{rows} that cannot be used left out ({reasons}).",)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def cache_path(key: str, *, skip_bad_rows: bool) -> Path | None:
    """Return the path of a cache entry in $XDG_CACHE_HOME/edgefer or ~/.cache/edgefer.

    Args:
        key: hash of the content of the source.
        skip_bad_rows: True if unusable rows were skipped.

    Returns:
        The path, or None for a user without a home folder, such as a service.
    """
    folder, suffix = cache.folder(), "-skipped" if skip_bad_rows else ""
    return None if folder is None else folder / f"{key}-v{FORMAT_VERSION}{suffix}.npz"


def read_cache(path: Path) -> SampleTable | None:
    """Read a cache entry; return None if it is missing or damaged, according to the checksums of its files."""
    try:
        # np.load() does not close a damaged file that it opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            facts = json.loads(str(archive["facts"]))
            pixels = open_pixels(path.with_suffix(".npy"), crc=facts["pixels_crc"])
            if pixels is None or len(pixels) != len(archive["labels"]):
                return None
            cache.mark_used(path)
            return SampleTable(
                pixels=pixels,
                labels=archive["labels"],
                usage=archive["usage"],
                rows=archive["rows"],
                votes=archive.get("votes"),
                layout=facts["layout"],
                row_count=facts["row_count"],
                has_row_numbers=facts["has_row_numbers"],
                notes=tuple(facts["notes"]),
                label_names=tuple(facts["label_names"]),
                subjects=archive.get("subjects"),
                default_names=dict(facts["default_names"]),
            )
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile, zlib.error):
        return None


def write_cache(path: Path | None, table: SampleTable) -> str:
    """Write a cache entry, each file atomically; pixels in a temporary file are only renamed.

    A full disk or a read-only home folder is not an error, because the cache only saves time.

    Returns:
        The reason why the entry could not be written, or an empty string.
    """
    if path is None:
        return "this user has no home folder"
    files.remove_leftovers(path)
    files.remove_leftovers(path.with_suffix(".npy"))
    try:
        # The pixels first: without the other file, there is no entry.
        save_pixels(path.with_suffix(".npy"), table.pixels)
        _save_facts(path, table)
    except OSError as error:
        return error.strerror or str(error)
    cache.trim()
    return ""


def _save_facts(path: Path, table: SampleTable) -> None:
    facts = json.dumps(
        {
            "pixels_crc": pixels_crc(table.pixels),
            "layout": table.layout,
            "row_count": table.row_count,
            "has_row_numbers": table.has_row_numbers,
            "notes": table.notes,
            "label_names": table.label_names,
            "default_names": dict(table.default_names),
        }
    )
    optional: dict[str, Any] = {"votes": table.votes, "subjects": table.subjects}
    with files.atomic_write(path) as temporary:
        np.savez(
            temporary,
            labels=table.labels,
            usage=table.usage,
            rows=table.rows,
            facts=np.array(facts),
            **{name: values for name, values in optional.items() if values is not None},
        )
