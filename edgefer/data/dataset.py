"""Load faces from any supported format as uint8 pixels and labels in three splits.

    path = resolve(None)                            # --data, $EDGEFER_DATA, ./fer2013.csv, or None
    dataset = load(path, spec=InputSpec(64, 64)) if path else synthetic_dataset()
    training = dataset.split("Training")            # pixels uint8 (n, h, w), labels int64 (n,)

The source assigns rows to splits; Dataset.notes reports what it does not record and what was left out. Faces are parsed
once and cached under the hash of their source.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.contract.split_names import split_title
from edgefer.data import ferplus as ferplus_file, records
from edgefer.data.class_names import class_key, with_canonical_classes
from edgefer.data.naming import counted, list_names, match_names, quote_name
from edgefer.data.pixel_files import StoredPixels
from edgefer.data.pixels import Pixels, chunks, nbytes, subset
from edgefer.data.recognition import FORMATS, Source, find_source
from edgefer.data.records import SPLITS, BadRows, FaceCrop, ReadOptions, SampleTable
from edgefer.data.splitting import SplitShares, assign_splits
from edgefer.errors import DataError
from edgefer.progress import Progress, silent

__all__ = ["Dataset", "Split", "ferplus_targets", "load", "resolve", "synthetic_dataset"]

CONSEQUENCES = {
    "Training": "training is not possible",
    "PublicTest": "models are selected on a part of Training",
    "PrivateTest": "the final score is not possible",
}
SPLIT_HINTS = {
    "Training": "--data with a data set that has images for training",
    "PublicTest": "--split 80/10/10 when a run is trained, or --data with a data set that has a test split",
    "PrivateTest": "--split 80/10/10 when a run is trained, or --data with a data set that has two test splits",
}


@dataclass(frozen=True)
class Split:
    """The faces of one split.

    Attributes:
        pixels: uint8 (n, h, w), or BGR (n, h, w, 3): an array, or LazyPixels, which are read by position. They must not
            be modified in place, because ``digests`` is cached.
        labels: int64 (n,), indices into ``label_names``.
        rows: int64 (n,), ascending, the identity of each face in its source: the 0-based data row of a table or an
            array; for an image tree the row of fer2013.csv if the file names contain it, otherwise the position.
        votes: float32 (n, 10) FER+ votes, in the column order of fer2013new.csv, or None.
        label_names: class names.
    """

    pixels: Pixels
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    votes: npt.NDArray[np.float32] | None = None
    label_names: tuple[str, ...] = LABELS

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, chosen: npt.NDArray[Any]) -> Split:
        """Return the faces at these positions: int64 positions or a bool mask (n,). LazyPixels are not copied."""
        votes = None if self.votes is None else self.votes[chosen]
        return Split(subset(self.pixels, chosen), self.labels[chosen], self.rows[chosen], votes, self.label_names)

    @functools.cached_property
    def digests(self) -> tuple[bytes, ...]:
        """SHA-256 of each face's pixels, in the order of ``pixels``; duplicates have equal digests."""
        return tuple(map(_pixel_digest, self.pixels))

    def duplicates_of(self, other: Split) -> npt.NDArray[np.bool_]:
        """Mark the faces whose pixels also occur in ``other``: bool (n,)."""
        digests = set(other.digests)
        return np.fromiter((digest in digests for digest in self.digests), np.bool_, len(self))


