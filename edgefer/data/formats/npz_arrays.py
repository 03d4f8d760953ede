"""NumPy archives (.npz) with the arrays pixels, emotion and usage, and optionally votes.

    pixels  uint8 (n, 48, 48) or (n, 48, 48, 1)
    emotion integers (n,), indices into LABELS
    usage   text (n,), "Training", "PublicTest" or "PrivateTest"
    votes   numbers (n, 10), FER+ votes in the column order of fer2013new.csv

Arrays are validated by their headers before they are read, so a header that declares more data than the file has, or
Python objects, is an error. Reading is fast, so nothing is cached.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.naming import TEST, assign_test, quote, quote_name, split_of
from edgefer.data.records import SPLITS, BadRows, SampleTable
from edgefer.data.table_text import DAMAGE, size_limit
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

DAMAGED_HINT = "write or copy the file again"
HINT = "np.savez('data.npz', pixels=..., emotion=..., usage=...)"
VOTE_COLUMNS = 10
LONGEST_USAGE = 64
MOST_VOTES = 1_000_000
REQUIRED = ("pixels", "emotion", "usage")
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def matches(path: Path) -> bool:
    """Return True for a ZIP archive of arrays, or a damaged one whose name ends in .npz."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if file.read(2) != b"PK":
            return False
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith(".npy") for name in archive.namelist())
    except DAMAGE:
        return path.suffix.lower() == ".npz"


