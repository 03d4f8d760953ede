"""Load FER2013 from any supported format as uint8 faces and labels in three splits.

    path = resolve(None)                            # --data, $EDGEFER_DATA, ./fer2013.csv, or None
    dataset = load(path) if path else synthetic_dataset()
    training = dataset.split("Training")            # pixels uint8 (n, 48, 48), labels int64 (n,)

The Usage column assigns rows to splits. Nothing is guessed: ``Dataset.notes`` lists what a format does not record.
Faces are parsed once and cached under the hash of their source.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.labels import LABELS
from edgefer.data import ferplus as ferplus_file, records
from edgefer.data.records import SPLITS, BadRows, SampleTable
from edgefer.errors import DataError
from edgefer.progress import Progress, silent

__all__ = ["Dataset", "Split", "ferplus_targets", "load", "resolve", "synthetic_dataset"]

LAYOUTS = "edgefer.data.formats"
WITHOUT = {
    "Training": "nothing can be trained",
    "PublicTest": "no model can be selected",
    "PrivateTest": "the final score cannot be taken",
}
# How a file is unpacked whose name ends so; the first that fits.
UNPACK = {".tar.gz": "tar -xf", ".tgz": "tar -xf", ".tar": "tar -xf", ".gz": "gunzip", ".zip": "unzip"}


@dataclass(frozen=True)
class Split:
    """The faces of one split.

    Attributes:
        pixels: uint8 (n, 48, 48); not to be modified in place, because ``digests`` is cached.
        labels: int64 (n,), indices into LABELS.
        rows: int64 (n,), ascending, the identity of each face in its source: the 0-based data row of a csv file or an
            array; for an image tree the row of fer2013.csv where its file names keep it, otherwise the position.
        votes: float32 (n, 10) FER+ votes, in the column order of fer2013new.csv, or None.
    """

    pixels: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int64]
    votes: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @functools.cached_property
    def digests(self) -> tuple[bytes, ...]:
        """SHA-256 of each face's pixels, in the order of ``pixels``; duplicates have equal digests."""
        return tuple(map(_pixel_digest, self.pixels))

    def duplicates_of(self, other: Split) -> npt.NDArray[np.bool_]:
        """Mark the faces whose pixels also occur in ``other``: bool (n,)."""
        known = set(other.digests)
        return np.fromiter((digest in known for digest in self.digests), np.bool_, len(self))


@dataclass(frozen=True)
class Dataset:
    """Splits with what is known about where they come from.

    Attributes:
        source: the file or folder that was read.
        layout: "fer2013.csv", "icml", "image tree", "images/train+validation", "npz" or "synthetic".
        splits: by name, those of "Training", "PublicTest" and "PrivateTest" that the source has.
        sha256: over name, number of faces, labels and pixels of each split in that order, its faces by row. The same
            faces give the same hash from any lossless layout; row numbers and votes do not count.
        notes: plain sentences for the user.
    """

    source: str
    layout: str
    splits: dict[str, Split]
    sha256: str
    notes: tuple[str, ...] = ()

    def split(self, name: str) -> Split:
        """The split ``name``.

        Raises:
            DataError: the source has no such split.
        """
        if name not in self.splits:
            raise DataError(
                f"{self.source} has no {name} images",
                why=f"it has {_counted(self.splits)}",
                hint="give a data set that has them with --data" if name in SPLITS else f"ask for {', '.join(SPLITS)}",
            )
        return self.splits[name]


def resolve(data: str | None, *, environ: Mapping[str, str] = os.environ, folder: Path | None = None) -> Path | None:
    """Where the data set is: ``data``, else $EDGEFER_DATA, else fer2013.csv in ``folder``, else None.

    ``folder`` is the working folder where it is not given. None stands for synthetic_dataset(): there is no data set
    here, and nobody asked for one.

    Raises:
        DataError: ``data`` or $EDGEFER_DATA names something that does not exist; this never falls back.
    """
    # An empty variable is as good as none; an empty --data comes of a variable that should not have been.
    for origin, given in (("--data", data), ("EDGEFER_DATA", environ.get("EDGEFER_DATA") or None)):
        if given is not None:
            # Path.expanduser() would raise where it knows no such user.
            path = Path(os.path.expanduser(given))  # noqa: PTH111
            if not given or not path.exists():
                raise DataError(
                    f"{origin} names {given or 'nothing'}, which does not exist",
                    why="a data set that was asked for is never replaced by another one",
                    hint="edgefer data check path/to/fer2013.csv",
                )
            return path
    local = (folder or Path.cwd()) / "fer2013.csv"
    return local if local.is_file() else None


def load(
    path: Path,
    *,
    ferplus: Path | None = None,
    skip_bad_rows: bool = False,
    cache: bool = True,
    progress: Progress = silent,
) -> Dataset:
    """Read the data set at ``path``, a file or a folder in any of the layouts in ``layouts/``.

    Args:
        path: fer2013.csv, icml_face_data.csv, a .npz file, an image tree, or a folder that holds one of them.
        ferplus: fer2013new.csv with the FER+ votes of the same faces.
        skip_bad_rows: leave out what cannot be used, and say so in the notes, instead of refusing the data set.
        cache: keep the faces under the user's cache folder; a damaged cache is read again from the source.

    Raises:
        DataError: nothing at ``path`` is in a known layout, rows are bad, or the votes do not belong to the faces.
    """
    try:
        layout, source = _recognise(path)
        rows = _read(layout, source, skip_bad_rows=skip_bad_rows, cache=cache, progress=progress)
    except OSError as error:
        raise DataError(f"cannot read {path}", why=str(error)) from error
    if not len(rows.labels):
        raise DataError(f"{source} has no usable images", why="; ".join(rows.notes) or "it holds none at all")
    if ferplus is not None:
        rows = ferplus_file.attach(ferplus, rows)
    return _dataset(str(source), rows)


