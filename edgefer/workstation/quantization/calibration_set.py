"""Store calibration sets as csv files: Training rows by number and hash, without images.

    row,pixels_sha256,class                         # the first 16 of the 64 hex digits
    17,0f343b0931126a20,happy

    files.write_text(path, to_csv(calibration_pool(dataset).select(size=500, seed=0)))
    load_set(path, dataset).faces                   # uint8 (500, 48, 48); raises if a row does not match
    find_set("fer2013-500", dataset)                # name of a shipped set, or a path
    find_set(None, dataset)                         # fer2013-500 if the data set is FER2013, else None

A fixed set makes quantization repeatable across machines and comparable across networks.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.split_names import split_phrase
from edgefer.data.dataset import Dataset, Split
from edgefer.data.records import BadRows
from edgefer.errors import DataError
from edgefer.workstation.quantization.calibration_data import SelectedFaces

__all__ = ["CalibrationSet", "check_set", "check_target", "find_set", "load_set", "to_csv"]

# In the repository, links to calibration/; an installed package contains the files.
PINNED = Path(__file__).with_name("calibration_sets")
DEFAULT = "fer2013-500"
HEADER = ["row", "pixels_sha256", "class"]
# 64 bits: two of 30,000 images share them by chance in one of 40 billion data sets.
DIGITS = 16


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """The verified faces of a calibration set.

    Attributes:
        name: name of the set.
        sha256: SHA-256 of its file.
        faces: uint8 (n, h, w).
        dropped: number of rows in the file that are excluded as duplicates of test images.
    """

    name: str
    sha256: str
    faces: npt.NDArray[np.uint8]
    dropped: int = 0

    def __str__(self) -> str:
        without = f", without {self.dropped} that have an exact duplicate in a test split" if self.dropped else ""
        return f"{self.name}, {len(self.faces):,} faces of Training{without}"

    def provenance(self) -> dict[str, Any]:
        """Return the calibration entry of a model's contract."""
        return {"set": self.name, "faces": len(self.faces), "sha256": self.sha256}


def to_csv(selection: SelectedFaces) -> str:
    """Return the content of a set's file, with a header and one line per face."""
    rows = zip(selection.rows.tolist(), selection.digests, selection.labels.tolist())
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows([row, _digits(digest), selection.label_names[label]] for row, digest, label in rows)
    return text.getvalue()


