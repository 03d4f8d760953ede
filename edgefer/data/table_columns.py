"""Find delimiter, header and columns of a table of faces in the beginning of its text.

    columns = find_columns("emotion;pixels;Usage\\n0;70 80 82 ...;Training\\n")
    columns.delimiter, columns.emotion, columns.pixels, columns.usage       # ";", 0, (1,), 2
    columns.split("0;70 80 82 ...;Training\\n")                             # ["0", "70 80 82 ...", "Training"]

Columns are found by name. A table without a header is accepted if its first line has one list of pixels, one emotion
and one name of a split.
"""

from __future__ import annotations

import csv
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgefer.data.naming import label_of, split_of

__all__ = [
    "DELIMITERS", "LIST_SEPARATORS", "SPLIT_NAMES", "SUBJECT_NAMES", "Columns", "columns_hint", "find_columns",
    "split_line",
]  # fmt: skip

DELIMITERS = (",", ";", "\t", "|")
EMOTION_NAMES = ("emotion", "label", "expression", "class")
# Not read without --columns, because tables of pixels have the names above.
LABEL_NAMES = (*EMOTION_NAMES, "labels", "emotions", "mood", "category", "target")
SPLIT_NAMES = ("usage", "split", "subset")
USAGE_NAMES = (*SPLIT_NAMES, "set")
SUBJECT_NAMES = ("subject", "person")
# One column per pixel, such as pixel0 to pixel2303, in any order; the names may also be 0 to 2303.
PIXEL_COLUMN = re.compile(r"(?:pixels?|px|p)[\s_.\-]*(\d+)")
# Characters beside the numbers of a list, such as [70, 80] and [[70 80] [82 72]].
LIST_SEPARATORS = str.maketrans("[](),;", "      ")
LEAST_PIXEL_COLUMNS = 100
LEAST_PIXELS = 256
NUMBER = re.compile(r"[\d.]+")
NO_ROLES: Mapping[str, str] = {}
PICTURE_PATH = re.compile(r".+\.(?:jpe?g|png|bmp|webp|tiff?|pgm|ppm)", re.IGNORECASE)
SEPARATOR_LINE = re.compile(r"sep=(.)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Columns:
    """Columns of a table of faces.

    Attributes:
        names: names in the header, in lower case; empty without a header.
        width: number of columns.
        delimiter: character between cells.
        emotion, usage, subject: positions of the columns, or None.
        pixels: position of the column with all pixels, or positions of columns with one pixel each, in the order of
            the pixels.
        skipped: lines before the first data row: blank lines, Excel's "sep=;" and the header.
    """

    names: tuple[str, ...]
    width: int
    delimiter: str
    emotion: int | None
    usage: int | None
    pixels: tuple[int, ...]
    skipped: int
    subject: int | None = None

    def split(self, line: str) -> list[str]:
        """Split a line into cells without quotes and surrounding spaces."""
        # A valid row contains no delimiter within its cells. Splitting without regard to quotes limits the damage of a
        # stray quote to its line.
        cells = _plain_cells(line, self.delimiter)
        if len(cells) != self.width and '"' in line:
            cells = split_line(line, self.delimiter)
        # A delimiter at the end of each line is common.
        return cells[:-1] if len(cells) == self.width + 1 and not cells[-1] else cells


def find_columns(head: str, roles: Mapping[str, str] = NO_ROLES) -> Columns | None:
    """Return the columns of a table, or None for a text without pixels.

    Args:
        head: beginning of the text.
        roles: names of the columns "label", "pixels", "split" and "subject", where they differ from the usual ones.
    """
    lines = head.splitlines()
    skipped = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    separator = SEPARATOR_LINE.match(lines[skipped]) if skipped < len(lines) else None
    if separator:
        skipped += 1
    if skipped >= len(lines):
        return None
    for delimiter in separator[1] if separator else DELIMITERS:
        cells = split_line(lines[skipped], delimiter)
        columns = _from_header(cells, delimiter, skipped, roles)
        columns = columns or (None if roles else _from_row(cells, delimiter, skipped))
        if columns is not None:
            return columns
    return None


def columns_hint(names: Sequence[str], row: Sequence[str]) -> str:
    """Return the option --columns for a table with other names, with NAME for a column that cannot be guessed.

    Args:
        names: header of the table.
        row: first row, whose cells tell pixels and paths of pictures.
    """
    cells = list(zip(names, row))
    pixels = next((name for name, cell in cells if _is_pixel_list(cell)), None)
    path = next((name for name, cell in cells if PICTURE_PATH.fullmatch(cell)), None)
    others = [name for name in names if name not in (pixels, path)]
    known = next((name for name in others if name.lower() in LABEL_NAMES), None)
    label = known or (others[0] if len(others) == 1 else "NAME")
    picture = f"pixels={pixels}" if pixels else f"path={path or 'NAME'}"
    return f"--columns {shlex.quote(f'label={label},{picture}')}"


def split_line(line: str, delimiter: str) -> list[str]:
    """Split a line into cells; quotes protect delimiters."""
    try:
        (cells,) = csv.reader([line.strip("\r\n")], delimiter=delimiter, skipinitialspace=True)
    except (csv.Error, ValueError):  # a cell beyond the limit of the csv module, or a line break within quotes
        return _plain_cells(line, delimiter)
    return [cell.strip(' \t\r\n"') for cell in cells]


def _plain_cells(line: str, delimiter: str) -> list[str]:
    return [cell.strip(' \t\r\n"') for cell in line.split(delimiter)]


def _from_header(cells: list[str], delimiter: str, skipped: int, roles: Mapping[str, str]) -> Columns | None:
    chosen = {role: (name.lower(),) for role, name in roles.items()}
    names = tuple(cell.strip(" \t\r\n\"'\ufeff").lower() for cell in cells)
    pixels = tuple(index for index, name in enumerate(names) if name in chosen.get("pixels", ("pixels",)))[:1]
    if not pixels:
        matches = ((index, PIXEL_COLUMN.fullmatch(name)) for index, name in enumerate(names))
        numbers = {index: int(match[1]) for index, match in matches if match}
        if len(numbers) < LEAST_PIXEL_COLUMNS:
            numbers = _counted_columns(names)
        if len(numbers) < LEAST_PIXEL_COLUMNS:
            return None
        pixels = tuple(sorted(numbers, key=lambda index: numbers[index]))
    usual = {"label": EMOTION_NAMES, "split": USAGE_NAMES, "subject": SUBJECT_NAMES}
    emotion, usage, subject = (
        next((names.index(name) for name in chosen.get(role, choices) if name in names), None)
        for role, choices in usual.items()
    )
    return Columns(names, len(cells), delimiter, emotion, usage, pixels, skipped + 1, subject)


def _counted_columns(names: Sequence[str]) -> dict[int, int]:
    """Return the numbers of columns that are named 0, 1, 2 and so on, as pandas does; empty for other numbers."""
    numbers = {index: int(name) for index, name in enumerate(names) if re.fullmatch(r"[0-9]{1,9}", name)}
    return numbers if sorted(numbers.values()) == list(range(len(numbers))) else {}


def _from_row(cells: list[str], delimiter: str, skipped: int) -> Columns | None:
    pixels = [index for index, cell in enumerate(cells) if _is_pixel_list(cell)]
    others = [index for index in range(len(cells)) if index not in pixels]
    emotions = [index for index in others if label_of(cells[index])]
    usages = [index for index in others if split_of(cells[index])]
    if len(pixels) != 1:
        return None
    return Columns(
        names=(),
        width=len(cells),
        delimiter=delimiter,
        emotion=emotions[0] if len(emotions) == 1 else None,
        usage=usages[0] if len(usages) == 1 else None,
        pixels=(pixels[0],),
        skipped=skipped,
    )


def _is_pixel_list(cell: str) -> bool:
    tokens = cell.translate(LIST_SEPARATORS).split()
    return len(tokens) >= LEAST_PIXELS and all(NUMBER.fullmatch(token) for token in tokens[:LEAST_PIXELS])
