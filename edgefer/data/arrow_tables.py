"""Read pictures and classes from Parquet and Arrow files with pyarrow, which the extra ``huggingface`` installs.

    shards = find_shards(path, suffixes=(".parquet",))
    table = read_shards(path, shards, open_parquet, layout="Parquet", options=options, bad=bad, progress=silent)

The column of pictures has bytes, or structs with bytes and path as Hugging Face datasets write them; a column of pixels
has texts or lists of numbers. Columns are found by --columns, by the features that Hugging Face datasets store in the
schema, or by their usual names. Classes are names, or numbers whose names the features define.
"""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgefer.data.naming import (
    SPLIT_WORDS,
    canonical_name,
    label_of,
    list_names,
    quote,
    quote_name,
    split_of,
    splits_of,
)
from edgefer.data.pictures import Picture, read_pictures
from edgefer.data.pixel_rows import BadPixels, PixelRows, parse_pixels, require_scenes, resized
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.data.shards import Shard, splits_of_shards
from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.progress import Progress

__all__ = ["open_arrow", "open_parquet", "read_shards"]

PICTURE_NAMES = ("image", "img", "picture", "photo", "face", "image_bytes", "bytes", "jpg", "jpeg", "png")
PIXEL_NAMES = ("pixels", "pixel_values", "image")
LABEL_NAMES = ("label", "labels", "emotion", "emotions", "expression", "class", "category", "target")
SPLIT_NAMES = ("usage", "split", "subset")
PICTURE_ROLES = ("image", "path", "pixels")
BATCH_ROWS = 64
LABEL_BATCH_ROWS = 8192
NAMED_COLUMNS = 12
# Hugging Face datasets store -1 for the hidden class of a test image.
UNLABELED = (None, -1, "")
HINT = "--columns label=NAME,image=NAME"


@dataclass(frozen=True)
class ArrowFile:
    """An open Parquet or Arrow file.

    Attributes:
        schema: pyarrow schema.
        batches: returns an iterator over record batches; the arguments are names of columns and a number of rows.
    """

    schema: Any
    batches: Callable[[Sequence[str], int], Iterator[Any]]


Opener = Callable[[Path], ArrowFile]


@dataclass(frozen=True)
class _Columns:
    """Names of the columns of a file.

    Attributes:
        picture: column of pictures or pixels.
        are_pixels: True for pixels as text or numbers.
        label: column of classes.
        classes: names of numbered classes, or empty.
        split, subject: columns, or None.
    """

    picture: str
    are_pixels: bool
    label: str
    classes: tuple[str, ...]
    split: str | None
    subject: str | None


@dataclass(frozen=True)
class _Row:
    """A labeled row of a shard: its number, class, word for the split, and subject."""

    number: int
    label: str
    split: str
    subject: str


def open_parquet(path: Path) -> ArrowFile:
    """Open a Parquet file."""
    parquet = _pyarrow("pyarrow.parquet")
    file = parquet.ParquetFile(path)
    return ArrowFile(file.schema_arrow, lambda names, rows: file.iter_batches(batch_size=rows, columns=list(names)))


def open_arrow(path: Path) -> ArrowFile:
    """Open an Arrow stream, as ``datasets.save_to_disk()`` writes it, or an Arrow or Feather file."""
    arrow = _pyarrow("pyarrow")

    def open_reader() -> Any:
        # Mapped, because a batch of a stream may have a thousand pictures, of which one is copied at a time.
        source = arrow.memory_map(str(path))
        try:
            return arrow.ipc.open_stream(source)
        except arrow.ArrowInvalid:
            source.seek(0)
            return arrow.ipc.open_file(source)

    def batches(names: Sequence[str], rows: int) -> Iterator[Any]:
        reader = open_reader()
        whole = (
            (reader.get_batch(index) for index in range(reader.num_record_batches))
            if hasattr(reader, "num_record_batches")
            else iter(reader)
        )
        for batch in whole:
            chosen = batch.select(list(names))
            # Values at damaged offsets would end the process.
            chosen.validate(full=True)
            yield from (chosen.slice(start, rows) for start in range(0, chosen.num_rows, rows))

    return ArrowFile(open_reader().schema, batches)


def _pyarrow(module: str) -> Any:
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("pyarrow"):
            raise
        why = "pyarrow is not installed; the extra edgefer[huggingface] includes it"
        raise IncompatibleError("cannot read Parquet and Arrow files", why=why, hint="pip install pyarrow") from error


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
        noun = "picture" if total == 1 else "pictures"
        notes = (*notes, f"Skipped: {total:,} {noun} without a class, in {list_names(list(omitted))}.")
    assigned = splits_of(row.split for part in parts for row in part.rows if part.columns.split)
    if any(part.columns.are_pixels for part in parts):
        require_scenes(path, options)
        table = _read_pixels(parts, splits, assigned, layout=layout, options=options, bad=bad, progress=progress)
        return table.with_notes(notes)
    pictures = [picture for part in parts for picture in _pictures(part, splits[part.shard.name], assigned)]
    return read_pictures(pictures, layout=layout, options=options, bad=bad, progress=progress, notes=notes)


