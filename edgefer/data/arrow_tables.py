"""Read pictures, pixels and classes from the shards of a data set in Parquet or Arrow files.

    shards = find_shards(path, suffixes=(".parquet",))
    table = read_shards(path, shards, open_parquet, layout="Parquet", options=options, bad=bad, progress=silent)

The column of pictures has bytes, structs with bytes and path as Hugging Face datasets write them, or the paths that
--columns path=NAME names; paths are relative to the file. A column of pixels has texts or lists of numbers. Columns are
found by --columns, by the features that Hugging Face datasets store in the schema, or by their usual names; see
arrow_columns.py. Classes are names, or numbers whose names the features define. Beside pixels, numbers without such
names are those of FER2013, unless the user's map names them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from edgefer.data.arrow_columns import Columns, find_columns
from edgefer.data.arrow_files import ArrowFile, Opener, readable
from edgefer.data.naming import (
    FER2013_NUMBERS,
    SPLIT_WORDS,
    counted,
    is_missing,
    list_names,
    quote,
    quote_name,
    single_test_notes,
    split_of,
    splits_of,
    subject_name,
)
from edgefer.data.pictures import Picture, file_content, path_problem, read_pictures
from edgefer.data.pixel_rows import (
    SAMPLED_ROWS,
    BadPixels,
    PixelRows,
    parse_pixels,
    require_scenes,
    resized,
    usual_side,
)
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable, index_subjects
from edgefer.data.shards import Shard, splits_of_shards
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["read_shards"]

BATCH_ROWS = 64
LABEL_BATCH_ROWS = 8192
# Hugging Face datasets store -1 for the hidden class of a test image.
UNLABELED = (None, -1)


@dataclass(frozen=True)
class _Row:
    """A labeled row of a shard: its number, class, word for the split, and subject."""

    number: int
    label: str
    split: str
    subject: str


def read_shards(
    path: Path,
    shards: Sequence[Shard],
    opener: Opener,
    *,
    layout: str,
    options: ReadOptions,
    bad: BadRows,
    progress: Progress,
) -> SampleTable:
    """Read all shards of a data set.

    Args:
        path: the data set, for messages.
        shards: its files.
        opener: open_parquet() or open_arrow().
        layout: layout of the result.
        options: options of the reader.
        bad: receives rows that cannot be used.
        progress: callback for the progress.

    Raises:
        UsageError: ``options.columns`` names a column that does not exist, or faces are to be detected in pixels.
        DataError: a file is damaged, or has no column of pictures or of classes.
        IncompatibleError: pyarrow is not installed.
    """
    splits, notes = splits_of_shards(shards)
    used = [shard for shard in shards if shard.name in splits]
    if not used:
        raise DataError(f"{quote_name(path)} has no files to read", why="; ".join(notes) or "the folder is empty")
    parts = [_read_part(shard, opener, options.columns) for shard in used]
    omitted = {part.shard.name: part.row_count - len(part.rows) for part in parts if part.row_count > len(part.rows)}
    if omitted:
        total = sum(omitted.values())
        notes = (*notes, f"Skipped: {counted(total, 'picture')} without a class, in {list_names(list(omitted))}.")
    assigned = splits_of(row.split for part in parts for row in part.rows if part.columns.split)
    column = next((part.columns.split for part in parts if part.columns.split), "")
    notes = (*notes, *single_test_notes(assigned, column=column))
    if any(part.columns.are_pixels for part in parts):
        require_scenes(path, options)
        table = _read_pixels(parts, splits, assigned, layout=layout, options=options, bad=bad, progress=progress)
        return table.with_notes(notes)
    columns = [_Values(part.file, part.columns.picture, part.shard.path) for part in parts]
    pictures = [
        picture
        for part, values in zip(parts, columns)
        for picture in _pictures(part, values, splits[part.shard.name], assigned)
    ]
    table = read_pictures(pictures, layout=layout, options=options, bad=bad, progress=progress, notes=notes)
    return replace(table, is_cacheable=not any(values.has_files for values in columns))


@dataclass(frozen=True)
class _Part:
    """A shard with its columns, its labeled rows, and the number of all rows."""

    shard: Shard
    file: ArrowFile
    columns: Columns
    rows: tuple[_Row, ...]
    row_count: int


def _read_part(shard: Shard, opener: Opener, roles: Mapping[str, str]) -> _Part:
    """Open a shard, and read everything but its pictures."""
    with readable(shard.path):
        file = opener(shard.path)
        columns = find_columns(shard, file.schema, roles)
        rows, count = _read_rows(file, columns)
    return _Part(shard, file, columns, tuple(rows), count)


def _read_rows(file: ArrowFile, columns: Columns) -> tuple[list[_Row], int]:
    """Return the rows that have a class, and the number of all rows."""
    names = list(dict.fromkeys(name for name in (columns.label, columns.split, columns.subject) if name is not None))
    rows, count = [], 0
    for batch in file.batches(names, LABEL_BATCH_ROWS):
        values = {name: batch.column(batch.schema.get_field_index(name)).to_pylist() for name in names}
        for index, label in enumerate(values[columns.label]):
            if label not in UNLABELED and not is_missing(str(label)):
                split = values[columns.split][index] if columns.split else None
                subject = values[columns.subject][index] if columns.subject else None
                rows.append(_Row(count + index, _label(label, columns), _text(split), subject_name(_text(subject))))
        count += batch.num_rows
    return rows, count


def _label(value: Any, columns: Columns) -> str:
    """Return the name of a class as the file spells it; that of a number, as the features define it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if columns.classes and isinstance(value, int) and 0 <= value < len(columns.classes):
        return columns.classes[value]
    return str(value).strip()


