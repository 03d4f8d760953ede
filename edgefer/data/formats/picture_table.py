"""Tables with the path and the class of each picture, whose columns --columns describes.

    read(Path("faces.csv"), options=ReadOptions(columns={"path": "file", "label": "mood"}), bad=bad, progress=silent)

Paths are relative to the table, and may have the backslashes of Windows. The role image is another name for path. The
optional columns split and subject assign pictures to splits and to persons; columns with usual names, such as Usage,
split, subject or person, need no role. Without a column of splits, all pictures belong to Training.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgefer.data.naming import (
    SPLIT_WORDS,
    UNDECODED,
    is_missing,
    list_names,
    quote,
    single_test_notes,
    splits_of,
    subject_name,
)
from edgefer.data.pictures import Picture, path_problem, pictures_key, read_pictures
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.data.table_columns import DELIMITERS, SEPARATOR_LINE, SPLIT_NAMES, SUBJECT_NAMES, split_line
from edgefer.data.table_text import Table, open_table
from edgefer.errors import DataError, UsageError
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

LAYOUT = "picture table"


def matches(path: Path) -> bool:
    """Return False: only --columns makes a file a table of pictures."""
    return False


def is_complete(path: Path) -> bool:
    """Return True: the columns are named by the user."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over all pictures and their classes; see pictures_key()."""
    pictures, notes = _pictures(path, options)
    return pictures_key(pictures, options, notes)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read the picture of each row for a model.

    Raises:
        UsageError: the table has no column of a name in ``options.columns``.
        DataError: the file is not a table.
    """
    pictures, notes = _pictures(path, options)
    return read_pictures(pictures, layout=LAYOUT, options=options, bad=bad, progress=progress, notes=notes)


def _pictures(path: Path, options: ReadOptions) -> tuple[list[Picture], tuple[str, ...]]:
    """Return the picture of each row, and notes on the encoding of the table and on its test set."""
    with open_table(path, accepts=lambda head: True) as table:
        if table is None:
            raise DataError(f"{path} is not a table", why="it is an archive without a table", hint="--data TABLE.csv")
        rows = list(_rows(path, table, options))
        notes = table.notes()
    splits = splits_of(row["split"] for _, row in rows if "split" in row)
    notes = (*notes, *single_test_notes(splits, column=options.columns.get("split", "Split")))
    return [_picture(path.parent, line, row, splits) for line, row in rows], notes


def _rows(path: Path, table: Table, options: ReadOptions) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and the cells of each row by role."""
    positions: dict[str, int] = {}
    delimiter, width = "", 0
    for number, line in table.lines():
        # Spreadsheets leave rows of empty cells at the end.
        if not line.strip(delimiter + ' "\t\r\n'):
            continue
        if not positions:
            if not delimiter and (separator := SEPARATOR_LINE.match(line.lstrip("\ufeff"))):
                delimiter = separator[1]
                continue
            delimiter = delimiter or max(DELIMITERS, key=line.count)
            header = [name.lstrip("\ufeff") for name in split_line(line, delimiter)]
            positions, width = _positions(path, header, options), len(header)
            continue
        cells = split_line(line, delimiter)
        padded = cells + [""] * (width - len(cells))
        yield number, {role: padded[position] for role, position in positions.items()}


def _positions(path: Path, header: list[str], options: ReadOptions) -> dict[str, int]:
    lower = [name.lower() for name in header]
    missing = [name for name in options.columns.values() if name.lower() not in lower]
    if missing:
        raise UsageError(
            f"{path} has no column {list_names(missing)}",
            why=f"its columns are {list_names(header)}",
            hint="--columns label=NAME,path=NAME",
        )
    usual = {"split": SPLIT_NAMES, "subject": SUBJECT_NAMES}
    named = {role: next((name for name in choices if name in lower), "") for role, choices in usual.items()}
    names = {**{role: name for role, name in named.items() if name}, **options.columns}
    return {role: lower.index(name.lower()) for role, name in names.items()}


def _picture(folder: Path, line: int, row: dict[str, str], splits: Mapping[str, str]) -> Picture:
    split = splits[row["split"]] if "split" in row else SPLITS[0]
    label, name = row.get("label", "").strip(), row["path" if "path" in row else "image"].strip()
    problem = "" if split else f"line {line}: the split is {quote(row.get('split', ''))}, expected {SPLIT_WORDS}"
    if not problem and is_missing(label):
        problem = f"line {line}: the class is {quote(label) if label else 'empty'}"
    if UNDECODED in label:
        problem = f"line {line}: the class {quote(label)} contains bytes that are no text"
    if reason := path_problem(name):
        return Picture(folder, f"line {line}", label, problem=reason)
    path = folder / name
    if "\\" in name and not os.path.exists(path):  # noqa: PTH110
        path = folder / name.replace("\\", "/")
    return Picture(path, name, label, split or SPLITS[0], subject_name(row.get("subject", "")), problem=problem)
