"""Tables with one face per line: fer2013.csv, icml_face_data.csv, and the same columns from other tools.

    read(Path("fer2013.csv"), options=ReadOptions(), bad=BadRows(), progress=silent)

The columns emotion, pixels and Usage are found by name, in any order, with any of the delimiters comma, semicolon, tab
and bar. Compressed tables, tables in an archive, UTF-16, quotes and all line ends are supported. Emotions are 0 to 6 as
in FER2013, also 7 for contempt as in CK+, class names of at least two rows each, or the classes of the user's map,
which precedes the meaning of the numbers. All rows have the pixels of a square of one size. Rows of 48 x 48 keep their
size; others are resized for the model, as pictures are. Bad rows are located by their line number in an editor: the
first line is 1.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path

import numpy as np

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.class_names import NUMBERS_HINT, class_key, numbers_from_1
from edgefer.data.naming import (
    CONTEMPT,
    FER2013_NUMBERS,
    SPLIT_WORDS,
    TEST,
    UNDECODED,
    assign_test,
    canonical_name,
    is_missing,
    list_names,
    plain_number,
    quote,
    quote_name,
    single_test_notes,
    split_of,
    splits_of,
    subject_name,
)  # fmt: skip
from edgefer.data.pictures import stored_spec
from edgefer.data.pixel_rows import (
    SAMPLED_ROWS,
    SIDE,
    BadPixels,
    PixelRows,
    parse_pixels,
    require_scenes,
    resized,
    usual_side,
)
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable, file_sha256, index_subjects
from edgefer.data.table_columns import NO_ROLES, Columns, columns_hint, find_columns
from edgefer.data.table_text import Table, archived_heads, open_table
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

PROGRESS_EVERY_ROWS = 256
# NumPy prints the 2,304 pixels of a face in 130 lines, and 1 MiB has those of 512 x 512.
LONGEST_ROW = 1 << 20
SAMPLED_CHARACTERS = 16 << 20
MIB = 1 << 20
HINT = "a table with a column of classes and a column of pixels: --columns label=NAME,pixels=NAME"
UNASSIGNED = len(SPLITS)
# Rank of a table with all columns of fer2013.csv.
COMPLETE = 3
# A class in a table has at least two rows; a single one is a misspelling.
LEAST_ROWS = LEAST_CLASSES = 2
HEAD_BYTES = 1000
LONGEST_NAME = 40
CLASS_NUMBERS = {**FER2013_NUMBERS, "7": CONTEMPT}


class _BadRow(ValueError):
    """The reason why a row is unusable."""


def matches(path: Path) -> bool:
    """Return True for a file whose beginning is a table with a column of pixels."""
    if not path.is_file():
        return False
    with open_table(path, accepts=lambda head: _rank(head) > 0) as table:
        return table is not None


def is_complete(path: Path) -> bool:
    """Return True for a table with the columns emotion, pixels and Usage."""
    with open_table(path, accepts=lambda head: _rank(head) == COMPLETE) as table:
        return table is not None


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash of the file, columns and classes that are read, and the spec if the pictures are resized for it."""
    columns = "".join(f" {role}={name}" for role, name in sorted(options.columns.items()))
    columns += f" classes {sorted(options.class_names)}" if options.class_names else ""
    key = file_sha256(path) + columns + (" unsplit" if not options.needs_splits else "")
    is_plain = options.needs_splits and not columns
    if _side(path, options.columns) != SIDE:
        is_plain, key = False, f"{key} {stored_spec(options.spec)}"
    return key if is_plain else hashlib.sha256(key.encode(errors="backslashreplace")).hexdigest()


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all rows.

    Raises:
        UsageError: faces are to be detected in the rows.
        DataError: a column is missing, the content is damaged, an archive has several tables, or the emotions count
            from 1.
    """
    require_scenes(path, options)
    roles = options.columns
    tables, accepts = _best_tables(path, roles)
    if len(tables) > 1:
        what, hint = f"{path} has {len(tables)} tables", "extract one table from the archive, and pass its path"
        raise DataError(what, why=f"expected one; it has {list_names(tables)}", hint=hint)
    with open_table(path, accepts=accepts) as table:
        columns = find_columns(table.head, roles) if table else None
        if table is None or columns is None:
            why = f"its first line is {quote(next(iter(_head(path, table).splitlines()), ''), limit=100)}"
            raise DataError(f"{path} has no column {roles.get('pixels', 'of pixels')}", why=why, hint=HINT)
        _require_columns(path, columns, table.head, needs_splits=options.needs_splits)
        try:
            rows = _Rows(columns, options.class_names)
            rows.read(table, path.stat().st_size, bad, progress)
        except DataError as error:
            raise DataError(f"{path}: {error.what}", why=error.why, hint="copy or download the file again") from error
    _require_numbers_from_0(path, rows)
    return rows.table(options.spec, bad, _notes(table, columns))


def _head(path: Path, table: Table | None) -> str:
    """Return the beginning of a table, or of the file if it contains none."""
    if table is not None:
        return table.head
    with path.open("rb") as file:
        return file.read(HEAD_BYTES).decode(errors="replace")


class _Rows:
    """Parsed rows of a table."""

    def __init__(self, columns: Columns, mapped: frozenset[str] = frozenset()) -> None:
        self.columns, self.mapped = columns, mapped
        self.pixels, self.usage = PixelRows(), bytearray()
        self.labels: list[str] = []
        self.subjects: list[str] = []
        self.rows: list[int] = []
        self.lines: list[int] = []
        self.count = 0
        self.emotions: Counter[str] = Counter()
        self.split_names: Counter[str] = Counter()

    def read(self, table: Table, size_bytes: int, bad: BadRows, progress: Progress) -> None:
        """Parse all lines of a table."""
        total_mib = max(1, size_bytes // MIB)
        read_bytes = 0
        lines = _joined_lines(table, self.columns)
        first = _first_lines(lines)
        self.pixels = PixelRows(_usual_side(first, self.columns))
        for number, line in chain(first, lines):
            read_bytes += len(line)
            # Spreadsheets leave rows of empty cells at the end.
            if number <= self.columns.skipped or not line.strip(self.columns.delimiter + ' "\t\r\n'):
                continue
            try:
                self._add(line, number)
            except (_BadRow, BadPixels) as problem:
                cut = "" if line.endswith("\n") else " (the file ends within this line and may be cut off)"
                bad.add(f"line {number}", f"{problem}{cut}")
            self.count += 1
            if self.count % PROGRESS_EVERY_ROWS == 0:
                progress(min(read_bytes // MIB, total_mib - 1), total_mib, "MiB")
        progress(total_mib, total_mib, "MiB")

    def table(self, spec: InputSpec, bad: BadRows, notes: tuple[str, ...]) -> SampleTable:
        """Return the rows, and move rows of an unknown test split to ``bad``."""
        usage = np.frombuffer(self.usage, np.int8).copy()
        label_names = self._label_names()
        kept = np.ones(len(usage), np.bool_)
        for position, label in enumerate(self.labels):
            if label not in label_names:
                kept[position] = False
                bad.add(f"line {self.lines[position]}", _unknown_emotion(label))
        tests = [name for name in self.split_names if split_of(name) == TEST]
        if tests:
            split = assign_test(frozenset(self.split_names))
            if split:
                usage[usage == UNASSIGNED] = SPLITS.index(split)
            else:
                unassigned = kept & (usage == UNASSIGNED)
                kept &= usage != UNASSIGNED
                for index in np.flatnonzero(unassigned):
                    bad.add(f"line {self.lines[index]}", f"Usage {quote(tests[0])} is neither of two test sets")
        notes = (*notes, *single_test_notes(splits_of(self.split_names), column="Usage"))
        index_of = {name: index for index, name in enumerate(label_names)}
        subjects = index_subjects(self.subjects)
        faces = self.pixels.array()
        return SampleTable(
            pixels=resized(faces if kept.all() else faces[kept], spec),
            labels=np.array([index_of.get(label, 0) for label in self.labels], np.int64)[kept],
            usage=usage[kept],
            rows=np.array(self.rows, np.int64)[kept],
            votes=None,
            layout=self._layout(label_names),
            row_count=self.count,
            notes=notes,
            label_names=label_names,
            subjects=None if subjects is None else subjects[kept],
            default_names=CLASS_NUMBERS,
        )

    def _layout(self, label_names: tuple[str, ...]) -> str:
        """Return "fer2013.csv" or "icml" for the classes, size and splits of FER2013, else "pixel table"."""
        columns = self.columns
        splits = {name.strip().lower() for name in self.split_names}
        has_classes = set(map(_canonical, label_names)) == set(LABELS) and not any(map(self._is_mapped, label_names))
        is_fer2013 = has_classes and self.pixels.side == SIDE and splits <= {name.lower() for name in SPLITS}
        if columns.usage is None or not is_fer2013:
            return "pixel table"
        return "icml" if columns.names and columns.usage < columns.pixels[0] else "fer2013.csv"

    def _label_names(self) -> tuple[str, ...]:
        """Return the classes as the table spells them: those of the user's map, and those of _accepted()."""
        counts = Counter(self.labels)
        mapped = {name for name in counts if class_key(name) in self.mapped}
        others: Counter[str] = Counter()
        for name in counts.keys() - mapped:
            others[_canonical(name)] += counts[name]
        accepted = self._accepted(others, least=LEAST_CLASSES - len(mapped))
        kept = mapped | {name for name in counts if _canonical(name) in accepted}
        absent = () if mapped else set(accepted) - set(map(_canonical, kept))
        return tuple(sorted({*kept, *absent}))

    def _accepted(self, counts: Counter[str], *, least: int) -> tuple[str, ...]:
        """Return the classes: those of FER2013, also contempt if its number occurs twice, or names of two rows each."""
        if any(name in FER2013_NUMBERS for name in self.emotions):
            seven = {label for label in counts if label not in LABELS}
            is_contempt = seven == {CONTEMPT} and counts[CONTEMPT] >= LEAST_ROWS
            return (*LABELS, CONTEMPT) if is_contempt else LABELS
        names = tuple(name for name in counts if name in LABELS or counts[name] >= LEAST_ROWS)
        return LABELS if len(names) < least else names

    def _is_mapped(self, name: str) -> bool:
        return not self.mapped.isdisjoint((class_key(name), _canonical(name)))

    def _is_class(self, name: str) -> bool:
        """Return True for a class of the user's map, a number of a class, or a text that does not start with one."""
        is_text = not is_missing(name) and UNDECODED not in name
        is_name = is_text and len(name) <= LONGEST_NAME and not name[0].isdecimal()
        return is_name or name in CLASS_NUMBERS or class_key(name) in self.mapped

    def _add(self, line: str, number: int) -> None:
        cells = self.columns.split(line)
        if len(cells) != self.columns.width:
            raise _BadRow(f"{len(cells)} columns, expected {self.columns.width}")
        columns = self.columns
        emotion, usage = cells[columns.emotion or 0], SPLITS[0] if columns.usage is None else cells[columns.usage]
        label = plain_number(emotion.strip())
        self.emotions[label if len(label) < 8 else ""] += 1
        if not self._is_class(label):
            raise _BadRow(_unknown_emotion(emotion))
        split = split_of(usage)
        if split is None:
            raise _BadRow(f"Usage is {quote(usage)}, expected {SPLIT_WORDS}")
        self.pixels.add(parse_pixels(_tokens(cells, columns)), place=f"line {number}")
        self.split_names[usage] += 1
        self.labels.append(label)
        if columns.subject is not None:
            self.subjects.append(subject_name(cells[columns.subject]))
        self.usage.append(UNASSIGNED if split == TEST else SPLITS.index(split))
        self.rows.append(self.count)
        self.lines.append(number)


