"""NumPy archives (.npz) with the arrays pixels, emotion and usage, and optionally votes.

    pixels  uint8 (n, h, w), (n, h, w, 1), or RGB (n, h, w, 3); also "images", "faces", "data" or "x"
    emotion integers (n,), indices into LABELS or label_names, or names; also "labels", "label" or "y"; without
            label_names, the user's map precedes the meaning of the numbers
    usage   text (n,), "Training", "PublicTest" or "PrivateTest"; also "split" or "splits"
    votes   numbers (n, 10), FER+ votes in the column order of fer2013new.csv
    label_names text (classes,); also "class_names" or "classes"

Archives of Keras style have x_train and y_train, and likewise x_val and x_test, instead of usage.

Arrays are validated by their headers before they are read, so a header that declares more data than the file has, or
Python objects, is an error. Reading is fast, so nothing is cached.
"""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.class_names import NUMBERS_HINT, numbers_from_1
from edgefer.data.naming import (
    FER2013_NUMBERS,
    SPLIT_WORDS,
    is_missing,
    list_names,
    quote,
    quote_name,
    single_test_notes,
    splits_of,
)
from edgefer.data.pictures import stored_spec
from edgefer.data.pixel_rows import SIDE, require_scenes
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.data.table_text import DAMAGE, size_limit
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

DAMAGED_HINT = "write or copy the file again"
HINT = "np.savez('data.npz', pixels=..., emotion=..., usage=...)"
NAMES_HINT = "write numbers from 0, or the names of the classes as emotion"
VOTE_COLUMNS = 10
LONGEST_USAGE = 64
MOST_VOTES = 1_000_000
MOST_CLASSES = 1000
REQUIRED = ("pixels", "emotion", "usage")
NAMES = {
    "pixels": ("pixels", "images", "faces", "data", "x"),
    "emotion": ("emotion", "emotions", "labels", "label", "y"),
    "usage": ("usage", "split", "splits"),
    "votes": ("votes",),
    "label_names": ("label_names", "class_names", "classes"),
}
# Words for the splits in the names of arrays of Keras style.
PARTS = ("train", "val", "valid", "validation", "test")
SIDES = range(8, 4097)
Arrays = dict[str, npt.NDArray[Any]]
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


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return an empty key: a cache would not be faster than the file."""
    return ""


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read the arrays; rows with an unknown emotion or usage are bad.

    Raises:
        UsageError: faces are to be detected in the arrays.
        DataError: an array is missing or damaged, or has another shape or dtype than described above.
    """
    require_scenes(path, options)
    arrays, unread = _read_arrays(path, needs_usage=options.needs_splits)
    pixels, emotion, votes = arrays["pixels"], arrays["emotion"], arrays.get("votes")
    count = len(pixels)
    usage = arrays.get("usage", np.full(count, SPLITS[0]))
    pixels = pixels[..., ::-1] if pixels.shape[3:] == (3,) else pixels.reshape(count, *pixels.shape[1:3])
    if votes is not None:
        invalid = np.argwhere(~((votes >= 0) & (votes <= MOST_VOTES)))
        if len(invalid):
            row, column = invalid[0].tolist()
            why = f"row {row} (from 0), column {column} is {votes[row, column]}, expected 0 to {MOST_VOTES:,}"
            raise DataError(f"{path}: array votes has invalid numbers", why=why, hint=HINT)
    text = _text(usage)
    splits, notes = _splits(text)
    classes = _classes(path, emotion, arrays.get("label_names"), options.class_names)
    labels = classes.positions
    if emotion.dtype.kind in "iu":
        _require_numbers_from_0(path, emotion, classes, has_names="label_names" in arrays)
    is_good = (splits >= 0) & (labels >= 0)
    for row in np.flatnonzero(~is_good):
        if splits[row] < 0:
            reason = f"usage is {quote(text[row])}, expected {SPLIT_WORDS}"
        else:
            value = quote(emotion[row]) if emotion.dtype.kind in "US" else emotion[row]
            reason = f"emotion is {value}, expected {classes.expected}"
        bad.add(f"row {row} (from 0)", reason)
    progress(count, count, "rows")
    kept = np.flatnonzero(is_good)
    faces = pixels[kept]
    if pixels.shape[1:] != (SIDE, SIDE):
        faces = prepare_all(faces, stored_spec(options.spec))
    return SampleTable(
        pixels=faces,
        labels=labels[kept],
        usage=splits[kept],
        rows=kept.astype(np.int64),
        votes=None if votes is None else votes[kept].astype(np.float32),
        layout="npz",
        row_count=count,
        notes=(*notes, *unread),
        label_names=classes.names,
        default_names={} if "label_names" in arrays else FER2013_NUMBERS,
    )