def is_complete(path: Path) -> bool:
    """Return True for an archive with the arrays pixels, emotion and usage."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {f"{name}.npy" for name in REQUIRED} <= set(archive.namelist())
    except DAMAGE:
        return False


def cache_key(path: Path, *, size: tuple[int, int]) -> str:
    """Return an empty key: a cache would not be faster than the file."""
    return ""


def read(path: Path, *, size: tuple[int, int], bad: BadRows, progress: Progress) -> SampleTable:
    """Read the arrays; rows with an unknown emotion or usage are bad.

    Raises:
        DataError: an array is missing or damaged, or has another shape or dtype than described above.
    """
    arrays = _read_arrays(path)
    pixels, emotion, usage, votes = arrays["pixels"], arrays["emotion"], arrays["usage"], arrays.get("votes")
    count = len(pixels)
    pixels = pixels.reshape(count, *pixels.shape[1:3])
    if votes is not None:
        invalid = np.argwhere(~((votes >= 0) & (votes <= MOST_VOTES)))
        if len(invalid):
            row, column = invalid[0].tolist()
            why = f"row {row} (from 0), column {column} is {votes[row, column]}, expected 0 to {MOST_VOTES:,}"
            raise DataError(f"{path}: array votes has invalid numbers", why=why, hint=HINT)
    text = np.char.strip(np.char.decode(usage, "utf-8", "replace") if usage.dtype.kind == "S" else usage)
    splits = _splits(text)
    labels = emotion.astype(np.int64)
    is_good = (splits >= 0) & (emotion >= 0) & (emotion < len(LABELS))
    for row in np.flatnonzero(~is_good):
        if splits[row] < 0:
            reason = f"usage is {quote(text[row])}, expected {', '.join(SPLITS)}"
        else:
            reason = f"emotion is {emotion[row]}, expected 0 to {len(LABELS) - 1}"
        bad.add(f"row {row} (from 0)", reason)
    progress(count, count, "rows")
    kept = np.flatnonzero(is_good)
    return SampleTable(
        pixels=pixels[kept],
        labels=labels[kept],
        usage=splits[kept],
        rows=kept.astype(np.int64),
        votes=None if votes is None else votes[kept].astype(np.float32),
        layout="npz",
        row_count=count,
    )


def _splits(usage: npt.NDArray[np.str_]) -> npt.NDArray[np.int8]:
    """Return indices into SPLITS (n,), -1 for unknown names."""
    names, positions = np.unique(usage, return_inverse=True)
    test = assign_test(frozenset(names.tolist()))
    splits = [test if (split := split_of(str(name))) == TEST else split for name in names]
    return np.array([SPLITS.index(split) if split in SPLITS else -1 for split in splits], np.int8)[positions]


def _read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the arrays that the module describes.

    Raises:
        DataError: an array is missing, damaged, or has another shape or dtype.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            missing = [name for name in REQUIRED if name not in names]
            if missing:
                present = ", ".join(map(quote_name, names[:8])) + (", ..." if len(names) > 8 else "")
                what = f"{path} has no array {' and no array '.join(missing)}"
                raise DataError(what, why=f"its arrays are {present}", hint=HINT)
            limit = size_limit(path.stat().st_size)
            wanted = [name for name in (*REQUIRED, "votes") if name in names]
            # The headers are small; all of them must fit before the pixels are read.
            headers = {name: _read_header(path, archive, name, limit) for name in wanted}
            count = headers["pixels"][0][0] if headers["pixels"][0] else 0
            for name, (shape, _, dtype) in headers.items():
                _require(path, name, shape, dtype, count)
            return {name: _read_array(path, archive, name, header) for name, header in headers.items()}
    except DAMAGE as error:
        why = str(error) or type(error).__name__
        raise DataError(f"{path} is damaged", why=quote_name(why)[:200], hint=DAMAGED_HINT) from error


def _read_header(
    path: Path, archive: zipfile.ZipFile, name: str, limit: int
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype of an array."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise DataError(f"{path}: array {name} has version {version}", why="expected 1.0 or 2.0", hint=HINT)
        try:
            shape, order, dtype = HEADERS[version](file)
        except Exception as error:  # NumPy parses the header as Python, which can raise anything
            why = quote_name(str(error))[:200]
            raise DataError(f"{path}: array {name} has a damaged header", why=why, hint=DAMAGED_HINT) from error
        offset = file.tell()
    if dtype.hasobject:
        why = "the array contains Python objects; loading them could run code"
        raise DataError(f"{path}: array {name} has dtype {dtype}", why=why, hint=HINT)
    size = math.prod(shape) * dtype.itemsize
    if size != info.file_size - offset or size > limit:
        why = f"its header declares {dtype} {shape}, {size:,} bytes; the file has {info.file_size - offset:,}"
        raise DataError(f"{path}: array {name} is damaged", why=why, hint=DAMAGED_HINT)
    return shape, order, dtype


def _read_array(
    path: Path, archive: zipfile.ZipFile, name: str, header: tuple[tuple[int, ...], bool, np.dtype[Any]]
) -> npt.NDArray[Any]:
    shape, is_fortran, dtype = header
    # Reading to the end verifies the checksum of the ZIP entry.
    content = archive.read(f"{name}.npy")
    size = math.prod(shape) * dtype.itemsize
    flat = np.frombuffer(content, dtype, offset=len(content) - size)
    return flat.reshape(shape, order="F" if is_fortran else "C")


def _require(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], count: int) -> None:
    """Raise DataError unless shape and dtype are those that the module describes."""
    if name == "pixels":
        is_valid = dtype == np.uint8 and shape[1:] in ((48, 48), (48, 48, 1)) and len(shape) > 1
        expected = "uint8 (n, 48, 48)"
    elif name == "emotion":
        is_valid, expected = shape == (count,) and dtype.kind in "iu", f"integers ({count},)"
    elif name == "usage":
        characters = dtype.itemsize // (4 if dtype.kind == "U" else 1)
        is_valid = shape == (count,) and dtype.kind in "US" and 0 < characters <= LONGEST_USAGE
        expected = f"text ({count},) of at most {LONGEST_USAGE} characters"
    else:
        is_valid = shape == (count, VOTE_COLUMNS) and dtype.kind in "iuf"
        expected = f"numbers ({count}, {VOTE_COLUMNS})"
    if not is_valid:
        raise DataError(f"{path}: array {name} is {dtype} {shape}", why=f"expected {expected}", hint=HINT)