def _canonical(name: str) -> str:
    return (CLASS_NUMBERS.get(name) or canonical_name(name)).lower()


def _unknown_emotion(emotion: str) -> str:
    return f"emotion is {quote(emotion)}, expected 0 to {len(LABELS) - 1} or a name such as 'happy'"


def _rank(head: str, roles: Mapping[str, str] = NO_ROLES) -> int:
    """Return 0 without pixels, 1 with pixels or the named columns, 2 also with emotions, COMPLETE also with splits."""
    columns = find_columns(head, roles)
    if columns is None:
        return 0
    if roles or columns.emotion is None:
        return 1
    return 2 if columns.usage is None else COMPLETE


def _best_tables(path: Path, roles: Mapping[str, str]) -> tuple[list[str], Callable[[str], bool]]:
    """Return the tables of the highest rank in an archive, and the function that accepts them or another file."""
    ranks = [(name, _rank(head, roles)) for name, head in archived_heads(path)]
    best = max([1, *(rank for _, rank in ranks)])
    return [name for name, rank in ranks if rank == best], lambda head: _rank(head, roles) >= best


def _side(path: Path, roles: Mapping[str, str]) -> int:
    """Return the usual height and width of the first rows of a table; 0 if none can be parsed."""
    with open_table(path, accepts=_best_tables(path, roles)[1]) as table:
        columns = find_columns(table.head, roles) if table else None
        if table is None or columns is None:
            return 0
        # Reading the table raises the same error, with its name.
        with contextlib.suppress(DataError):
            return _usual_side(_first_lines(_joined_lines(table, columns)), columns)
    return 0