def _text(value: Any) -> str:
    """Return the text of a cell; that of a missing value of Arrow or pandas is empty."""
    return "" if value is None or value != value else str(value)


def _place(shard: Shard, row: _Row) -> str:
    return f"{shard.name}, row {row.number} (from 0)"


def _split(columns: Columns, row: _Row, split: str, assigned: Mapping[str, str]) -> tuple[str, str]:
    """Return the split of a row, and the reason why it has none."""
    if columns.split is None:
        return split, ""
    if assigned[row.split]:
        return assigned[row.split], ""
    kind = "is neither of two test sets" if split_of(row.split) else f"expected {SPLIT_WORDS}"
    return "", f"{columns.split} is {quote(row.split)}, {kind}"


def _pictures(part: _Part, values: _Values, split: str, assigned: Mapping[str, str]) -> Iterator[Picture]:
    for row in part.rows:
        row_split, problem = _split(part.columns, row, split, assigned)
        content = functools.partial(_content, values, row.number, part.shard.path.parent)
        name = _place(part.shard, row)
        yield Picture(
            part.shard.path, name, row.label, row_split or SPLITS[0], row.subject, problem=problem, content=content
        )


def _read_pixels(
    parts: Sequence[_Part],
    splits: Mapping[str, str],
    assigned: Mapping[str, str],
    *,
    layout: str,
    options: ReadOptions,
    bad: BadRows,
    progress: Progress,
) -> SampleTable:
    """Read rows of pixels, which have equal sizes in all shards."""
    faces = PixelRows(usual_side(islice(_sizes(parts), SAMPLED_ROWS)))
    labels, usage, numbers, subjects = [], [], [], []
    start, total = 0, sum(len(part.rows) for part in parts)
    for part in parts:
        values = _Values(part.file, part.columns.picture, part.shard.path)
        for row in part.rows:
            place = _place(part.shard, row)
            split, problem = _split(part.columns, row, splits[part.shard.name], assigned)
            try:
                if problem:
                    raise BadPixels(problem)
                faces.add(_pixels(values.get(row.number)), place=place)
            except BadPixels as error:
                bad.add(quote_name(place), str(error))
                continue
            labels.append(row.label)
            usage.append(SPLITS.index(split))
            numbers.append(start + row.number)
            subjects.append(row.subject)
            if len(labels) % LABEL_BATCH_ROWS == 0:
                progress(len(labels), total, "rows")
        start += part.row_count
    progress(total, total, "rows")
    names, positions = np.unique(np.array(labels or [""]), return_inverse=True)
    return SampleTable(
        pixels=resized(faces.array(), options.spec),
        labels=positions.astype(np.int64)[: len(labels)],
        usage=np.array(usage, np.int8),
        rows=np.array(numbers, np.int64),
        votes=None,
        layout=layout,
        row_count=start,
        label_names=tuple(map(str, names)),
        subjects=index_subjects(subjects),
        default_names=FER2013_NUMBERS,
    )