def ferplus_targets(split: Split) -> npt.NDArray[np.float32]:
    """FER+ votes as float32 (n, 7) distributions over LABELS.

    Votes for contempt, unknown and no-face are dropped and the rest sums to 1; a face without any of the seven gets its
    one-hot label.

    Raises:
        DataError: the split has no votes.
    """
    if split.votes is None:
        raise DataError(
            "the data set has no FER+ votes", why="soft labels are made of them", hint="--ferplus fer2013new.csv"
        )
    votes = ferplus_file.in_label_order(split.votes)
    total = votes.sum(axis=1, keepdims=True)
    one_hot = np.eye(len(LABELS), dtype=np.float32)[split.labels]
    return np.where(total > 0, votes / np.maximum(total, np.finfo(np.float32).tiny), one_hot).astype(np.float32)


def synthetic_dataset(
    *, training: int = 4900, held_out: int = 1400, seed: int = 0, progress: Progress = silent
) -> Dataset:
    """Drawn faces in three splits of ``training``, ``held_out`` and ``held_out``, for machines without FER2013."""
    from edgefer.data import synthetic

    splits = {}
    for index, (name, count) in enumerate(zip(SPLITS, (training, held_out, held_out), strict=True)):
        # Three seeds for each seed, so that no two splits of any two data sets draw the same faces.
        pixels, labels = synthetic.draw(count, seed=seed * len(SPLITS) + index, progress=progress)
        splits[name] = Split(pixels, labels, np.arange(count, dtype=np.int64))
    note = "The faces are drawn, not photographed: scores on them say that the tools work, and nothing about people."
    return Dataset(f"synthetic faces, seed {seed}", "synthetic", splits, _sha256(splits), (note,))


def _recognise(path: Path) -> tuple[str, Path]:
    """The layout's name and the file or folder that holds it."""
    if not path.exists():
        raise DataError(f"{path} does not exist", hint="edgefer data check path/to/fer2013.csv")
    # A folder may also hold the file, as the challenge's archive unpacks to fer2013/fer2013.csv.
    inside = sorted((*path.glob("*.csv"), *path.glob("*.npz"), *path.glob("*/*.csv"))) if path.is_dir() else []
    found = [
        (layout, candidate)
        for candidate in (path, *inside)
        for layout in plugins.names(LAYOUTS)
        if plugins.load(LAYOUTS, layout).matches(candidate)
    ]
    if not found:
        raise _unknown(path)
    named = [choice for choice in found if choice[1].name == "fer2013.csv"]
    if len(found) > 1 and len(named) != 1:
        raise DataError(
            f"{path} holds {len(found)} data sets",
            why=", ".join(str(candidate) for _, candidate in found),
            hint=f"--data {found[0][1]}",
        )
    return (named or found)[0]


def _unknown(path: Path) -> DataError:
    why = "expected fer2013.csv, icml_face_data.csv, a .npz file with pixels, or a folder with train/ and test/"
    hint = "download fer2013.csv and give it with --data fer2013.csv"
    unpack = next((command for ending, command in UNPACK.items() if path.name.endswith(ending)), None)
    if path.is_file() and not path.stat().st_size:
        why = "the file is empty"
    elif path.is_file() and unpack:
        # As the challenge's own download is.
        why, hint = "it is a packed archive", f"{unpack} {path}"
    return DataError(f"{path} is no data set that edgefer knows", why=why, hint=hint)


def _read(layout: str, source: Path, *, skip_bad_rows: bool, cache: bool, progress: Progress) -> SampleTable:
    reader = plugins.load(LAYOUTS, layout)
    key = reader.cache_key(source) if cache else ""
    entry = records.cache_path(key, skip_bad_rows=skip_bad_rows) if key else None
    kept = records.read_cache(entry) if entry else None
    if kept is not None:
        progress(1, 1, "from the cache")
        return kept
    bad = BadRows()
    read: SampleTable = reader.read(source, bad=bad, progress=progress)
    rows = read.with_notes(bad.check(source, skip=skip_bad_rows, valid=len(read.labels)))
    problem = records.write_cache(entry, rows) if key else ""
    note = f"The faces could not be kept in the cache ({problem}): they will be read from their source again."
    return rows.with_notes((note,)) if problem else rows


def _dataset(source: str, rows: SampleTable) -> Dataset:
    splits = {}
    order = np.argsort(rows.rows, kind="stable")
    for index, name in enumerate(SPLITS):
        here = order[rows.usage[order] == index]
        if len(here):
            votes = None if rows.votes is None else rows.votes[here]
            splits[name] = Split(rows.pixels[here], rows.labels[here], rows.rows[here], votes)
    missing = tuple(f"There are no {name} images: {WITHOUT[name]}." for name in SPLITS if name not in splits)
    return Dataset(source, rows.layout, splits, _sha256(splits), (*missing, *rows.notes))


def _pixel_digest(face: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(face).data).digest()


def _sha256(splits: Mapping[str, Split]) -> str:
    digest = hashlib.sha256()
    for name in SPLITS:
        if name in splits:
            split = splits[name]
            digest.update(f"{name} {len(split)}\n".encode())
            digest.update(split.labels.astype(np.uint8).tobytes())
            digest.update(np.ascontiguousarray(split.pixels).data)
    return digest.hexdigest()


def _counted(splits: Mapping[str, Split]) -> str:
    return ", ".join(f"{name} ({len(split):,})" for name, split in splits.items())
