"""Open a table as text, whatever its compression, archive, encoding and line ends.

    with open_table(Path("fer2013.tar.gz"), accepts=lambda text: "pixels" in text) as table:
        table.origin                                # "fer2013/fer2013.csv in a gzip-compressed tar archive"
        for number, line in table.lines(): ...      # 1, "emotion,pixels,Usage"

Files are recognized by content, not by name. Lines that are not UTF-8 are read as Windows-1252, which spreadsheets
write as CSV. Decompression stops at 200 times the size of the file, which text never reaches.
"""

from __future__ import annotations

import bz2
import codecs
import contextlib
import functools
import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from edgefer.data.naming import quote_name
from edgefer.errors import DataError

__all__ = [
    "DAMAGE", "HEAD_BYTES", "Table", "archived_heads", "decode_head", "decode_text", "open_table", "size_limit",
]  # fmt: skip

HEAD_BYTES = 1 << 18
PIECE_BYTES = 1 << 14
# A line with 2,304 pixels has about 9,000 characters, one with 1,024 x 1,024 four million.
LINE_LIMIT = 5 << 20
MEMBER_LIMIT = 1000
BLANK_LINE_LIMIT = 1_000_000
TABLE_SUFFIXES = (".csv", ".tsv", ".txt", ".data")
ZIP_MARK = b"PK\x03\x04"
COMPRESSIONS: dict[bytes, tuple[str, Callable[..., Any]]] = {
    b"\x1f\x8b": ("gzip", gzip.open),
    b"BZh": ("bzip2", bz2.open),
    b"\xfd7zXZ\x00": ("xz", lzma.open),
}
BYTE_ORDER_MARKS = {
    b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe\0\0": "utf-32", b"\0\0\xfe\xff": "utf-32", b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}  # fmt: skip
OTHER_ENCODING = "cp1252"
# With this error handler, the UTF-8 decoder returns a surrogate for each byte that is not UTF-8.
KEEP_BYTES = "surrogateescape"
KEPT_BYTE = re.compile("[\udc80-\udcff]")
# Exceptions of the decompressors for damaged content; a RuntimeError is an encrypted ZIP entry.
DAMAGE = (
    EOFError, OSError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, NotImplementedError,
    RuntimeError, ValueError, UnicodeError, OverflowError,
)  # fmt: skip


@dataclass
class Table:
    """An open table.

    Attributes:
        head: decoded beginning of the text.
        encoding: encoding of the text.
        origin: compression and archive of the text, for messages; empty for a plain file.
        stream: the text, from its beginning.
        other_lines: number of lines so far that are not UTF-8.
        first_other: number of the first of them in the table; 0 if there is none.
    """

    head: str
    encoding: str
    origin: str
    stream: io.TextIOBase
    other_lines: int = 0
    first_other: int = 0

    def notes(self) -> tuple[str, ...]:
        """Return a note if lines() has read lines that are not UTF-8."""
        if not self.other_lines:
            return ()
        lines = "1 line is" if self.other_lines == 1 else f"{self.other_lines:,} lines are"
        return (f"{lines} not UTF-8 and read as Windows-1252; the first is line {self.first_other}.",)

    def lines(self) -> Iterator[tuple[int, str]]:
        """Yield line numbers, from 1, and lines with any line end.

        Raises:
            DataError: a line has more than 5 million characters, a million lines are blank, or the content is damaged.
        """
        number = blank = 0
        while True:
            try:
                line = self.stream.readline(LINE_LIMIT)
            except DAMAGE as error:
                why = str(error) or type(error).__name__
                raise DataError(f"the table is damaged after line {number}", why=why) from error
            if not line:
                return
            number += 1
            blank = 0 if line.strip() else blank + 1
            if blank > BLANK_LINE_LIMIT:
                raise DataError(f"more than {BLANK_LINE_LIMIT:,} blank lines after line {number - blank}")
            if len(line) >= LINE_LIMIT:
                what = f"line {number} has more than {LINE_LIMIT:,} characters"
                raise DataError(what, why="expected one face per line")
            if not line.isascii() and KEPT_BYTE.search(line):
                line = _in_other_encoding(line)
                self.other_lines, self.first_other = self.other_lines + 1, self.first_other or number
            yield number, line


def size_limit(compressed: int) -> int:
    """Return the largest plausible size of decompressed content, in bytes."""
    return 200 * compressed + (16 << 20)


def decode_text(content: bytes) -> str:
    """Decode a whole text, such as the content of a small file."""
    return _decode(content, _encoding(content), is_whole=True).removeprefix("\ufeff")


def decode_head(head: bytes) -> tuple[str, str]:
    """Return the encoding of a text and its decoded beginning, without a character that is cut off at the end."""
    encoding = _encoding(head)
    return encoding, _decode(head, encoding, is_whole=False)


def _encoding(head: bytes) -> str:
    mark = next((mark for mark in BYTE_ORDER_MARKS if head.startswith(mark)), None)
    if mark:
        return BYTE_ORDER_MARKS[mark]
    # In UTF-16 every second byte of ASCII text is zero.
    little, big = head[1:64:2].count(0), head[0:64:2].count(0)
    if 4 * (little + big) <= len(head[:64]):
        return "utf-8"
    return "utf-16-le" if little > big else "utf-16-be"


def _decode(content: bytes, encoding: str, *, is_whole: bool) -> str:
    text = codecs.getincrementaldecoder(encoding)(_errors(encoding)).decode(content, is_whole)
    if not text.isascii():
        lines = text.splitlines(keepends=True)
        text = "".join(_in_other_encoding(line) if KEPT_BYTE.search(line) else line for line in lines)
    return text


def _errors(encoding: str) -> str:
    return KEEP_BYTES if encoding == "utf-8" else "replace"


def _in_other_encoding(line: str) -> str:
    return line.encode("utf-8", KEEP_BYTES).decode(OTHER_ENCODING, errors="replace")


@dataclass(frozen=True)
class _Member:
    """A file of an archive that may be a table."""

    archive: str
    name: str
    head: bytes
    open: Callable[[], IO[bytes]]


@contextlib.contextmanager
def open_table(path: Path, *, accepts: Callable[[str], bool]) -> Iterator[Table | None]:
    """Open the table in a file.

    Args:
        path: file: plain text, compressed text, or a ZIP or tar archive.
        accepts: returns True for the decoded beginning of a table.

    Yields:
        The table, or None if the file contains no accepted table.

    Raises:
        OSError: the file cannot be read.
    """
    with contextlib.ExitStack() as stack:
        stream, head, origin, limit = _open(path, stack)
        members = _members(stream, head, limit, stack)
        if members is None:
            encoding, text = decode_head(head)
            yield _table(stream, encoding, text, origin) if accepts(text) else None
        else:
            yield _first_table(members, accepts, origin)


def archived_heads(path: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the decoded beginning of each file in a ZIP or tar archive that may be a table.

    A damaged archive ends early. A file that is no archive has none.

    Raises:
        OSError: the file cannot be read.
    """
    with contextlib.ExitStack() as stack:
        stream, head, _, limit = _open(path, stack)
        with contextlib.suppress(DataError, *DAMAGE):
            for member in _members(stream, head, limit, stack) or ():
                yield member.name, decode_head(member.head)[1]


def _open(path: Path, stack: contextlib.ExitStack) -> tuple[IO[bytes], bytes, str, int]:
    """Return the decompressed content of a file, its beginning, its compression for messages, and its size limit."""
    raw = stack.enter_context(path.open("rb"))
    limit = size_limit(os.fstat(raw.fileno()).st_size)
    head = raw.read(HEAD_BYTES)
    raw.seek(0)
    compression = next((entry for magic, entry in COMPRESSIONS.items() if head.startswith(magic)), None)
    if compression is None:
        return raw, head, "", limit
    head = _head(compression[1](raw))
    raw.seek(0)
    return _bounded(stack.enter_context(compression[1](raw)), limit), head, f"{compression[0]}-compressed", limit


def _table(stream: IO[bytes], encoding: str, head: str, origin: str) -> Table:
    return Table(head, encoding, origin, io.TextIOWrapper(stream, encoding=encoding, errors=_errors(encoding)))


def _first_table(members: Iterator[_Member], accepts: Callable[[str], bool], origin: str) -> Table | None:
    with contextlib.suppress(*DAMAGE):
        for member in members:
            encoding, text = decode_head(member.head)
            if accepts(text):
                kind = " ".join(part for part in (origin, member.archive) if part)
                return _table(member.open(), encoding, text, f"{quote_name(member.name)} in a {kind}")
    return None


def _members(stream: IO[bytes], head: bytes, limit: int, stack: contextlib.ExitStack) -> Iterator[_Member] | None:
    """Return the files of an archive that may be tables; None for another file."""
    if head.startswith(ZIP_MARK):
        return _zip_members(stream, limit, stack)
    return _tar_members(stream, stack) if head[257:262] == b"ustar" else None


def _zip_members(raw: IO[bytes], limit: int, stack: contextlib.ExitStack) -> Iterator[_Member]:
    archive = stack.enter_context(zipfile.ZipFile(raw))

    def open_member(name: str) -> IO[bytes]:
        return _bounded(stack.enter_context(archive.open(name)), limit)

    for name in filter(_may_be_table, archive.namelist()[:MEMBER_LIMIT]):
        with archive.open(name) as file:
            head = _head(file)
        yield _Member("ZIP archive", name, head, functools.partial(open_member, name))


def _tar_members(stream: IO[bytes], stack: contextlib.ExitStack) -> Iterator[_Member]:
    archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r|"))  # noqa: SIM115
    for number, member in enumerate(archive):
        file = archive.extractfile(member) if member.isfile() and _may_be_table(member.name) else None
        if file is not None:
            head = _head(file)
            # A streamed archive cannot be rewound, so the head is put in front of the remainder.
            yield _Member("tar archive", member.name, head, functools.partial(io.BufferedReader, _Joined(head, file)))
        if number >= MEMBER_LIMIT:
            break


def _may_be_table(name: str) -> bool:
    return name.lower().endswith(TABLE_SUFFIXES) and not os.path.basename(name).startswith(".")  # noqa: PTH119


def _head(stream: IO[bytes]) -> bytes:
    """Read up to HEAD_BYTES; damaged content ends early."""
    head = b""
    try:
        # Small pieces, so that a truncated stream yields what comes before its end.
        while len(head) < HEAD_BYTES and (piece := stream.read(PIECE_BYTES)):
            head += piece
    except DAMAGE:
        pass
    return head


def _bounded(stream: IO[bytes], limit: int) -> IO[bytes]:
    return io.BufferedReader(_Bounded(stream, limit), buffer_size=1 << 20)


class _Bounded(io.RawIOBase):
    """A stream that ends with a DataError beyond a number of bytes."""

    def __init__(self, stream: IO[bytes], limit: int) -> None:
        self.stream, self.left = stream, limit

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer``."""
        piece = self.stream.read(min(len(buffer), PIECE_BYTES))
        self.left -= len(piece)
        if self.left < 0:
            raise DataError("the decompressed table is implausibly large", why="text never compresses 200 times")
        buffer[: len(piece)] = piece
        return len(piece)


class _Joined(io.RawIOBase):
    """Bytes followed by a stream."""

    def __init__(self, head: bytes, stream: IO[bytes]) -> None:
        self.head, self.stream = head, stream

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read into ``buffer``."""
        piece, self.head = self.head[: len(buffer)], self.head[len(buffer) :]
        piece = piece or self.stream.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