@dataclass(frozen=True)
class _Part:
    """A shard with its columns, its labeled rows, and the number of all rows."""

    shard: Shard
    file: ArrowFile
    columns: _Columns
    rows: tuple[_Row, ...]
    row_count: int


def _read_part(shard: Shard, opener: Opener, roles: Mapping[str, str]) -> _Part:
    """Open a shard, and read everything but its pictures."""
    with _readable(shard.path):
        file = opener(shard.path)
        columns = _find_columns(shard, file.schema, roles)
        rows, count = _read_rows(file, columns)
    return _Part(shard, file, columns, tuple(rows), count)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise DataError for errors of pyarrow, which mean damaged content."""
    try:
        yield
    except (OSError, ValueError, KeyError, NotImplementedError, EOFError) as error:
        # pyarrow's ArrowInvalid is a ValueError, ArrowNotImplementedError a NotImplementedError.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        why = quote_name(" ".join(str(error).split()))[:200]
        raise DataError(f"{quote_name(path)} is damaged", why=why, hint="copy or download it again") from error


def _find_columns(shard: Shard, schema: Any, roles: Mapping[str, str]) -> _Columns:
    """Return the columns of a file by --columns, by the features in its schema, or by usual names."""
    features = _features(schema)
    role = next((role for role in PICTURE_ROLES if role in roles), "")
    chosen = _named(shard, schema, roles)
    picture = chosen.get(role) or _picture_column(schema, features)
    label = chosen.get("label") or _label_column(schema, features, picture)
    if picture is None or label is None:
        lacking = "pictures or pixels" if picture is None else "classes"
        raise DataError(
            f"{quote_name(shard.path)} has no column of {lacking}",
            why=f"its columns are {_described(schema)}",
            hint=HINT,
        )
    split = chosen.get("split") or next((name for name in schema.names if name.lower() in SPLIT_NAMES), None)
    classes = features.get(label, {}).get("names", [])
    kind = schema.field(picture).type
    if not _has_pictures(kind) and not _has_pixels(kind):
        raise DataError(
            f"{quote_name(shard.path)}: column {quote_name(picture)} is {kind}",
            why="expected pictures (binary, or a struct with bytes and path) or pixels (text or a list of integers)",
            hint=HINT,
        )
    return _Columns(
        picture=picture,
        are_pixels=not _has_pictures(kind),
        label=label,
        classes=tuple(map(str, classes)) if isinstance(classes, list) else (),
        split=split,
        subject=chosen.get("subject"),
    )


def _named(shard: Shard, schema: Any, roles: Mapping[str, str]) -> dict[str, str]:
    """Return the columns that the user names, by role; upper and lower case are equal."""
    lower = {name.lower(): name for name in reversed(schema.names)}
    missing = [name for name in roles.values() if name.lower() not in lower]
    if missing:
        raise UsageError(
            f"{quote_name(shard.path)} has no column {list_names(missing)}",
            why=f"its columns are {_described(schema)}",
            hint=HINT,
        )
    return {role: lower[name.lower()] for role, name in roles.items()}


def _features(schema: Any) -> dict[str, Mapping[str, Any]]:
    """Return the features of a Hugging Face data set by column, from the metadata of a schema."""
    try:
        info = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature for name, feature in info.items() if isinstance(feature, dict)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _picture_column(schema: Any, features: Mapping[str, Mapping[str, Any]]) -> str | None:
    usable = [name for name in schema.names if _has_pictures(schema.field(name).type)]
    images = [name for name in usable if features.get(name, {}).get("_type") == "Image"]
    named = [name for wanted in PICTURE_NAMES for name in usable if name.lower() == wanted]
    pixels = [name for name in schema.names if name.lower() in PIXEL_NAMES and _has_pixels(schema.field(name).type)]
    return next(iter([*images, *named, *pixels, *(usable if len(usable) == 1 else [])]), None)


def _label_column(schema: Any, features: Mapping[str, Mapping[str, Any]], picture: str | None) -> str | None:
    classes = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    named = [name for wanted in LABEL_NAMES for name in schema.names if name.lower() == wanted and name != picture]
    # Of several numbered classes, such as fine and coarse ones, the usual name decides.
    preferred = [name for name in named if name in classes]
    return next(iter([*preferred, *(classes if len(classes) == 1 else []), *named]), None)


def _has_pictures(kind: Any) -> bool:
    """Return True for binary values, and for structs with bytes or a path."""
    types = _pyarrow("pyarrow").types
    if types.is_struct(kind):
        names = {kind.field(index).name for index in range(kind.num_fields)}
        return bool(names & {"bytes", "path"})
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _has_pixels(kind: Any) -> bool:
    """Return True for texts, and for lists of integers, also of two dimensions."""
    types = _pyarrow("pyarrow").types
    kind = getattr(kind, "storage_type", kind)  # an Array2D of Hugging Face datasets
    while types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        kind = kind.value_type
        if types.is_integer(kind):
            return True
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _described(schema: Any) -> str:
    return list_names([f"{field.name} ({str(field.type)[:40]})" for field in schema], limit=NAMED_COLUMNS)


def _read_rows(file: ArrowFile, columns: _Columns) -> tuple[list[_Row], int]:
    """Return the rows that have a class, and the number of all rows."""
    names = list(dict.fromkeys(name for name in (columns.label, columns.split, columns.subject) if name is not None))
    rows, count = [], 0
    for batch in file.batches(names, LABEL_BATCH_ROWS):
        values = {name: batch.column(batch.schema.get_field_index(name)).to_pylist() for name in names}
        for index, label in enumerate(values[columns.label]):
            # A number that is not equal to itself is the missing value of pandas.
            if label not in UNLABELED and label == label:
                split = values[columns.split][index] if columns.split else ""
                subject = values[columns.subject][index] if columns.subject else ""
                rows.append(_Row(count + index, _label(label, columns), str(split or ""), str(subject or "")))
        count += batch.num_rows
    return rows, count


def _label(value: Any, columns: _Columns) -> str:
    """Return the name of a class: of a number, as the features define it, or 0 to 6 of FER2013 beside pixels."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).strip()
    if columns.classes and isinstance(value, int):
        return columns.classes[value] if 0 <= value < len(columns.classes) else text
    return (label_of(text) or canonical_name(text)) if columns.are_pixels else text


