"""fer2013.csv and icml_face_data.csv: one face a line, with the columns emotion, pixels and Usage in any order.

    read(Path("fer2013.csv"), bad=BadRows(), progress=silent)

Columns are found by name, spaces around names and values are ignored (icml_face_data.csv has " Usage"), and quotes,
a byte-order mark and either line end are taken. Places are line numbers as an editor shows them: the header is line 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgefer.contract.labels import LABELS
from edgefer.data.records import SPLITS, BadRows, SampleTable, file_sha256
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "matches", "read"]

SIDE = 48
COLUMNS = ("emotion", "pixels", "usage")
# No header of a table is longer; a binary file must not be read to its end in search of a line end.
HEADER_LIMIT_BYTES = 4096
PROGRESS_EVERY_ROWS = 256
MIB = 1 << 20

# A look-up is both the parser and the check: what is not a whole number in 0..255 has no entry.
PIXEL = {str(value).encode(): value for value in range(256)}
EMOTION = {str(index).encode(): index for index in range(len(LABELS))}
USAGE = {name.encode(): index for index, name in enumerate(SPLITS)}


class _BadRow(ValueError):
    """Why one line cannot be used."""


def matches(path: Path) -> bool:
    """Whether ``path`` is a file whose first line names a column of pixels."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return "pixels" in _header(file)


def cache_key(path: Path) -> str:
    """The hash of the file's content."""
    return file_sha256(path)


def read(path: Path, *, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all lines, 48 x 48 pixels straight from the text.

    Raises:
        DataError: a column is missing, or no line is usable.
    """
    pixels, labels, usage, rows = bytearray(), bytearray(), bytearray(), []
    total_mib = max(1, path.stat().st_size // MIB)
    row = -1
    with path.open("rb") as file:
        header = _header(file)
        order = _columns(path, header)
        for line_number, line in enumerate(file, start=2):
            if not line.strip():
                continue
            row += 1
            try:
                label, face, split = _parse(line, order, len(header))
            except _BadRow as problem:
                cut = "" if line.endswith(b"\n") else " (the file ends within this line, it may be cut off)"
                bad.add(f"line {line_number}", f"{problem}{cut}")
                continue
            labels.append(label)
            pixels += face
            usage.append(split)
            rows.append(row)
            if row % PROGRESS_EVERY_ROWS == 0:
                progress(min(file.tell() // MIB, total_mib - 1), total_mib, "MiB")
    progress(total_mib, total_mib, "MiB")
    return SampleTable(
        pixels=np.frombuffer(pixels, np.uint8).reshape(-1, SIDE, SIDE),
        labels=np.frombuffer(labels, np.uint8).astype(np.int64),
        usage=np.frombuffer(usage, np.int8),
        rows=np.array(rows, np.int64),
        votes=None,
        layout="icml" if header.index("usage") < header.index("pixels") else "fer2013.csv",
        row_count=row + 1,
    )


def _header(file: BinaryIO) -> list[str]:
    line = file.readline(HEADER_LIMIT_BYTES).decode("utf-8-sig", errors="replace")
    return [name.strip(' \t\r\n"').lower() for name in line.split(",")]


def _columns(path: Path, header: list[str]) -> tuple[int, int, int]:
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise DataError(
            f"{path} has no column {' and no column '.join(missing)}",
            why=f"its first line names {_shown_names(header)}; without Usage test images cannot be told from Training",
            hint="use the fer2013.csv of the challenge, with the columns emotion, pixels and Usage",
        )
    return header.index(COLUMNS[0]), header.index(COLUMNS[1]), header.index(COLUMNS[2])


def _shown_names(header: list[str]) -> str:
    # With line ends that are none to Python, the first line is the whole file.
    return ", ".join(name[:20] for name in header[:8]) + (", ..." if len(header) > 8 else "")


def _parse(line: bytes, order: tuple[int, int, int], width: int) -> tuple[int, bytes, int]:
    # No value of these columns can hold a comma or a line end, so one stray quote costs one line and not the file.
    cells = [cell.strip(b' \t\r\n"') for cell in line.split(b",")]
    if len(cells) != width:
        raise _BadRow(f"{len(cells)} columns, {width} expected")
    emotion, text, split = (cells[index] for index in order)
    if emotion not in EMOTION:
        raise _BadRow(f"unknown emotion {_shown(emotion)}")
    if split not in USAGE:
        raise _BadRow(f"unknown Usage {_shown(split)}")
    return EMOTION[emotion], _pixels(text), USAGE[split]


def _pixels(text: bytes) -> bytes:
    tokens = text.split()
    try:
        face = bytes(map(PIXEL.__getitem__, tokens))
    except KeyError as error:
        raise _BadRow(_reason(error.args[0])) from error
    if len(face) != SIDE * SIDE:
        raise _BadRow(f"{len(face)} pixels, {SIDE * SIDE} expected")
    return face


def _reason(token: bytes) -> str:
    try:
        float(token)
    except ValueError:
        return f"pixel {_shown(token)} is not a number"
    return f"pixel {_shown(token)} is not a whole number in 0..255"


def _shown(value: bytes) -> str:
    text = value.decode("utf-8", errors="replace")
    return repr(text if len(text) <= 20 else text[:20] + "...")
