"""Read FER+ votes: ten annotators per face (Barsoum et al. 2016, https://arxiv.org/abs/1608.01041).

    table = attach(Path("fer2013new.csv"), table)   # table.votes: float32 (n, 10)
    in_label_order(table.votes)                     # float32 (n, 7), columns in the order of LABELS

The file has the rows of fer2013.csv in the same order. Its column "Image name" is not a row number, because it skips
the images without a face. Votes are therefore matched by position. The Usage columns must agree, and votes must agree
with labels more often than by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.naming import canonical_name, list_names, quote, quote_name
from edgefer.data.records import SPLITS, SampleTable
from edgefer.data.table_columns import DELIMITERS, split_line
from edgefer.data.table_text import open_table
from edgefer.errors import DataError
from edgefer.file_kinds import describe_kind

__all__ = ["VOTED_LABELS", "VOTES", "attach", "in_label_order", "rename_votes"]

VOTES = ("neutral", "happiness", "surprise", "sadness", "anger", "disgust", "fear", "contempt", "unknown", "NF")
LABEL_OF_VOTE = {"happiness": "happy", "sadness": "sad", "anger": "angry"}
VOTED_LABELS = tuple(LABEL_OF_VOTE.get(vote, vote) for vote in VOTES[:-2])
# Faces whose labels and votes are compared, and the lowest kappa. On FER2013, 200 faces in order have 0.45 to 0.64, and
# 0.11 at most with the votes of their neighbors. A few classes that people confuse have less.
BLOCK_FACES, LEAST_FACES, LEAST_CLASSES, LEAST_KAPPA = 200, 100, 5, 0.25
HINT = "use the fer2013new.csv that belongs to this data set, or omit --ferplus"


def in_label_order(votes: npt.NDArray[np.float32], labels: tuple[str, ...] = LABELS) -> npt.NDArray[np.float32]:
    """Select the votes (n, classes) for ``labels`` from votes (n, 10); a class that FER+ lacks has no votes.

    Votes for other classes, unknown and NF are dropped; LABELS lack contempt.
    """
    columns = [VOTED_LABELS.index(label) if label in VOTED_LABELS else -1 for label in labels]
    selected: npt.NDArray[np.float32] = np.where(np.array(columns) >= 0, votes[:, columns], np.float32(0))
    return selected


def rename_votes(votes: npt.NDArray[np.float32], names: Mapping[str, str]) -> npt.NDArray[np.float32]:
    """Return votes (n, 10) with those for each class in the column of its new name.

    Args:
        votes: votes in the column order of fer2013new.csv.
        names: new names by class of FER+, for classes that a labels map renames.

    Raises:
        DataError: FER+ has no class of a new name.
    """
    renamed = votes.copy()
    renamed[:, : len(VOTED_LABELS)] = 0
    for column, label in enumerate(VOTED_LABELS):
        name = names.get(label, label)
        if name not in VOTED_LABELS:
            raise DataError(
                f"FER+ has no votes for the class {quote_name(name)}",
                why=f"the labels map gives {label} this name; expected one of {list_names(VOTED_LABELS)}",
                hint="omit --ferplus",
            )
        renamed[:, VOTED_LABELS.index(name)] += votes[:, column]
    return renamed


def attach(path: Path, table: SampleTable) -> SampleTable:
    """Return ``table`` with the votes in ``path``.

    Raises:
        DataError: the file has no valid votes, or its number of rows, its Usage column or its votes do not match the
            table.
    """
    usage, votes = _read(path)
    positions = _positions(path, table, usage)
    mismatches = np.flatnonzero(usage[positions] != table.usage)
    if len(mismatches):
        first = mismatches[0]
        raise DataError(
            f"{path} does not belong to this data set",
            why=f"{len(mismatches)} of {len(positions)} faces have another Usage there, first row {table.rows[first]}: "
            f"{SPLITS[usage[positions[first]]]}, expected {SPLITS[table.usage[first]]}",
            hint=HINT,
        )
    _check_agreement(path, table, votes[positions])
    return replace(table, votes=votes[positions])


def _check_agreement(path: Path, table: SampleTable, votes: npt.NDArray[np.float32]) -> None:
    """Raise DataError if votes belong to other faces, such as those of a file that was sorted."""
    names = [canonical_name(name) for name in table.label_names]
    columns = np.array([VOTED_LABELS.index(name) if name in VOTED_LABELS else -1 for name in names])[table.labels]
    classes = votes[:, : len(VOTED_LABELS)]
    known = np.flatnonzero((columns >= 0) & (classes.sum(axis=1) > 0))
    known = known[np.argsort(table.rows[known], kind="stable")]
    if len(known) < LEAST_FACES or len(np.unique(columns[known])) < LEAST_CLASSES:
        return
    for block in np.array_split(known, max(1, len(known) // BLOCK_FACES)):
        kappa, agreement = _cohens_kappa(columns[block], classes[block].argmax(axis=1))
        if kappa < LEAST_KAPPA:
            first, last = table.rows[block[[0, -1]]]
            raise DataError(
                f"{path} does not belong to this data set, or was sorted",
                why=f"in rows {first} to {last}, the most frequent vote is the label of {agreement:.0%} of the faces, "
                "hardly more than by chance; expected about 63%",
                hint=HINT,
            )


def _cohens_kappa(first: npt.NDArray[np.int64], second: npt.NDArray[np.int64]) -> tuple[float, float]:
    """Return the agreement of two raters beyond chance, and their agreement (Cohen 1960)."""
    agreement = float(np.mean(first == second))
    shares = [np.bincount(rater, minlength=len(VOTED_LABELS)) / len(rater) for rater in (first, second)]
    chance = float(shares[0] @ shares[1])
    return (agreement - chance) / (1 - chance) if chance < 1 else 1.0, agreement


def _positions(path: Path, table: SampleTable, usage: npt.NDArray[np.int8]) -> npt.NDArray[np.int64]:
    """Return the 0-based data row of each face in the file."""
    # fer2013new.csv contains all three splits, even if the data set lacks one.
    shared = np.flatnonzero(np.isin(usage, np.unique(table.usage)))
    if table.row_count is not None:
        if table.row_count == len(shared):
            return shared[table.rows]
        raise DataError(
            f"{path} does not belong to this data set",
            why=f"it has {len(shared)} rows for the splits of the data set, which has {table.row_count}",
            hint=HINT,
        )
    if not table.has_row_numbers:
        raise DataError(
            f"{path} cannot be matched with this image tree",
            why="the file names contain no rows of fer2013.csv, as in Training_00000012.jpg",
            hint="use fer2013.csv with --data, or omit --ferplus",
        )
    if table.rows.max() < len(usage):
        return table.rows
    if len(table.rows) == len(shared):
        return shared[np.argsort(np.argsort(table.rows, kind="stable"), kind="stable")]
    raise DataError(
        f"{path} does not belong to this image tree",
        why=f"it has {len(usage)} rows, and the file names contain row {table.rows.max()}",
        hint=HINT,
    )


def _read(path: Path) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Read Usage as indices into SPLITS (n,), and votes (n, 10)."""
    if not path.is_file():
        raise DataError(f"cannot read {quote_name(path)}", why=f"it is {describe_kind(path)}, expected CSV", hint=HINT)
    usage, votes = [], []
    try:
        with open_table(path, accepts=lambda head: True) as table:
            if table is None:
                raise DataError(f"{path} has no FER+ votes", why="it is an archive without a table", hint=HINT)
            columns, delimiter, first = _columns(path, table.head)
            for number, line in table.lines():
                if number <= first or not line.strip():
                    continue
                cells = split_line(line, delimiter)
                values = {name: cells[index] if index < len(cells) else "" for name, index in columns.items()}
                usage.append(_usage(path, number, values["Usage"]))
                votes.append([_count(path, number, name, values[name]) for name in VOTES])
    except OSError as error:
        raise DataError(f"cannot read {path}", why=str(error), hint=HINT) from error
    if not usage:
        raise DataError(f"{path} has no FER+ votes", why="there are no rows below the header", hint=HINT)
    return np.array(usage, np.int8), np.array(votes, np.float32)


