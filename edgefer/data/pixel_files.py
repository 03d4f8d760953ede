"""Pixels in files that are mapped into memory: the large ones of data sets, in the cache or in temporary files.

    with PixelWriter((96, 96, 3), folder=cache) as writer:
        for face in faces: writer.append(face)
        pixels = writer.finish()                    # an array, or StoredPixels from 128 MiB
    save_pixels(path, pixels)                       # renames the file of StoredPixels, or writes an .npy
    pixels = open_pixels(path, crc=...)             # an array, or StoredPixels; None if the file is damaged

The files are .npy arrays. Mapped pages count as memory of the process, so StoredPixels give them back to the system
after every 16 MiB that are read; the system keeps them as long as it has no other use for the memory.
"""

from __future__ import annotations

import math
import mmap
import os
import re
import tempfile
import weakref
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from edgefer import cache, files
from edgefer.data.pixels import LazyPixels, Pixels, chunks
from edgefer.errors import DataError

__all__ = ["PixelWriter", "StoredPixels", "open_pixels", "pixels_crc", "save_pixels"]

# Pixels below this size are arrays in memory.
MEMORY_BYTES = 128 << 20
# Faces that are read before their pages are given back. Linux maps 64 KiB around each page that is read, so the mapped
# pages of small faces in random order are several times as large.
MAPPED_BYTES = 16 << 20
WRITTEN_BYTES = 4 << 20
# The header of an .npy file with uint8 pixels; NumPy aligns it to 64 bytes.
HEADER_BYTES = 128
TEMPORARY = "pixels.npy"
SHAPE = re.compile(rb"'shape': \((\d{1,15}(?:, \d{1,15})*)\)")

Faces = npt.NDArray[np.uint8]


class StoredPixels(LazyPixels):
    """Pixels in an .npy file.

    Attributes:
        path: the file; it may have been removed, as the pixels stay readable.
        is_temporary: the file is removed with the pixels, unless save_pixels() renames it.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], *, is_temporary: bool = False) -> None:
        super().__init__(shape)
        self.path, self.is_temporary = path, is_temporary
        self._descriptor = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        # Removing a file on a network file system would end the processes of other hosts that have mapped it.
        cache.lock_shared(self._descriptor)
        self._size = HEADER_BYTES + int(np.prod(shape))
        self._check_size()
        self._map = mmap.mmap(self._descriptor, self._size, access=mmap.ACCESS_READ)
        self._faces: Faces = np.frombuffer(self._map, np.uint8, offset=HEADER_BYTES).reshape(shape)
        self._left = MAPPED_BYTES
        self._remove = weakref.finalize(self, path.unlink, missing_ok=True) if is_temporary else None

    def read(self, positions: npt.NDArray[np.int64]) -> Faces:
        """Return copies of the faces at positions from 0 to n - 1.

        Raises:
            DataError: another process has shortened the file.
        """
        # A mapped page behind the end of a file ends the process.
        self._check_size()
        faces: Faces = self._faces[positions]
        self._left -= faces.nbytes
        if self._left < 0:
            self._left = MAPPED_BYTES
            if hasattr(mmap, "MADV_DONTNEED"):
                self._map.madvise(mmap.MADV_DONTNEED)
        return faces

    def keep(self, path: Path) -> None:
        """Rename the temporary file, which is no longer temporary.

        Raises:
            OSError: the file cannot be renamed, for example because the path is on another file system.
        """
        os.fsync(self._descriptor)
        self.path.replace(path)
        if self._remove is not None:
            self._remove.detach()
        self.path, self.is_temporary = path, False

    def _check_size(self) -> None:
        size = os.fstat(self._descriptor).st_size
        if size < self._size:
            why = f"it has {size:,} bytes, expected {self._size:,}"
            raise DataError(f"{self.path} is damaged", why=why, hint="repeat the command, which reads the data again")


class PixelWriter:
    """Collector of faces: in memory up to 128 MiB, then in a temporary file.

    The file is in ``folder``, so that it can become a cache entry, or in the folder for temporary files, if that one
    is not writable or its disk is full. If neither is, the faces stay in memory.
    """

    def __init__(self, shape: tuple[int, ...], *, folder: Path | None) -> None:
        """Start without faces.

        Args:
            shape: height, width and, in color, channels.
            folder: preferred folder of the file, or None.
        """
        self._shape, self._count = shape, 0
        # Files in the second folder cannot become cache entries.
        self._folders = [folder] if folder is not None else []
        self._folders.append(Path(tempfile.gettempdir()))
        self._buffer = bytearray()
        self._file: BinaryIO | None = None
        self._written = 0

    def __enter__(self) -> PixelWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            _discard(self._file)

    def append(self, face: Faces) -> None:
        """Add a face, uint8 of the shape of the writer, or several faces with one more axis."""
        self._count += face.size // int(np.prod(self._shape))
        self._buffer += np.ascontiguousarray(face).data.cast("B") if face.size else b""
        if len(self._buffer) >= (MEMORY_BYTES if self._file is None else WRITTEN_BYTES):
            self._flush()

    def finish(self) -> Pixels:
        """Return all faces, in order: an array that may be modified, or StoredPixels in a temporary file."""
        shape = (self._count, *self._shape)
        if self._file is not None:
            self._flush()
        if self._file is None:
            return np.frombuffer(self._buffer, np.uint8).reshape(shape)
        self._file.seek(0)
        self._file.write(_header(shape))
        pixels = StoredPixels(Path(self._file.name), shape, is_temporary=True)
        self._file.close()
        self._file = None
        return pixels

    def _flush(self) -> None:
        """Write the buffer to the file; if that fails, move all faces to the next folder or back into memory."""
        while self._file is not None or self._folders:
            try:
                if self._file is None:
                    self._file = _create(self._folders.pop(0))
                self._file.seek(HEADER_BYTES + self._written)
                _write(self._file, self._buffer)
            except OSError:
                self._move()
            else:
                self._written += len(self._buffer)
                self._buffer = bytearray()
                return

    def _move(self) -> None:
        """Move the faces of the last complete write to the next folder that takes them, or back into memory."""
        old, self._file = self._file, None
        if old is None:
            return
        while self._folders and self._file is None:
            try:
                new = _create(self._folders.pop(0))
            except OSError:
                continue
            try:
                new.seek(HEADER_BYTES)
                for piece in _pieces(old, self._written):
                    _write(new, piece)
                self._file = new
            except OSError:
                _discard(new)
        if self._file is None:
            self._buffer = bytearray().join([*_pieces(old, self._written), self._buffer])
            self._written = 0
        _discard(old)


def open_pixels(path: Path, *, crc: int) -> Pixels | None:
    """Open an .npy file of save_pixels(): an array, or StoredPixels from 128 MiB; None if it is damaged.

    Args:
        path: the file.
        crc: expected result of pixels_crc().

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        header = file.read(HEADER_BYTES)
        try:
            shape = _shape(header)
            size = HEADER_BYTES + math.prod(shape)
            if os.fstat(file.fileno()).st_size != size:
                return None
        except ValueError:
            return None
        if size <= MEMORY_BYTES:
            array = np.fromfile(file, np.uint8).reshape(shape)
            return array if pixels_crc(array) == crc else None
    pixels = StoredPixels(path, shape)
    return pixels if pixels_crc(pixels) == crc else None


