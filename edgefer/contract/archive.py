"""Read and write the ZIP archive of a contract, with limits on everything that a damaged file could enlarge.

    entries = read_entries(content, {"labels.txt": 2**16, "edgefer.json": 2**20, "golden.npz": 2**22})
    arrays = read_arrays(entries["golden.npz"], ("inputs", "outputs", "reference"), entry="golden.npz", max_bytes=2**24)

A ZIP of a few kilobytes can expand to gigabytes, and the header of an array can declare any shape. Sizes are therefore
checked before anything is decompressed or allocated. Every error is a DataError that names the entry.
"""

from __future__ import annotations

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError

__all__ = ["ZIP_DATE", "pack_arrays", "read_arrays", "read_entries", "write_entries"]

# ZIP entries have a date. A fixed one gives the same bytes for the same model.
ZIP_DATE = (1980, 1, 1, 0, 0, 0)
# The archive is at the end of the file. zipfile reads only this part, which bounds the number of its entries.
MAX_ARCHIVE_BYTES = 2**23
MAX_ENTRIES = 64
# The other methods of ZIP cannot limit the size of what they expand.
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 0x1
# Exceptions of zipfile, zlib and numpy for damaged content.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    LookupError,
    ArithmeticError,
)
MAX_HEADER_CHARACTERS = 1000
HINT = "copy the file again, or quantize the run again"


def read_entries(content: bytes, limits: Mapping[str, int], *, archive: str = "contract") -> dict[str, bytes]:
    """Read entries of the ZIP archive at the end of ``content``.

    Args:
        content: the file.
        limits: largest uncompressed size in bytes by name of the entry.
        archive: name of the archive in errors.

    Raises:
        DataError: the archive is damaged, an entry is missing, or it exceeds its limit.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content[-MAX_ARCHIVE_BYTES:])) as opened:
            if len(opened.filelist) > MAX_ENTRIES:
                why = f"the archive has {len(opened.filelist):,} entries, expected at most {MAX_ENTRIES}"
                raise DataError(f"the {archive} is invalid", why=why, hint=HINT)
            if any(info.header_offset < 0 for info in opened.filelist):
                why = f"the archive has more than {MAX_ARCHIVE_BYTES // 2**20} MiB"
                raise DataError(f"the {archive} is invalid", why=why, hint=HINT)
            return {name: _read_entry(opened, name, limit, archive=archive) for name, limit in limits.items()}
    except (*DAMAGED, NotImplementedError) as error:
        raise DataError(f"the {archive} is damaged", why=f"{error}", hint=HINT) from error


def _read_entry(opened: zipfile.ZipFile, name: str, limit: int, *, archive: str) -> bytes:
    try:
        info = opened.getinfo(name)
    except KeyError as error:
        raise DataError(f"the {archive} is incomplete", why=f"it has no {name}", hint=HINT) from error
    if info.compress_type not in METHODS or info.flag_bits & ENCRYPTED:
        why = f"{name} is encrypted or uses ZIP method {info.compress_type}, expected stored or deflated"
        raise DataError(f"the {archive} is invalid", why=why, hint=HINT)
    if info.file_size <= limit:
        try:
            with opened.open(info) as entry:
                # The size in the directory may be wrong.
                content = entry.read(limit + 1)
        except (*DAMAGED, NotImplementedError) as error:
            raise DataError(f"the {archive} is damaged", why=f"{name}: {error}", hint=HINT) from error
        if len(content) <= limit:
            return content
    why = f"{name} has more than {limit:,} bytes"
    raise DataError(f"the {archive} is invalid", why=why, hint=HINT)


def write_entries(model: bytes, entries: Mapping[str, bytes]) -> bytes:
    """Append a ZIP archive to ``model``; equal arguments give equal bytes."""
    buffer = io.BytesIO()
    buffer.write(model)
    # From here on, offsets still count from the start of the file, as unzip expects. The mode "a" would extend an
    # archive at the end of the model, such as TFLite Metadata, and overwrite its directory.
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in entries.items():
            # pack_arrays() has compressed its content already.
            method = zipfile.ZIP_STORED if name.endswith(".npz") else zipfile.ZIP_DEFLATED
            archive.writestr(zipfile.ZipInfo(name, ZIP_DATE), content, compress_type=method)
    return buffer.getvalue()


def read_arrays(content: bytes, names: Sequence[str], *, entry: str, max_bytes: int) -> dict[str, npt.NDArray[Any]]:
    """Read arrays of numbers from the content of an .npz file.

    Args:
        content: the file.
        names: names of the arrays.
        entry: name of the file in errors.
        max_bytes: largest size of an array.

    Raises:
        DataError: the file is damaged, an array is missing, exceeds the limit, or has no numeric dtype.
    """
    limits = {f"{name}.npy": max_bytes for name in names}
    members = read_entries(content, limits, archive=entry)
    return {name: _read_array(members[f"{name}.npy"], f"{name}.npy in {entry}") for name in names}


def _read_array(content: bytes, name: str) -> npt.NDArray[Any]:
    stream = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran_order, dtype = read_header(stream, max_header_size=MAX_HEADER_CHARACTERS)
    # Parsing the text of a header can exhaust the parser, too.
    except (*DAMAGED, TypeError, SyntaxError, AttributeError, MemoryError, tokenize.TokenError) as error:
        raise DataError(f"{name} is damaged", why=f"its header is invalid: {error}", hint=HINT) from error
    size_bytes = len(content) - stream.tell()
    # A negative size would make reshape() compute one.
    if dtype.kind not in "iuf" or any(size < 0 for size in shape):
        raise DataError(f"{name} is invalid", why=f"{dtype} {shape}, expected integers or floats", hint=HINT)
    if math.prod(shape) * dtype.itemsize != size_bytes:
        why = f"{dtype} {shape} does not match {size_bytes:,} bytes of data"
        raise DataError(f"{name} is damaged", why=why, hint=HINT)
    array = np.frombuffer(content, dtype, offset=stream.tell())
    return array.reshape(shape, order="F" if fortran_order else "C")


def pack_arrays(**arrays: npt.NDArray[Any]) -> bytes:
    """Write arrays like np.savez_compressed(), with fixed dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", ZIP_DATE), content.getvalue(), zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