def check_target(path: Path) -> None:
    """Check that ``path`` does not exist or is a calibration set, so that writing replaces no other file.

    Raises:
        DataError: ``path`` is a folder or another file, such as the data set.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder", why="expected a file", hint=f"edgefer calibrate {path / 'set.csv'}")
    if path.exists():
        with path.open("rb") as file:
            first = file.readline(len(",".join(HEADER)) + 8)
        if first.decode("utf-8-sig", errors="replace").strip() != ",".join(HEADER):
            why = "it would be overwritten; expected a new file or a calibration set (--data selects the data set)"
            raise DataError(f"{path} exists and is not a calibration set", why=why, hint="edgefer calibrate NEW.csv")


def load_set(path: Path, dataset: Dataset, *, drop_duplicates: bool = False) -> CalibrationSet:
    """Read a calibration set and verify each row against the data set.

    Args:
        path: csv file of the set.
        dataset: data set with the rows in Training.
        drop_duplicates: exclude faces that have an exact duplicate in a test split instead of raising.

    Raises:
        DataError: the file cannot be read or is not a calibration set, or rows are not in Training, have other pixels
            or have a duplicate in a test split. The message lists the first ten rows.
    """
    content, entries = _read(path)
    training = dataset.split("Training")
    index_of = {row: index for index, row in enumerate(training.rows.tolist())}
    titles = {name: split_phrase(name, data=dataset.layout) for name in dataset.splits}
    tests = {titles[name]: split for name, split in dataset.splits.items() if name != "Training"}
    test_split_of = {digest: name for name, split in tests.items() for digest in split.digests}
    bad, members, dropped = BadRows(), [], 0
    for row, digits in entries.items():
        digest = training.digests[index_of[row]] if row in index_of else b""
        problem = _mismatch(row, digits, digest, tests)
        if not problem and digest in test_split_of:
            dropped += drop_duplicates
            problem = "" if drop_duplicates else f"it has an exact duplicate in {test_split_of[digest]}"
        elif not problem:
            members.append(index_of[row])
        if problem:
            bad.add(f"row {row}", problem)
    if bad.count or not members:
        raise DataError(
            f"{bad.count or dropped} of the {len(entries)} rows of {path} do not match {dataset.source}",
            why=bad.first_reasons() or "all of them have an exact duplicate in a test split",
            hint="edgefer calibrate NEW.csv --run RUN",
        )
    sha256 = hashlib.sha256(content).hexdigest()
    return CalibrationSet(path.stem, sha256, training.pixels[sorted(members)], dropped)


def find_set(name: str | None, dataset: Dataset, *, pinned: Path = PINNED) -> CalibrationSet | None:
    """Load a shipped calibration set by its name, or any set by its path.

    Shipped sets were selected without PrivateTest. If the data set includes it, rows with a duplicate in it are
    excluded.

    Args:
        name: name of a shipped set, or path of a file. None selects fer2013-500 if ``dataset`` is FER2013.
        dataset: data set with the rows in Training.
        pinned: folder of the shipped sets.

    Returns:
        The set, or None if ``name`` is None and ``dataset`` is not FER2013.

    Raises:
        DataError: no such name or file, the file is not a calibration set, or its rows do not match ``dataset``.
    """
    shipped = {path.stem: path for path in sorted(pinned.glob("*.csv"))}
    if name is None:
        with contextlib.suppress(DataError):
            return load_set(pinned / f"{DEFAULT}.csv", dataset, drop_duplicates=True)
        return None
    check_set(name, pinned=pinned)
    return load_set(shipped.get(name, Path(name)), dataset, drop_duplicates=name in shipped)


def check_set(name: str, *, pinned: Path = PINNED) -> None:
    """Check that a calibration set exists and can be read, without the data set.

    Args:
        name: name of a shipped set, or path of a file.
        pinned: folder of the shipped sets.

    Raises:
        DataError: no such name or file, or the file is not a calibration set.
    """
    shipped = {path.stem: path for path in sorted(pinned.glob("*.csv"))}
    if name not in shipped and not Path(name).is_file():
        raise DataError(
            f"no calibration set {name or repr(name)}",
            why=f"expected a file or one of {', '.join(shipped)}",
            hint=f"edgefer calibrate {Path(name).with_suffix('.csv') if Path(name).name else 'NEW.csv'}",
        )
    _read(shipped.get(name, Path(name)))


def _read(path: Path) -> tuple[bytes, dict[int, str]]:
    """Return the content of a set and the hash digits of each row by row number."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}", why=str(error), hint="edgefer calibrate NEW.csv") from error
    return content, _parse(path, content)


def _parse(path: Path, content: bytes) -> dict[int, str]:
    """Return the hash digits of each row by row number, or raise DataError."""
    try:
        lines = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_set(path, str(error)) from error
    if not lines or lines[0] != HEADER:
        raise _no_set(path, f"expected the first line {','.join(HEADER)}")
    bad, entries = BadRows(), dict[int, str]()
    for number, cells in enumerate(lines[1:], start=2):
        problem = _problem(cells, entries)
        if problem:
            bad.add(f"line {number}", problem)
        else:
            entries[int(cells[0])] = cells[1]
    if bad.count or not entries:
        raise _no_set(path, bad.first_reasons() or "it has no rows")
    return entries


def _problem(cells: list[str], entries: dict[int, str]) -> str:
    """Return the error in a line of a set; empty if there is none. ``entries`` are the lines before it."""
    if len(cells) != len(HEADER):
        return f"{len(cells)} columns, expected {len(HEADER)}"
    row, digits, label = cells
    if not re.fullmatch("[0-9]{1,18}", row):
        return f"{row!r} is not a row number"
    if int(row) in entries:
        return f"row {int(row)} occurs twice"
    if not re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", digits):
        return f"{digits!r} is not {DIGITS} hex digits"
    return "" if label else "the class is missing"


def _mismatch(row: int, digits: str, digest: bytes, tests: dict[str, Split]) -> str:
    """Return the difference between a row of the set and the data; empty if there is none.

    ``digest`` is that of the image in Training; empty if Training has no such row.
    """
    if digest:
        return "" if _digits(digest) == digits else "other pixels"
    splits = [name for name, split in tests.items() if row in split.rows]
    return f"it is in {splits[0]}, not in Training" if splits else "no such row"


def _digits(digest: bytes) -> str:
    return digest.hex()[:DIGITS]


def _no_set(path: Path, why: str) -> DataError:
    return DataError(f"{path} is not a calibration set", why=why, hint="edgefer calibrate NEW.csv")