def _require_numbers_from_0(
    path: Path, emotion: npt.NDArray[Any], classes: _Classes, *, has_names: bool
) -> None:
    """Refuse emotions from 1 on without a meaning: to skip the rows of the last one would shift all labels."""
    names, hint = (classes.names, NAMES_HINT) if has_names else (LABELS, NUMBERS_HINT)
    last = int(((emotion == len(names)) & (classes.positions < 0)).sum())
    if last and not (emotion == 0).any():
        raise numbers_from_1(path, names, last=last, unit="rows", hint=hint)


@dataclass(frozen=True)
class _Classes:
    """Class names, the index of each row's class in int64 (n,), -1 for an unknown one, and the known ones in words."""

    names: tuple[str, ...]
    positions: npt.NDArray[np.int64]
    expected: str = ""


def _classes(
    path: Path, emotion: npt.NDArray[Any], names: npt.NDArray[Any] | None, mapped: frozenset[str]
) -> _Classes:
    """Return the classes by their names in the archive, or their numbers: those of FER2013 and of the user's map."""
    if emotion.dtype.kind in "US":
        values = _text(emotion)
        is_known = np.array([not is_missing(value) for value in values.tolist()], np.bool_)
        words = tuple(map(str, np.unique(values[is_known])))
        positions = np.where(is_known, np.searchsorted(words or ("",), values), -1)
        return _Classes(words, positions.astype(np.int64), "the name of a class")
    if names is None:
        numbers = sorted({*FER2013_NUMBERS, *(name for name in mapped if _is_number(name))}, key=int)
        if not mapped.isdisjoint(numbers):
            present = {str(number) for number in np.unique(emotion).tolist()}
            numbers = [number for number in numbers if number in present] or numbers
        index_of = {int(number): index for index, number in enumerate(numbers)}
        positions = np.array([index_of.get(number, -1) for number in emotion.tolist()], np.int64)
        is_range = list(index_of) == list(range(len(index_of)))
        return _Classes(tuple(numbers), positions, f"0 to {numbers[-1]}" if is_range else list_names(numbers))
    texts = tuple(map(str, _text(names)))
    if len(set(texts)) < len(texts) or not all(texts):
        why = f"it has {list_names(texts)}, expected different names"
        raise DataError(f"{path}: array label_names is invalid", why=why, hint=HINT)
    is_index = (emotion >= 0) & (emotion < len(texts))
    return _Classes(texts, np.where(is_index, emotion, -1).astype(np.int64), f"0 to {len(texts) - 1}")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdecimal() and str(int(name)) == name


