"""Tables with the path and the class of each picture, whose columns --columns describes.

    read(Path("faces.csv"), options=ReadOptions(columns={"path": "file", "label": "mood"}), bad=bad, progress=silent)

Paths are relative to the table; the role image is another name for path. The optional columns split and subject assign
pictures to splits and to persons. Without a column of splits, all pictures belong to Training.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from edgefer.data.naming import SPLIT_WORDS, list_names, quote, splits_of
from edgefer.data.pictures import Picture, pictures_key, read_pictures
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.data.table_columns import DELIMITERS, split_line
from edgefer.data.table_text import open_table
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
    return pictures_key(list(_pictures(path, options)), options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read the picture of each row for a model.

    Raises:
        UsageError: the table has no column of a name in ``options.columns``.
        DataError: the file is not a table.
    """
    pictures = list(_pictures(path, options))
    return read_pictures(pictures, layout=LAYOUT, options=options, bad=bad, progress=progress)


def _pictures(path: Path, options: ReadOptions) -> list[Picture]:
    rows = list(_rows(path, options))
    splits = splits_of(row["split"] for _, row in rows if "split" in row)
    return [_picture(path.parent, line, row, splits) for line, row in rows]


def _rows(path: Path, options: ReadOptions) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line numbers and the cells of each row by role."""
    with open_table(path, accepts=lambda head: True) as table:
        if table is None:
            raise DataError(f"{path} is not a table", why="it is an archive without a table", hint="--data TABLE.csv")
        positions: dict[str, int] = {}
        delimiter, width = "", 0
        for number, line in table.lines():
            if not line.strip():
                continue
            if not positions:
                delimiter = max(DELIMITERS, key=line.count)
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
    return {role: lower.index(name.lower()) for role, name in options.columns.items()}


def _picture(folder: Path, line: int, row: dict[str, str], splits: Mapping[str, str]) -> Picture:
    split = splits[row["split"]] if "split" in row else SPLITS[0]
    label, name = row.get("label", "").strip(), row["path" if "path" in row else "image"].strip()
    problem = "" if split else f"line {line}: the split is {quote(row.get('split', ''))}, expected {SPLIT_WORDS}"
    problem = problem or ("" if label else f"line {line}: the class is empty")
    problem = problem or ("" if name else f"line {line}: the path is empty")
    path = folder / name.replace("\0", "")
    return Picture(path, name or f"line {line}", label, split or SPLITS[0], row.get("subject", ""), problem=problem)