def _columns(path: Path, head: str) -> tuple[dict[str, int], str, int]:
    """Return the positions of the columns, the delimiter, and the number of the header line."""
    lines = head.splitlines()
    number = next((number for number, line in enumerate(lines, start=1) if line.strip()), 0)
    header = lines[number - 1] if number else ""
    delimiter = max(DELIMITERS, key=header.count)
    names = [name.lstrip("\ufeff") for name in split_line(header, delimiter)]
    missing = [name for name in ("Usage", *VOTES) if name not in names]
    if missing:
        why = f"it is {describe_kind(path)} without the columns {', '.join(missing)}"
        raise DataError(f"{path} has no FER+ votes", why=why, hint=HINT)
    return {name: names.index(name) for name in ("Usage", *VOTES)}, delimiter, number


def _usage(path: Path, line: int, text: str) -> int:
    if text not in SPLITS:
        why = f"Usage is {quote(text, limit=20)}, expected {', '.join(SPLITS)}"
        raise DataError(f"{path}, line {line} is invalid", why=why, hint=HINT)
    return SPLITS.index(text)


def _count(path: Path, line: int, column: str, value: str) -> float:
    try:
        count = float(value)
    except ValueError:
        count = math.nan
    if not 0 <= count < math.inf:
        why = f"{column} is {quote(value, limit=20)}, expected a number of votes"
        raise DataError(f"{path}, line {line} is invalid", why=why, hint=HINT)
    return count