@dataclass(frozen=True)
class Dataset:
    """Splits of a data set and their origin.

    Attributes:
        source: file or folder that was read.
        layout: "fer2013.csv", "icml", "image tree", "images/train+validation", "npz", "synthetic", or another layout of
            the formats.
        splits: splits by name: "Training", "PublicTest", "PrivateTest"; missing ones have no entry.
        sha256: hash over name, number of faces, labels and pixels of each split, and over class names other than those
            of FER2013. Equal faces have equal hashes in every lossless format; row numbers and votes are excluded.
        notes: sentences for the user.
        labels: class names, which the labels of the splits index; the splits carry them, too.
    """

    source: str
    layout: str
    splits: dict[str, Split]
    sha256: str
    notes: tuple[str, ...] = ()
    labels: tuple[str, ...] = LABELS

    def __post_init__(self) -> None:
        names = self.labels
        splits = {
            name: split if split.label_names == names else replace(split, label_names=names)
            for name, split in self.splits.items()
        }
        object.__setattr__(self, "splits", splits)

    def select(self, labels: Sequence[str]) -> Dataset:
        """Return the faces of some classes, whose labels index ``labels``.

        Faces of other classes are left out, with a note. A class without faces is accepted, because a model may have
        more classes than the data. Names match if they are equal or synonyms, such as "Happiness" and "happy".

        Args:
            labels: class names in the order of a model's outputs.

        Raises:
            DataError: no face belongs to one of the classes.
        """
        labels = tuple(labels)
        if labels == self.labels:
            return self
        index_of = match_names(self.labels, labels)
        table = np.array([index_of.get(name, -1) for name in self.labels], np.int64)
        splits = {}
        for name, split in self.splits.items():
            selected = table[split.labels]
            kept = np.flatnonzero(selected >= 0)
            if len(kept):
                splits[name] = replace(split.take(kept), labels=selected[kept], label_names=labels)
        if not splits:
            raise DataError(
                f"{self.source} has no images of {', '.join(map(quote_name, labels))}",
                why=f"its classes are {self.class_counts()}",
                hint='--labels-map FILE with a line for each class, such as joy = "happy"',
            )
        return Dataset(
            self.source, self.layout, splits, _sha256(splits, labels), (*self.notes, *self._left_out(table)), labels
        )

    def class_counts(self) -> str:
        """Return the classes with their numbers of images in all splits, for messages."""
        return list_names([f"{name} ({count:,})" for name, count in zip(self.labels, self._counts())])

    def _counts(self) -> list[int]:
        counts = np.zeros(len(self.labels), np.int64)
        for split in self.splits.values():
            counts += np.bincount(split.labels, minlength=len(self.labels))
        return counts.tolist()

    def _left_out(self, table: npt.NDArray[np.int64]) -> tuple[str, ...]:
        counts = self._counts()
        dropped = {self.labels[index]: counts[index] for index in np.flatnonzero(table < 0)}
        total = sum(dropped.values())
        if not total:
            return ()
        names = list_names([f"{name} ({count:,})" for name, count in dropped.items()])
        return (f"Skipped: {counted(total, 'image')} of other classes: {names}.",)

    def split(self, name: str) -> Split:
        """Return a split.

        Raises:
            DataError: the source has no split of this name.
        """
        if name not in self.splits:
            raise DataError(
                f"{self.source} has no {split_title(name, data=self.layout)} images",
                why=f"it has {_counted(self.splits, self.layout)}",
                hint=SPLIT_HINTS[name] if name in SPLITS else f"use {', '.join(SPLITS)}",
            )
        return self.splits[name]