def _usual_side(lines: list[tuple[int, str]], columns: Columns) -> int:
    return usual_side(_pixel_count(line, columns) for _, line in lines)


def _pixel_count(line: str, columns: Columns) -> int:
    """Return the number of pixels in a line; 0 if they cannot be parsed."""
    cells = columns.split(line)
    if len(cells) == columns.width:
        with contextlib.suppress(BadPixels):
            return len(parse_pixels(_tokens(cells, columns)))
    return 0


def _tokens(cells: list[str], columns: Columns) -> list[str]:
    pixels = columns.pixels
    return cells[pixels[0]].split() if len(pixels) == 1 else [cells[index] for index in pixels]


def _first_lines(lines: Iterator[tuple[int, str]]) -> list[tuple[int, str]]:
    """Take the lines that decide on the size of the pixels, fewer if they are long."""
    first: list[tuple[int, str]] = []
    left = SAMPLED_CHARACTERS
    while len(first) < SAMPLED_ROWS and left > 0 and (item := next(lines, None)) is not None:
        first.append(item)
        left -= len(item[1])
    return first


def _joined_lines(table: Table, columns: Columns) -> Iterator[tuple[int, str]]:
    """Yield the lines of a table; join lines if a quoted cell contains the line breaks between them."""
    waiting: deque[tuple[int, str]] = deque()
    lines = table.lines()
    while (item := waiting.popleft() if waiting else next(lines, None)) is not None:
        number, line = item
        if line.count('"') % 2 and len(columns.split(line)) < columns.width:
            following: list[tuple[int, str]] = []
            is_open, left = True, LONGEST_ROW - len(line)
            while is_open and left > 0 and (more := waiting.popleft() if waiting else next(lines, None)) is not None:
                following.append(more)
                left -= len(more[1])
                is_open ^= more[1].count('"') % 2 == 1
            parts = [line, *(text for _, text in following)]
            text = " ".join(part.rstrip("\r\n") for part in parts) + "\n"
            if not is_open and len(columns.split(text)) == columns.width:
                yield number, text
                continue
            # A stray quote: the following lines are rows of their own.
            waiting.extendleft(reversed(following))
        yield number, line


