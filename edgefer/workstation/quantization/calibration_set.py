"""Calibration sets: Training rows by number and hash in a csv file, without images.

    row,pixels_sha256,class                         # the first 16 of the 64 hex digits
    17,0f343b0931126a20,happy

    files.write_text(path, to_csv(calibration_pool(dataset).select(size=500, seed=0)))
    load_set(path, dataset).faces                   # uint8 (500, 48, 48); a row that does not match is an error
    find_set("fer2013-500", dataset)                # a set that ships, or a path
    find_set(None, dataset)                         # fer2013-500 if the data are FER2013, else None

A pinned set makes quantization repeatable across machines and comparable across networks.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset, Split
from edgefer.data.records import BadRows
from edgefer.errors import DataError
from edgefer.workstation.quantization.calibration_data import SelectedFaces

__all__ = ["CalibrationSet", "check_target", "find_set", "load_set", "to_csv"]

# Links to calibration/ at the root of the repository; an installed edgefer has the files themselves.
PINNED = Path(__file__).with_name("calibration_sets")
DEFAULT = "fer2013-500"
HEADER = ["row", "pixels_sha256", "class"]
# 64 bits: among 30,000 images two share them by chance once in 40 billion data sets.
DIGITS = 16


@dataclass(frozen=True, eq=False)
class CalibrationSet:
    """Faces that were read by a set, each of them checked.

    Attributes:
        name: what the set is called.
        sha256: of its file.
        faces: uint8 (n, h, w).
        left_out: how many rows of the file are not among the faces.
    """

    name: str
    sha256: str
    faces: npt.NDArray[np.uint8]
    left_out: int = 0

    def __str__(self) -> str:
        without = f", without {self.left_out} that have an exact duplicate in a test split" if self.left_out else ""
        return f"{self.name}, {len(self.faces):,} faces of Training{without}"

    def provenance(self) -> dict[str, Any]:
        """Return the calibration entry of a model's contract."""
        return {"set": self.name, "faces": len(self.faces), "sha256": self.sha256}


def to_csv(chosen: SelectedFaces) -> str:
    """The file of a set."""
    rows = zip(chosen.rows.tolist(), chosen.digests, chosen.labels.tolist())
    lines = [f"{row},{_digits(digest)},{LABELS[label]}" for row, digest, label in rows]
    return "\n".join([",".join(HEADER), *lines]) + "\n"


def check_target(path: Path) -> None:
    """Refuse to replace a file that is something else than a set, such as the data.

    Raises:
        DataError: ``path`` is such a file, or a folder.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder", why="a set is one file", hint=f"edgefer calibrate {path / 'set.csv'}")
    if path.exists():
        with path.open("rb") as file:
            first = file.readline(len(",".join(HEADER)) + 8)
        if first.decode("utf-8-sig", errors="replace").strip() != ",".join(HEADER):
            why = "it would be replaced by a set; data are named by --data"
            raise DataError(f"{path} exists and is no calibration set", why=why, hint="edgefer calibrate NEW.csv")


def load_set(path: Path, dataset: Dataset, *, drop_duplicates: bool = False) -> CalibrationSet:
    """The faces of the set at ``path``, which must all stand in Training of ``dataset``, and in no other split.

    Args:
        drop_duplicates: leave out, instead of refusing, faces that have an exact duplicate in a test split.

    Raises:
        DataError: the file is no set, or it names rows that are not in Training, that have other pixels there, or that
            have a duplicate in a test split; the first ten are named.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}", why=str(error), hint="edgefer calibrate NEW.csv") from error
    entries = _parse(path, content)
    training = dataset.split("Training")
    place = {row: index for index, row in enumerate(training.rows.tolist())}
    tests = {name: split for name, split in dataset.splits.items() if name != "Training"}
    home = {digest: name for name, split in tests.items() for digest in split.digests}
    bad, members, left_out = BadRows(), [], 0
    for row, digits in entries.items():
        own = training.digests[place[row]] if row in place else b""
        reason = _reason(row, digits, own, tests)
        if not reason and own in home:
            left_out += drop_duplicates
            reason = "" if drop_duplicates else f"it has an exact duplicate in {home[own]}"
        elif not reason:
            members.append(place[row])
        if reason:
            bad.add(f"row {row}", reason)
    if bad.count or not members:
        raise DataError(
            f"{bad.count or left_out} of the {len(entries)} rows of {path} cannot calibrate with {dataset.source}",
            why=bad.first_reasons() or "all of them have an exact duplicate in a test split",
            hint="edgefer calibrate NEW.csv --run RUN",
        )
    sha256 = hashlib.sha256(content).hexdigest()
    return CalibrationSet(path.stem, sha256, training.pixels[sorted(members)], left_out)


def find_set(named: str | None, dataset: Dataset, *, pinned: Path = PINNED) -> CalibrationSet | None:
    """The set that ships under the name ``named``, or else the one at that path.

    Where nothing was named, it is fer2013-500 if ``dataset`` is FER2013, and None if it is something else. The sets
    that ship were selected without PrivateTest; rows with a duplicate in it are left out if the data include it.

    Raises:
        DataError: there is neither, or load_set() refuses it.
    """
    known = {path.stem: path for path in sorted(pinned.glob("*.csv"))}
    if named is None:
        with contextlib.suppress(DataError):
            return load_set(pinned / f"{DEFAULT}.csv", dataset, drop_duplicates=True)
        return None
    if named in known:
        return load_set(known[named], dataset, drop_duplicates=True)
    if not Path(named).is_file():
        raise DataError(
            f"there is no calibration set {named}",
            why=f"no such file, and those that ship are {', '.join(known)}",
            hint=f"edgefer calibrate {Path(named).with_suffix('.csv')}",
        )
    return load_set(Path(named), dataset)


def _parse(path: Path, content: bytes) -> dict[int, str]:
    """The digits of each row."""
    try:
        lines = list(csv.reader(content.decode("utf-8-sig").splitlines()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise _no_set(path, str(error)) from error
    if not lines or lines[0] != HEADER:
        raise _no_set(path, f"its first line is not {','.join(HEADER)}")
    bad, entries = BadRows(), dict[int, str]()
    for number, cells in enumerate(lines[1:], start=2):
        problem = _problem(cells, entries)
        if problem:
            bad.add(f"line {number}", problem)
        else:
            entries[int(cells[0])] = cells[1]
    if bad.count or not entries:
        raise _no_set(path, bad.first_reasons() or "it names no rows")
    return entries


def _problem(cells: list[str], known: dict[int, str]) -> str:
    if len(cells) != len(HEADER):
        return f"{len(cells)} columns, {len(HEADER)} expected"
    row, digits, label = cells
    if not re.fullmatch("[0-9]{1,18}", row):
        return f"{row!r} is not a row number"
    if int(row) in known:
        return f"row {int(row)} for the second time"
    if not re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", digits):
        return f"{digits!r} is not {DIGITS} hex digits"
    return "" if label in LABELS else f"{label!r} is not a class"


def _reason(row: int, digits: str, own: bytes, tests: dict[str, Split]) -> str:
    """Why a row is not what the set says; ``own`` is the hash of its face in Training, empty where it has none."""
    if own:
        return "" if _digits(own) == digits else "other pixels"
    homes = [name for name, split in tests.items() if row in split.rows]
    return f"it is in {homes[0]}, not in Training" if homes else "there is no such row"


def _digits(whole: bytes) -> str:
    return whole.hex()[:DIGITS]


def _no_set(path: Path, why: str) -> DataError:
    return DataError(f"{path} is no calibration set", why=why, hint="edgefer calibrate NEW.csv")