def _place(shard: Shard, row: _Row) -> str:
    return f"{shard.name}, row {row.number} (from 0)"


def _split(columns: _Columns, row: _Row, split: str, assigned: Mapping[str, str]) -> tuple[str, str]:
    """Return the split of a row, and the reason why it has none."""
    if columns.split is None:
        return split, ""
    if assigned[row.split]:
        return assigned[row.split], ""
    kind = "is neither of two test sets" if split_of(row.split) else f"expected {SPLIT_WORDS}"
    return "", f"{columns.split} is {quote(row.split)}, {kind}"


def _pictures(part: _Part, split: str, assigned: Mapping[str, str]) -> Iterator[Picture]:
    values = _Values(part.file, part.columns.picture, part.shard.path)
    for row in part.rows:
        own, problem = _split(part.columns, row, split, assigned)
        content = functools.partial(_content, values, row.number, part.shard.path.parent)
        name = _place(part.shard, row)
        yield Picture(
            part.shard.path, name, row.label, own or SPLITS[0], row.subject, problem=problem, content=content
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
    faces = PixelRows()
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
    people = np.unique(np.array(subjects or [""]), return_inverse=True)[1].astype(np.int64)
    return SampleTable(
        pixels=resized(faces.array(), options.spec),
        labels=positions.astype(np.int64)[: len(labels)],
        usage=np.array(usage, np.int8),
        rows=np.array(numbers, np.int64),
        votes=None,
        layout=layout,
        row_count=start,
        label_names=tuple(map(str, names)),
        subjects=people if len(set(subjects)) > 1 else None,
    )


def _pixels(value: Any) -> bytes:
    if isinstance(value, str):
        return parse_pixels(value.split())
    array = np.array(value if value is not None else [])
    if array.dtype.kind not in "iu" or not array.size:
        raise BadPixels("pixels is empty or uneven, expected a list of integers")
    if array.min() < 0 or array.max() > 255:
        raise BadPixels(f"pixels has values from {array.min()} to {array.max()}, expected integers in 0..255")
    if array.ndim > 2 or (array.ndim == 2 and array.shape[0] != array.shape[1]):
        raise BadPixels(f"pixels has the shape {' x '.join(map(str, array.shape))}, expected a square")
    return array.astype(np.uint8).tobytes()


class _Values:
    """The values of one column, read in batches and in ascending order."""

    def __init__(self, file: ArrowFile, column: str, path: Path) -> None:
        self._file, self._column, self._path = file, column, path
        self._batches: Iterator[Any] | None = None
        self._batch: Any = None
        self._start = 0

    def get(self, row: int) -> Any:
        """Return the value of a row; a row before the last one starts again from the beginning."""
        with _readable(self._path):
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
    content = value.get("bytes") if isinstance(value, dict) else value
    if content:
        return bytes(content)
    path = value.get("path") if isinstance(value, dict) else None
    if not path:
        raise DataError("is empty", why="the column has neither bytes nor a path")
    try:
        return (folder / str(path).replace("\0", "")).read_bytes()
    except OSError as error:
        raise DataError(f"has no bytes, and {quote_name(path)} cannot be read", why=error.strerror or "") from error