def _require_columns(path: Path, columns: Columns, head: str, *, needs_splits: bool) -> None:
    required = [("emotion", columns.emotion), *([("Usage", columns.usage)] if needs_splits else [])]
    missing = [name for name, at in required if at is None]
    if not missing:
        return
    names = ", ".join(quote(name, limit=20) for name in columns.names[:8]) + (", ..." if len(columns.names) > 8 else "")
    first = columns.split(next((line for line in head.splitlines()[columns.skipped :] if line.strip()), ""))
    row = ", ".join(quote(cell, limit=12) for cell in first[:6])
    consequence = "; without it, test images cannot be separated from Training" if missing == ["Usage"] else ""
    raise DataError(
        f"{path} has no column {' and no column '.join(missing)}",
        why=f"{f'its columns are {names}' if names else 'it has no header'}, its first row is {row}{consequence}",
        hint=columns_hint(columns.names, first) if "emotion" in missing else "--split 80/10/10",
    )


def _require_numbers_from_0(path: Path, rows: _Rows) -> None:
    """Refuse emotions 1 to 7 without a map: a row of emotion 7 is unusable, and to skip it would shift all labels."""
    last = str(len(LABELS))
    has_meaning = all(number in rows.mapped for number in rows.emotions if number.isdecimal())
    if rows.emotions[last] and not rows.emotions["0"] and not has_meaning:
        raise numbers_from_1(path, LABELS, last=rows.emotions[last], unit="rows", hint=NUMBERS_HINT)


def _notes(table: Table, columns: Columns) -> tuple[str, ...]:
    notes = list(table.notes())
    if table.origin:
        notes.append(f"The table is {table.origin}.")
    if not columns.names:
        cells = {columns.emotion: "emotion", columns.pixels[0]: "pixels", columns.usage: "Usage"}
        order = ", ".join(cells.get(index, "(unused)") for index in range(columns.width))
        notes.append(f"The table has no header; its columns were identified by their content: {quote_name(order)}.")
    return tuple(notes)