def _sizes(parts: Sequence[_Part]) -> Iterator[int]:
    """Yield the number of pixels in each row; 0 if they are unusable."""
    for part in parts:
        values = _Values(part.file, part.columns.picture, part.shard.path)
        for row in part.rows:
            try:
                yield len(_pixels(values.get(row.number)))
            except BadPixels:
                yield 0


def _pixels(value: Any) -> bytes:
    if isinstance(value, str):
        return parse_pixels(value.split())
    try:
        array = np.array(value if value is not None else [])
    except ValueError as error:  # lists of different lengths
        raise BadPixels("pixels is uneven, expected rows of equal lengths") from error
    if array.dtype.kind not in "iu" or not array.size:
        raise BadPixels("pixels is empty or uneven, expected a list of integers")
    if array.min() < 0 or array.max() > 255:
        raise BadPixels(f"pixels has values from {array.min()} to {array.max()}, expected integers in 0..255")
    if array.ndim > 2 or (array.ndim == 2 and array.shape[0] != array.shape[1]):
        raise BadPixels(f"pixels has the shape {' x '.join(map(str, array.shape))}, expected a square")
    return array.astype(np.uint8).tobytes()


class _Values:
    """The values of one column, read in batches and in ascending order.

    Attributes:
        has_files: True once a value named a picture file.
    """

    def __init__(self, file: ArrowFile, column: str, path: Path) -> None:
        self._file, self._column, self._path = file, column, path
        self._batches: Iterator[Any] | None = None
        self._batch: Any = None
        self.has_files = False
        self._start = 0

    def get(self, row: int) -> Any:
        """Return the value of a row; a row before the last one starts again from the beginning."""
        with readable(self._path):
            if self._batches is None or row < self._start:
                self._batches = self._file.batches([self._column], BATCH_ROWS)
                self._batch, self._start = next(self._batches, None), 0
            while self._batch is not None and row >= self._start + self._batch.num_rows:
                self._start += self._batch.num_rows
                self._batch = next(self._batches, None)
            if self._batch is None:
                raise DataError(f"{quote_name(self._path)} ends before row {row}", hint="copy or download it again")
            value = self._batch.column(0)[row - self._start].as_py()
            if row == self._start + self._batch.num_rows - 1:
                # Readers of other shards follow, and this one must not keep its pictures.
                self._start, self._batch = row + 1, next(self._batches, None)
        return value


def _content(values: _Values, row: int, folder: Path) -> bytes:
    """Return an encoded picture: its bytes, or the content of the file that its path names."""
    value = values.get(row)
    content, path = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(content, str):
        path = content.strip()
    elif content:
        return bytes(content)
    if not path:
        raise DataError("is empty", why="the column has neither bytes nor a path")
    values.has_files = True
    if problem := path_problem(str(path)):
        raise DataError(problem)
    try:
        return file_content(folder / str(path))
    except DataError as error:
        reason = "has no bytes, and " if isinstance(value, dict) else ""
        raise DataError(f"{reason}{quote_name(path)} {error.what}", why=error.why) from error
