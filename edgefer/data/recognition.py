"""Find the data set in a file or a folder, and describe files and folders that contain none.

    source = find_source(Path("downloads"))
    source.format_name, source.path, source.notes   # "csv_table", downloads/fer2013/fer2013.csv, ("Not read: ...",)

Files are recognized by content, not by name. In a folder, the search covers three levels of subfolders.
"""

from __future__ import annotations

import difflib
import io
import os
import shlex
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from edgefer import files, plugins
from edgefer.contract.image_header import read_header
from edgefer.contract.labels import LABELS
from edgefer.data.naming import counted, is_class_name, list_names, quote, quote_name, split_of
from edgefer.data.pictures import folders_in, holds_pictures
from edgefer.data.table_columns import DELIMITERS, SEPARATOR_LINE, columns_hint, split_line
from edgefer.data.table_text import DAMAGE, decode_head
from edgefer.errors import DataError
from edgefer.file_kinds import JSON, command_for, describe_kind

__all__ = ["FORMATS", "Source", "find_source"]

FORMATS = "edgefer.data.formats"
TABLE_SUFFIXES = (".csv", ".tsv", ".npz", ".csv.gz")
DEPTH = 3
ENTRY_LIMIT = 200_000
LOOSE_FOLDER_LIMIT = 2_000
HEAD_BYTES = 1 << 16
LISTED_MEMBERS = 20
TABLE_HINT = "--data TABLE.csv --columns label=NAME,path=NAME"
EXPECTED = "folders such as train/happy/ and test/happy/, or a table with columns of classes and pixels or paths"
# By the first bytes of a file: what it is, and how to get a data set from it.
FILE_TYPES: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the file itself", "git lfs pull"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook", "save it as CSV"),
    (b"\x89HDF", "an HDF5 file", "save its arrays with np.savez('data.npz', pixels=..., emotion=..., usage=...)"),
    (b"\x93NUMPY", "a single NumPy array", "np.savez('data.npz', pixels=..., emotion=..., usage=...)"),
    (b"\x80", "a Python pickle, which could run code when loaded", "save it as CSV or with np.savez()"),
    (b"SQLite format 3", "an SQLite database", "export it as CSV"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it: 7z x {path}"),
    (b"Rar!", "a RAR archive", "unpack it: unrar x {path}"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard-compressed file", "unpack it: unzstd {path}"),
    (b"\x1f\x8b", "gzip-compressed, without a table inside", "unpack it: tar -xf {path} or gunzip {path}"),
    (b"BZh", "bzip2-compressed, without a table inside", "unpack it: tar -xf {path} or bunzip2 {path}"),
    (b"\xfd7zXZ", "xz-compressed, without a table inside", "unpack it: tar -xf {path} or unxz {path}"),
    (b"%PDF", "a PDF document", EXPECTED),
)
HTML = ("<!doctype", "<html", "<head", "<?xml")


@dataclass(frozen=True)
class Source:
    """A file or folder with a data set.

    Attributes:
        format_name: module of edgefer.data.formats that reads it.
        path: the file or folder.
        notes: a sentence on other data sets in the same folder, which are not read.
    """

    format_name: str
    path: Path
    notes: tuple[str, ...] = ()


def find_source(path: Path, *, columns: Mapping[str, str] | None = None) -> Source:
    """Find the data set in a file or a folder.

    A folder may contain several: a single fer2013.csv takes precedence, then the highest folder, then the only complete
    one.

    Args:
        path: file or folder.
        columns: columns of a table by role; they make the file a table of pixels, or of paths.

    Raises:
        DataError: the path does not exist, or contains no data set or several.
    """
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists() raises for a name that is too long
        raise _missing(path)
    candidates = list(_candidates(path))
    if columns:
        candidates = [source for source in candidates if _has_columns(source)]
        if not candidates and not path.is_file():
            why = f"{quote_name(path)} is a folder without Parquet, Arrow or tar files"
            raise DataError("--columns without a table", why=why, hint=TABLE_HINT)
        if not candidates:
            return Source("csv_table" if "pixels" in columns else "picture_table", path)
    candidates = candidates or list(_loose_candidates(path))
    if not candidates:
        raise _unknown_folder(path) if path.is_dir() else _unknown_file(path)
    depth = min(len(source.path.parts) for source in candidates)
    named = [source for source in candidates if source.path.name == "fer2013.csv"]
    chosen = named if len(named) == 1 else [source for source in candidates if len(source.path.parts) == depth]
    if len(chosen) > 1:
        # Besides the complete icml_face_data.csv, the challenge has train.csv and test.csv, which lack columns.
        complete = [source for source in chosen if plugins.load(FORMATS, source.format_name).is_complete(source.path)]
        chosen = complete if len(complete) == 1 else chosen
    if len(chosen) > 1:
        raise DataError(
            f"{quote_name(path)} contains {len(chosen)} data sets",
            why=list_names([str(source.path) for source in chosen]),
            hint=f"name one of them: {quote_name(str(chosen[0].path))}",
        )
    others = [_name_beside(source.path, chosen[0].path) for source in candidates if source is not chosen[0]]
    others += map(str, _single_classes(path, chosen[0].path, {source.path for source in candidates}))
    return replace(chosen[0], notes=(f"Not read: {list_names(others)}.",) if others else ())


def _single_classes(path: Path, chosen: Path, candidates: AbstractSet[Path]) -> Iterator[Path]:
    """Yield the folders beside the data set, up to ``path``, that hold one class and are no data set by themselves."""
    for inner, folder in zip((chosen, *chosen.parents), chosen.parents):
        if inner == path or folder in candidates:
            return
        for entry in folders_in(folder):
            if entry != inner and entry not in candidates and any(
                is_class_name(child.name) and holds_pictures(child) for child in folders_in(entry)
            ):
                yield entry


def _name_beside(path: Path, chosen: Path) -> str:
    return f"the other data in {path}" if path in chosen.parents else str(path)


def _candidates(path: Path) -> Iterator[Source]:
    """Yield the path itself, and tables and trees up to three levels below, if they are in a known format.

    Below a folder in a known format, only the tables in the folder itself are candidates.
    """
    modules = {name: plugins.load(FORMATS, name) for name in plugins.names(FORMATS)}
    names = sorted(modules, key=lambda name: getattr(modules[name], "IS_GENERAL", False))
    formats = {name: modules[name] for name in names}
    level, left = [path], ENTRY_LIMIT
    for depth in range(DEPTH + 1):
        below: list[Path] = []
        for entry in level:
            name = next((name for name, module in formats.items() if module.matches(entry)), None)
            if name is not None:
                yield Source(name, entry)
            if depth < DEPTH and os.path.isdir(entry):  # noqa: PTH112
                children = _children(entry, left)
                left -= len(children)
                # The folders of a data set belong to it; a table beside them is another one.
                below += [
                    child
                    for child in children
                    if _is_table_name(child) or (name is None and os.path.isdir(child))  # noqa: PTH112
                ]
        level = below


def _has_columns(source: Source) -> bool:
    return getattr(plugins.load(FORMATS, source.format_name), "HAS_COLUMNS", False)


def _loose_candidates(path: Path) -> Iterator[Source]:
    """Yield the path or the highest folders below it whose class folders have unknown names."""
    modules = {name: plugins.load(FORMATS, name) for name in plugins.names(FORMATS)}
    formats = {name: module for name, module in modules.items() if hasattr(module, "matches_loosely")}
    level = [path]
    for _ in range(DEPTH + 1):
        sources = [Source(name, entry) for entry in level for name in formats if formats[name].matches_loosely(entry)]
        if sources:
            yield from sources
            return
        level = list(islice((child for entry in level for child in folders_in(entry)), LOOSE_FOLDER_LIMIT))


def _children(folder: Path, limit: int) -> list[Path]:
    try:
        entries = sorted(islice(folder.iterdir(), limit))
    except OSError:
        return []
    return [entry for entry in entries if not files.is_filesystem_leftover(entry.name)]


def _is_table_name(path: Path) -> bool:
    return path.name.lower().endswith(TABLE_SUFFIXES)


def _missing(path: Path) -> DataError:
    names = [entry.name for entry in _children(path.parent, ENTRY_LIMIT)]
    close = difflib.get_close_matches(path.name, names, n=1)
    hint = f"did you mean {quote_name(str(path.parent / close[0]))}?" if close else "check the path"
    return DataError(f"{quote_name(path)} does not exist", hint=hint)


def _unknown_folder(path: Path) -> DataError:
    try:
        entries = [entry for entry in path.iterdir() if not files.is_filesystem_leftover(entry.name)]
    except OSError as error:
        hint = "check its permissions"
        return DataError(f"cannot read {quote_name(path)}", why=error.strerror or str(error), hint=hint)
    folders = sorted(entry.name for entry in entries if os.path.isdir(entry))  # noqa: PTH112
    others = [entry for entry in entries if entry.name not in folders]
    why, hint = _describe_entries(folders, others), EXPECTED
    if any(map(is_class_name, folders)):
        with_pictures = [name for name in folders if holds_pictures(path / name)]
        if with_pictures:
            names = list_names([f"{name}/" for name in with_pictures])
            why = f"only {names} has pictures, expected two classes or more"
        else:
            why = f"the folders of classes ({list_names(folders)}) contain no pictures"
        hint = "JPEG or PNG files in the folder of each class"
    elif any(map(split_of, folders)):
        inner = [f"{name}/{child.name}/" for name in folders if split_of(name) for child in folders_in(path / name)]
        why += f"; no folder of a split contains a folder of a class, such as {LABELS[3]}/"
        why += f", or folders of two other classes, only {list_names(inner)}" if inner else ""
        table = next((entry for entry in sorted(others) if _is_table_name(entry)), None)
        hint = f"{_described_table(table)[1] if table else TABLE_HINT}, or one folder per class"
    elif archive := next((entry for entry in others if entry.suffix in (".zip", ".gz", ".tgz", ".tar")), None):
        hint = f"--data {shlex.quote(str(archive))}"
    elif table := next((entry for entry in sorted(others) if _is_table_name(entry)), None):
        reason, hint = _described_table(table)
        why += f"; {quote_name(table.name)}: {reason}"
    return DataError(f"{quote_name(path)} contains no data set", why=why, hint=hint)


def _describe_entries(folders: Sequence[str], others: Sequence[Path]) -> str:
    """Describe the content of a folder: its folders by name, its files by suffix."""
    content = []
    if folders:
        content.append(f"{counted(len(folders), 'folder')} ({list_names([f'{name}/' for name in folders])})")
    if others:
        suffixes = Counter(entry.suffix.lower() or "no suffix" for entry in others)
        kinds = [f"{count:,} {suffix}" for suffix, count in suffixes.most_common(3)]
        content.append(f"{counted(len(others), 'file')} ({list_names(kinds)})")
    return f"it contains {' and '.join(content)}" if content else "the folder is empty"


def _unknown_file(path: Path) -> DataError:
    what = f"{quote_name(path)} is not a data set"
    if not path.is_file():
        return DataError(what, why="it is neither a file nor a folder", hint=EXPECTED)
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return DataError(what, why="the file is empty", hint="copy or download it again")
    why, hint = _file_type(path, head)
    return DataError(what, why=why, hint=hint.replace("{path}", shlex.quote(str(path))))


def _file_type(path: Path, head: bytes) -> tuple[str, str]:
    """Describe the content of a file, and return how to get a data set from it."""
    if head.startswith(b"PK"):
        return _zip_type(path)
    for magic, description, hint in FILE_TYPES:
        if head.startswith(magic):
            return f"it is {description}", hint
    if head[257:262] == b"ustar":
        return _tar_type(path)
    kind, command = describe_kind(path), command_for(path)
    if command and kind != JSON and not command.startswith("edgefer data"):
        return f"it is {kind}", command
    if read_header(io.BytesIO(head)) is not None:
        return "it is an image", EXPECTED
    _, text = decode_head(head)
    start = text.lstrip("\ufeff \r\n\t").lower()
    if start.startswith(HTML):
        return "it is a web page, such as a login page", "log in, and download the file again in the browser"
    if start.startswith(("{", "[")):
        return "it is JSON", EXPECTED
    if sum(not (character.isprintable() or character.isspace()) for character in text) > len(text) // 20:
        return f"it is binary data that starts with {head[:8].hex(' ')}", EXPECTED
    return _text_type(text)


def _text_type(text: str) -> tuple[str, str]:
    lines = [line for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    separator = SEPARATOR_LINE.match(lines[0]) if lines else None
    lines = lines[1:] if separator else lines
    if not lines:
        return "the file has only blank lines", "copy or download it again"
    delimiter = separator[1] if separator else max(DELIMITERS, key=lines[0].count)
    cells = split_line(lines[0], delimiter)
    shown = ", ".join(quote(cell, limit=20) for cell in cells[:8]) + (", ..." if len(cells) > 8 else "")
    second = split_line(lines[1], delimiter) if len(lines) > 1 else []
    row = ", ".join(quote(cell, limit=12) for cell in second[:6]) or "missing"
    if {"usage", "neutral", "contempt"} <= {cell.lower() for cell in cells}:
        return "it has FER+ votes and no pixels", "--data fer2013.csv --ferplus {path}"
    why = f"it has no column of pixels; its first line is {shown}, its second {row}"
    return why, columns_hint(cells, second) if len(cells) > 1 and second else EXPECTED


def _described_table(path: Path) -> tuple[str, str]:
    """Describe a table that is no data set by itself, and return how to get one from it."""
    try:
        with path.open("rb") as file:
            why, hint = _file_type(path, file.read(HEAD_BYTES))
    except OSError as error:
        return error.strerror or str(error), EXPECTED
    return why, f"--data {shlex.quote(str(path))} {hint}" if hint.startswith("--columns") else hint


def _tar_type(path: Path) -> tuple[str, str]:
    try:
        with tarfile.open(path, "r:") as archive:
            names = [member.name for member in islice(archive, LISTED_MEMBERS) if member.isfile()]
    except DAMAGE as error:
        return f"it is a damaged tar archive ({quote_name(str(error))})", "copy or download it again"
    why = "it is a tar archive without a table and without labeled samples"
    return f"{why}: {list_names(names) or 'empty'}", "unpack it: tar -xf {path}"


def _zip_type(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except DAMAGE as error:
        return f"it is a damaged ZIP archive ({quote_name(str(error))})", "copy or download it again"
    if "xl/workbook.xml" in names:
        return "it is an Excel workbook", "save it as CSV"
    if "content.xml" in names:
        return "it is an OpenDocument spreadsheet", "save it as CSV"
    shown = list_names([name for name in names if not name.endswith("/")])
    return f"it is a ZIP archive without a table: {shown or 'empty'}", "unpack it: unzip {path}"
