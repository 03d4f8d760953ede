"""FER+ votes (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041): ten columns, ten annotators, a row per face.

    rows = attach(Path("fer2013new.csv"), rows)     # rows.votes: float32 (n, 10)
    in_label_order(rows.votes)                      # float32 (n, 7), columns as LABELS

The file has one line per line of fer2013.csv in the same order, and its "Image name" is not the number of that line (it
skips the faces that were voted to be none), so votes are matched by position and held against the Usage column.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.records import SPLITS, SampleTable
from edgefer.errors import DataError

__all__ = ["VOTES", "attach", "in_label_order"]

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
LABEL_OF_VOTE = {"happiness": "happy", "sadness": "sad", "anger": "angry"}
COLUMN_OF_LABEL = [[LABEL_OF_VOTE.get(vote, vote) for vote in VOTES].index(label) for label in LABELS]
FIX = "give the fer2013new.csv that belongs to this data set, or leave --ferplus out"


def in_label_order(votes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """(n, 10) votes -> (n, 7) votes in the order of LABELS; contempt, unknown and NF are dropped."""
    return votes[:, COLUMN_OF_LABEL]


def attach(path: Path, rows: SampleTable) -> SampleTable:
    """``rows`` with the votes in ``path``.

    Raises:
        DataError: the file is not what it should be, or its count or Usage column do not fit the data set.
    """
    usage, votes = _read(path)
    at = _positions(path, rows, usage)
    other = np.flatnonzero(usage[at] != rows.usage)
    if len(other):
        first = other[0]
        raise DataError(
            f"{path} does not belong to this data set",
            why=f"{len(other)} of {len(at)} faces stand in another split there, the first at row {rows.rows[first]}: "
            f"{SPLITS[usage[at[first]]]}, not {SPLITS[rows.usage[first]]}",
            hint=FIX,
        )
    return replace(rows, votes=votes[at])


def _positions(path: Path, rows: SampleTable, usage: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """The line of each face in the file, 0-based and without the header."""
    # fer2013new.csv has all three splits even where the data set at hand lacks one.
    shared = np.flatnonzero(np.isin(usage, np.unique(rows.usage)))
    if rows.row_count is not None:
        if rows.row_count == len(shared):
            return shared[rows.rows]
        raise DataError(
            f"{path} does not belong to this data set",
            why=f"it has {len(shared)} rows for the splits at hand, the data set has {rows.row_count}",
            hint=FIX,
        )
    if not rows.numbered:
        raise DataError(
            f"{path} cannot be matched with this image tree",
            why="votes belong to rows of fer2013.csv, and the file names do not keep them (Training_00000012.jpg does)",
            hint="use fer2013.csv itself with --data, or leave --ferplus out",
        )
    if rows.rows.max() < len(usage):
        return rows.rows
    if len(rows.rows) == len(shared):
        return shared[np.argsort(np.argsort(rows.rows, kind="stable"), kind="stable")]
    raise DataError(
        f"{path} does not belong to this image tree",
        why=f"it has {len(usage)} rows, and the file names go up to row {rows.rows.max()}",
        hint=FIX,
    )


def _read(path: Path) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Usage as indices into SPLITS (n,), and votes (n, 10)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}", why=str(error), hint=FIX) from error
    missing = [name for name in ("Usage", *VOTES) if not lines or name not in lines[0]]
    if missing:
        raise DataError(f"{path} is no file of FER+ votes", why=f"it has no column {', '.join(missing)}", hint=FIX)
    usage, votes = [], []
    for number, line in enumerate(lines, start=2):
        try:
            usage.append(SPLITS.index(str(line["Usage"]).strip()))
            votes.append([_count(line[name]) for name in VOTES])
        except ValueError as error:
            raise DataError(f"{path}, line {number} cannot be used", why=str(error), hint=FIX) from error
    return np.array(usage, np.int8), np.array(votes, np.float32)


def _count(value: Any) -> float:
    count = float(value if value is not None else "")
    if not 0 <= count < float("inf"):
        raise ValueError(f"{value!r} is no number of votes")
    return count
