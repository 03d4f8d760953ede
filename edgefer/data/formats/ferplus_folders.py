"""FER+ folders: FER2013Train, FER2013Valid and FER2013Test with pictures and label.csv.

    FER2013Train/fer0000000.png
    FER2013Train/label.csv                          # fer0000000.png,"(0, 0, 48, 48)",4,0,0,1,3,2,0,0,0,0

The ten numbers are votes of annotators. A picture has the class with most votes, the first of equal ones. Pictures with
most votes for unknown or no face are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

from edgefer.data.ferplus import VOTED_LABELS, VOTES
from edgefer.data.naming import counted, quote, splits_of
from edgefer.data.pictures import Picture, path_problem, pictures_key, read_pictures, split_folders
from edgefer.data.records import BadRows, ReadOptions, SampleTable
from edgefer.data.table_columns import split_line
from edgefer.data.table_text import decode_text
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

LIST = "label.csv"
CELLS = 2 + len(VOTES)
LAYOUT = "FER+ folders"


def matches(path: Path) -> bool:
    """Return True for a folder with folders of splits that contain label.csv."""
    return bool(_folders(path))


def is_complete(path: Path) -> bool:
    """Return True: classes and splits are known."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over all pictures and their votes; see pictures_key()."""
    pictures, left_out = _pictures(path)
    return pictures_key(pictures, options, left_out)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures with an expression, and their votes, for a model."""
    pictures, left_out = _pictures(path)
    notes = (f"Skipped: {counted(left_out, 'image')} with most votes for unknown or no face.",) if left_out else ()
    return read_pictures(pictures, layout=LAYOUT, options=options, bad=bad, progress=progress, notes=notes)


def _folders(path: Path) -> list[Path]:
    return [folder for folder in split_folders(path) if (folder / LIST).is_file()]


def _pictures(path: Path) -> tuple[list[Picture], int]:
    """Return the pictures with an expression, and the number of the others."""
    folders = _folders(path)
    splits = splits_of(folder.name for folder in folders)
    pictures = [picture for folder in folders for picture in _listed(folder, splits[folder.name])]
    kept = [picture for picture in pictures if picture is not None]
    return kept, len(pictures) - len(kept)


def _listed(folder: Path, split: str) -> Iterator[Picture | None]:
    """Yield the pictures of one split; None for a picture without an expression."""
    for number, line in enumerate(decode_text((folder / LIST).read_bytes()).splitlines(), start=1):
        cells = split_line(line, ",")
        # The file has no header; one that a tool has added has no votes.
        if not line.strip() or (number == 1 and not any(cell.strip().isdecimal() for cell in cells)):
            continue
        try:
            if len(cells) != CELLS:
                raise ValueError(f"{len(cells)} columns, expected {CELLS}")
            if problem := path_problem(cells[0]):
                raise ValueError(problem)
            votes = tuple(map(float, cells[2:]))
            if not all(0 <= vote < math.inf for vote in votes) or not any(votes):
                raise ValueError(f"the votes are {quote(' '.join(cells[2:]))}")
        except ValueError as error:
            yield Picture(folder, f"{folder.name}/{LIST}, line {number}", "", split, problem=str(error))
            continue
        best = votes.index(max(votes))
        name = cells[0]
        yield (
            Picture(folder / name, f"{folder.name}/{name}", VOTED_LABELS[best], split, votes=votes)
            if best < len(VOTED_LABELS)
            else None
        )