def save_pixels(path: Path, pixels: Pixels) -> None:
    """Write pixels to an .npy file atomically; a temporary file of StoredPixels is only renamed.

    Raises:
        OSError: the file cannot be written.
    """
    if isinstance(pixels, StoredPixels) and pixels.is_temporary and pixels.path.parent == path.parent:
        pixels.keep(path)
        return
    with files.atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_header(tuple(pixels.shape)))
        for chunk in chunks(pixels):
            file.write(np.ascontiguousarray(chunk).data)


def pixels_crc(pixels: Pixels) -> int:
    """Return the CRC-32 of all pixels, in order."""
    crc = 0
    for chunk in chunks(pixels):
        crc = zlib.crc32(np.ascontiguousarray(chunk).data, crc)
    return crc


def _create(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    files.remove_leftovers(folder / TEMPORARY)
    # Unbuffered, so that each write reports a full disk.
    return files.create_temporary(folder / TEMPORARY).open("r+b", buffering=0)


def _write(file: BinaryIO, content: bytes | bytearray) -> None:
    """Write all of the content; a single write to an almost full disk writes a part of it."""
    remaining = memoryview(content)
    while remaining:
        remaining = remaining[file.write(remaining) :]


def _pieces(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield the first bytes after the header."""
    file.seek(HEADER_BYTES)
    while size and (piece := file.read(min(size, WRITTEN_BYTES))):
        size -= len(piece)
        yield piece


def _discard(file: BinaryIO) -> None:
    file.close()
    Path(file.name).unlink(missing_ok=True)


def _header(shape: tuple[int, ...]) -> bytes:
    """Return the header of an .npy file of uint8; its length does not depend on the number of faces."""
    fields = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}"
    magic = np.lib.format.magic(1, 0) + (HEADER_BYTES - 10).to_bytes(2, "little")
    return magic + fields.ljust(HEADER_BYTES - 11).encode("ascii") + b"\n"


def _shape(header: bytes) -> tuple[int, ...]:
    """Return the shape in a header of _header().

    Raises:
        ValueError: it has another form.
    """
    match = SHAPE.search(header)
    shape = tuple(map(int, match[1].split(b","))) if match else ()
    if len(shape) not in (3, 4) or _header(shape) != header:
        raise ValueError("not the header of an .npy file of pixels")
    return shape