def _text(values: npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    return np.char.strip(np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values)


def _splits(usage: npt.NDArray[np.str_]) -> tuple[npt.NDArray[np.int8], tuple[str, ...]]:
    """Return indices into SPLITS (n,), -1 for unknown names, and the note on a single test set."""
    names, positions = np.unique(usage, return_inverse=True)
    split_by_name = splits_of(map(str, names))
    splits = [split_by_name[str(name)] for name in names]
    indices = np.array([SPLITS.index(split) if split in SPLITS else -1 for split in splits], np.int8)
    return indices[positions], single_test_notes(split_by_name, column="Split")


def _read_arrays(path: Path, *, needs_usage: bool) -> tuple[Arrays, tuple[str, ...]]:
    """Read the arrays that the module describes, by their usual names, and return a note on the others.

    Raises:
        DataError: an array is missing, damaged, or has another shape or dtype.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
            parts = _parts(names)
            if parts:
                return _merged(path, archive, names, parts)
            name_of = _names_by_role(names, tuple(NAMES))
            missing = [role for role in REQUIRED if role not in name_of and (role != "usage" or needs_usage)]
            if missing:
                what = f"{path} has no array {' and no array '.join(missing)}"
                hint = f"--split 80/10/10, or {HINT}" if missing == ["usage"] else HINT
                raise DataError(what, why=f"its arrays are {list_names(names)}", hint=hint)
            return _read_group(path, archive, name_of), _unread_notes(names, name_of.values())
    except DAMAGE as error:
        why = str(error) or type(error).__name__
        raise DataError(f"{path} is damaged", why=quote_name(why)[:200], hint=DAMAGED_HINT) from error


def _merged(
    path: Path, archive: zipfile.ZipFile, names: list[str], parts: list[tuple[str, dict[str, str]]]
) -> tuple[Arrays, tuple[str, ...]]:
    """Read the arrays of all splits of an archive of Keras style as one group, with their splits as usage."""
    arrays = [_read_group(path, archive, group) for _, group in parts]
    sizes = {group["pixels"]: part["pixels"].shape[1:] for (_, group), part in zip(parts, arrays)}
    if len(set(sizes.values())) > 1:
        why = ", ".join(f"{name} has {' x '.join(map(str, size))}" for name, size in sizes.items())
        raise DataError(f"{path}: its splits have images of different sizes", why=why, hint="resize them to one size")
    usage = np.concatenate([np.full(len(part["pixels"]), word) for (word, _), part in zip(parts, arrays)])
    merged = {role: np.concatenate([part[role] for part in arrays]) for role in ("pixels", "emotion")}
    extra = _names_by_role(names, ("label_names",))
    used = [name for group in (*(group for _, group in parts), extra) for name in group.values()]
    return {**merged, "usage": usage, **_read_group(path, archive, extra)}, _unread_notes(names, used)


def _unread_notes(names: Sequence[str], used: Iterable[str]) -> tuple[str, ...]:
    unread = sorted(set(names) - set(used))
    return (f"Not read: {list_names(unread)}.",) if unread else ()


def _names_by_role(names: list[str], roles: tuple[str, ...]) -> dict[str, str]:
    """Return the names of the arrays that are present, by role."""
    lower = {name.lower(): name for name in reversed(names)}
    matches = {role: next((lower[name] for name in NAMES[role] if name in lower), None) for role in roles}
    return {role: name for role, name in matches.items() if name is not None}


def _parts(names: list[str]) -> list[tuple[str, dict[str, str]]]:
    """Return the words for the splits of an archive of Keras style, each with the names of its arrays by role."""
    lower = {name.lower(): name for name in names}
    return [
        (word, {"pixels": lower[f"x_{word}"], "emotion": lower[f"y_{word}"]})
        for word in PARTS
        if f"x_{word}" in lower and f"y_{word}" in lower
    ]


def _read_group(path: Path, archive: zipfile.ZipFile, names: dict[str, str]) -> Arrays:
    """Read arrays by role; all of them have one entry per face."""
    limit = size_limit(path.stat().st_size)
    # The headers are small; all of them must fit before the pixels are read.
    headers = {role: _read_header(path, archive, name, limit) for role, name in names.items()}
    shape = headers["pixels"].shape if "pixels" in headers else ()
    for role, header in headers.items():
        _require(path, names[role], role, header, count=shape[0] if shape else 0)
    return {role: _read_array(archive, names[role], header) for role, header in headers.items()}


@dataclass(frozen=True)
class _Header:
    """Shape, order of the elements and dtype of an array."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]

    @property
    def size_bytes(self) -> int:
        """Size of the elements."""
        return math.prod(self.shape) * self.dtype.itemsize


def _read_header(path: Path, archive: zipfile.ZipFile, name: str, limit: int) -> _Header:
    """Read the header of an array, and check it against the size of its file."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in HEADERS:
            raise DataError(f"{path}: array {name} has version {version}", why="expected 1.0 or 2.0", hint=HINT)
        try:
            header = _Header(*HEADERS[version](file))
        except Exception as error:  # NumPy parses the header as Python, which can raise anything
            why = quote_name(str(error))[:200]
            raise DataError(f"{path}: array {name} has a damaged header", why=why, hint=DAMAGED_HINT) from error
        offset = file.tell()
    if header.dtype.hasobject:
        why = "the array contains Python objects; loading them could run code"
        raise DataError(f"{path}: array {name} has dtype {header.dtype}", why=why, hint=HINT)
    declared, stored = header.size_bytes, info.file_size - offset
    if declared != stored or declared > limit:
        why = f"its header declares {header.dtype} {header.shape}, {declared:,} bytes; the file has {stored:,}"
        raise DataError(f"{path}: array {name} is damaged", why=why, hint=DAMAGED_HINT)
    return header


def _read_array(archive: zipfile.ZipFile, name: str, header: _Header) -> npt.NDArray[Any]:
    # Reading to the end verifies the checksum of the ZIP entry.
    content = archive.read(f"{name}.npy")
    flat = np.frombuffer(content, header.dtype, offset=len(content) - header.size_bytes)
    return flat.reshape(header.shape, order="F" if header.is_fortran else "C")


def _require(path: Path, name: str, role: str, header: _Header, *, count: int) -> None:
    """Raise DataError unless shape and dtype are those that the module describes, for ``count`` faces."""
    shape, dtype = header.shape, header.dtype
    characters = dtype.itemsize // (4 if dtype.kind == "U" else 1)
    is_text = dtype.kind in "US" and 0 < characters <= LONGEST_USAGE
    if role == "pixels":
        is_image = len(shape) > 2 and shape[1] in SIDES and shape[2] in SIDES and shape[3:] in ((), (1,), (3,))
        is_valid, expected = dtype == np.uint8 and is_image, "uint8 (n, 48, 48), or another height and width"
    elif role == "emotion":
        is_valid = shape == (count,) and (dtype.kind in "iu" or is_text)
        expected = f"integers ({count},)"
    elif role == "label_names":
        is_valid = len(shape) == 1 and 0 < shape[0] <= MOST_CLASSES and is_text
        expected = f"text (classes,) of at most {LONGEST_USAGE} characters"
    elif role == "usage":
        is_valid = shape == (count,) and is_text
        expected = f"text ({count},) of at most {LONGEST_USAGE} characters"
    else:
        is_valid = shape == (count, VOTE_COLUMNS) and dtype.kind in "iuf"
        expected = f"numbers ({count}, {VOTE_COLUMNS})"
    if not is_valid:
        raise DataError(f"{path}: array {name} is {dtype} {shape}", why=f"expected {expected}", hint=HINT)