def resolve(data: str | None, *, environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Path | None:
    """Return the path of the data set: ``data``, $EDGEFER_DATA, or fer2013.csv in ``folder``.

    Args:
        data: value of --data, or None.
        environ: environment variables.
        folder: folder of the default data set; the working folder by default.

    Returns:
        The path, or None if no data set was given or found; the caller then uses synthetic_dataset().

    Raises:
        DataError: ``data`` or $EDGEFER_DATA does not exist. A named data set is never replaced by another one.
    """
    # An empty variable means none. An empty --data is an error, because it comes from a variable that is not set.
    for origin, given in (("--data", data), ("EDGEFER_DATA", environ.get("EDGEFER_DATA") or None)):
        if given is not None:
            # Path.expanduser() raises for an unknown user, Path.exists() for a name that is too long.
            path = Path(os.path.expanduser(given))  # noqa: PTH111
            if not given or not os.path.exists(path):  # noqa: PTH110
                raise DataError(
                    f"{origin} names {quote_name(given) or 'nothing'}, which does not exist",
                    why="a named data set is never replaced by another one",
                    hint=f"{origin}{' ' if origin.startswith('-') else '='}path/to/data",
                )
            return path
    local = (folder or Path.cwd()) / "fer2013.csv"
    return local if local.is_file() else None


def load(
    path: Path,
    *,
    spec: InputSpec = InputSpec(),
    split: SplitShares | None = None,
    columns: Mapping[str, str] | None = None,
    labels_map: Mapping[str, str] | None = None,
    ferplus: Path | None = None,
    skip_bad_rows: bool = False,
    crop: FaceCrop | None = None,
    cache: bool = True,
    progress: Progress = silent,
) -> Dataset:
    """Read a data set in any of the formats in ``formats/``.

    Args:
        path: fer2013.csv, icml_face_data.csv, a .npz file, an image tree, or a folder that contains one of them.
        spec: input of the model. Pictures are read at its size, in gray or BGR. Shrinking them to 48 x 48 first would
            train on other pixels than a board computes. Tables and arrays keep their size.
        split: sizes of the splits, for a source without test splits.
        columns: columns of a table by role: "label", "pixels" or "path", and optionally "split" and "subject".
        labels_map: class names of the source and the names that models use; it precedes the format's names of numbers,
            and synonyms need no entry.
        ferplus: fer2013new.csv with the FER+ votes of the same faces.
        skip_bad_rows: leave out unusable rows, with a note; otherwise an unusable row is an error.
        crop: crop of the face in each picture of a scene; pictures without a face are left out, with a note.
        cache: store the parsed faces in the user's cache folder; a damaged cache entry is replaced.
        progress: callback for the progress.

    Raises:
        UsageError: ``split`` is given for a source with test splits, or ``crop`` for a source of pixels.
        DataError: ``path`` contains no data set, rows are unusable, or the votes do not belong to the faces.
    """
    class_names = frozenset(map(class_key, labels_map or ()))
    options = ReadOptions(spec, columns or {}, needs_splits=split is None, crop=crop, class_names=class_names)
    try:
        source = find_source(path, columns=options.columns)
        table = _read(source, options, skip_bad_rows=skip_bad_rows, cache=cache, progress=progress)
    except OSError as error:
        hint = "check its permissions and the disk, or copy it again"
        raise DataError(f"cannot read {quote_name(path)}", why=quote_name(str(error))[:300], hint=hint) from error
    except MemoryError as error:
        why, hint = "its faces do not fit into memory", "a machine with more memory, or a smaller data set"
        raise DataError(f"{quote_name(path)} is too large", why=why, hint=hint) from error
    if not len(table.labels):
        why = "; ".join((*table.notes, *source.notes)) or "it has no rows"
        hint = "name another data set with --data"
        raise DataError(f"{quote_name(source.path)} has no usable images", why=why, hint=hint)
    if ferplus is not None:
        table = ferplus_file.attach(ferplus, table)
    numbers = getattr(plugins.load(FORMATS, source.format_name), "CLASS_NAMES", {})
    table = with_canonical_classes(table, labels_map or {}, defaults=numbers)
    if split is not None:
        table = assign_splits(table, split)
    return _dataset(str(source.path), table.with_notes(source.notes))


def ferplus_targets(split: Split) -> npt.NDArray[np.float32]:
    """Convert FER+ votes to distributions over the classes of a split, float32 (n, classes).

    Votes for other classes, unknown and no-face are dropped, and the others are normalized to a sum of 1. A face
    without other votes gets its one-hot label.

    Raises:
        DataError: the split has no votes.
    """
    if split.votes is None:
        raise DataError("the data set has no FER+ votes", why="soft labels need them", hint="--ferplus fer2013new.csv")
    votes = ferplus_file.in_label_order(split.votes, split.label_names)
    total = votes.sum(axis=1, keepdims=True)
    one_hot = np.eye(len(split.label_names), dtype=np.float32)[split.labels]
    return np.where(total > 0, votes / np.maximum(total, np.finfo(np.float32).tiny), one_hot).astype(np.float32)


def synthetic_dataset(
    *, training: int = 4900, held_out: int = 1400, seed: int = 0, progress: Progress = silent
) -> Dataset:
    """Draw faces for machines without FER2013.

    Args:
        training: size of Training.
        held_out: size of PublicTest and of PrivateTest.
        seed: seed of the faces.
        progress: callback for the progress.
    """
    from edgefer.data import synthetic

    splits = {}
    for index, (name, count) in enumerate(zip(SPLITS, (training, held_out, held_out), strict=True)):
        # Three seeds per data set, so that no two splits of any two data sets contain the same faces.
        pixels, labels = synthetic.draw(count, seed=seed * len(SPLITS) + index, progress=progress)
        splits[name] = Split(pixels, labels, np.arange(count, dtype=np.int64))
    note = "The faces are synthetic: scores on them test the tools and do not apply to photographs."
    return Dataset(f"synthetic faces, seed {seed}", "synthetic", splits, _sha256(splits), (note,))


def _read(source: Source, options: ReadOptions, *, skip_bad_rows: bool, cache: bool, progress: Progress) -> SampleTable:
    reader = plugins.load(FORMATS, source.format_name)
    key = reader.cache_key(source.path, options=options) if cache else ""
    entry = records.cache_path(key, skip_bad_rows=skip_bad_rows) if key else None
    cached = records.read_cache(entry) if entry else None
    if cached is not None:
        progress(1, 1, "from the cache")
        return cached
    bad = BadRows()
    table: SampleTable = reader.read(source.path, options=options, bad=bad, progress=progress)
    table = table.with_notes(bad.check(source.path, skip=skip_bad_rows, valid=len(table.labels)))
    problem = records.write_cache(entry, table) if key and table.is_cacheable else ""
    return table.with_notes(_storage_notes(table.pixels, problem))


def _storage_notes(pixels: Pixels, problem: str) -> tuple[str, ...]:
    """Report that faces could not be cached, and a temporary file of a large data set.

    Args:
        pixels: faces that were read.
        problem: the reason why they could not be cached; empty if they are cached, or no cache was requested.
    """
    notes = []
    if problem:
        notes.append(f"The faces could not be cached ({problem}), so the next command parses them again.")
    if isinstance(pixels, StoredPixels) and pixels.is_temporary:
        size = nbytes(pixels) / 1e9
        notes.append(f"The faces are in a temporary file in {pixels.path.parent}, {size:.1f} GB, until the end.")
    return tuple(notes)


def _dataset(source: str, table: SampleTable) -> Dataset:
    splits = {}
    order = np.argsort(table.rows, kind="stable")
    for index, name in enumerate(SPLITS):
        members = order[table.usage[order] == index]
        if len(members):
            votes = None if table.votes is None else table.votes[members]
            pixels = subset(table.pixels, members)
            splits[name] = Split(pixels, table.labels[members], table.rows[members], votes, table.label_names)
    absent = {name: split_title(name, data=table.layout) for name in SPLITS if name not in splits}
    missing = tuple(f"There are no {title} images: {CONSEQUENCES[name]}." for name, title in absent.items())
    sha256 = _sha256(splits, table.label_names)
    return Dataset(source, table.layout, splits, sha256, (*missing, *table.notes), table.label_names)


def _pixel_digest(face: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(face).data).digest()


def _sha256(splits: Mapping[str, Split], labels: tuple[str, ...] = LABELS) -> str:
    digest = hashlib.sha256()
    if labels != LABELS:
        digest.update("\n".join([*labels, ""]).encode(errors="surrogateescape"))
    for name in SPLITS:
        if name in splits:
            split = splits[name]
            digest.update(f"{name} {len(split)}\n".encode())
            digest.update(split.labels.astype(np.uint8 if labels == LABELS else "<i8").tobytes())
            for chunk in chunks(split.pixels):
                digest.update(np.ascontiguousarray(chunk).data)
    return digest.hexdigest()


def _counted(splits: Mapping[str, Split], layout: str) -> str:
    return ", ".join(f"{split_title(name, data=layout)} ({len(split):,})" for name, split in splits.items())
