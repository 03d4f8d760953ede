"""Read the tags of a TIFF file or of the EXIF block of a JPEG, PNG or WebP file, and apply the orientation.

    tags = read_tags(stream)                        # {256: (4000,), 257: (3000,), ...} of the first directory
    upright = orient(image, tags[ORIENTATION][0])
"""

from __future__ import annotations

import struct
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

__all__ = ["ORIENTATION", "orient", "read_tags"]

ORIENTATION = 274
# A directory of more entries is damaged. Values beyond this count (offsets of strips) are not needed.
MAX_ENTRIES = 1000
MAX_VALUES = 16
# struct codes of the integer types: byte, short, long, offset of a directory; BigTIFF adds 16.
INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q"}


def read_tags(stream: BinaryIO, offset: int = 0) -> dict[int, tuple[int, ...]]:
    """Return the integer tags of the first directory; an unreadable structure returns {}.

    Args:
        stream: seekable file.
        offset: position of the byte order mark.
    """
    try:
        return _read_directory(stream, offset)
    except (struct.error, OSError, ValueError, OverflowError):
        return {}


def _read_directory(stream: BinaryIO, offset: int) -> dict[int, tuple[int, ...]]:
    stream.seek(offset)
    order = {b"II": "<", b"MM": ">"}[mark] if (mark := stream.read(2)) in (b"II", b"MM") else ""
    if not order:
        return {}

    def unpack(code: str) -> tuple[int, ...]:
        return struct.unpack(order + code, stream.read(struct.calcsize(order + code)))

    (version,) = unpack("H")
    if version == 43:  # BigTIFF: 8-byte offsets
        unpack("HH")
        pointer, counter, entry_bytes = "Q", "Q", 20
    else:
        pointer, counter, entry_bytes = "I", "H", 12
    (directory,) = unpack(pointer)
    stream.seek(offset + directory)
    (count,) = unpack(counter)
    if count > MAX_ENTRIES:
        return {}
    start = stream.tell()
    tags: dict[int, tuple[int, ...]] = {}
    for index in range(count):
        stream.seek(start + index * entry_bytes)
        tag, kind = unpack("HH")
        (values,) = unpack(pointer)
        if kind not in INTEGERS or not 1 <= values <= MAX_VALUES:
            continue
        code = f"{values}{INTEGERS[kind]}"
        if struct.calcsize(order + code) > struct.calcsize(order + pointer):
            stream.seek(offset + unpack(pointer)[0])
        tags.setdefault(tag, unpack(code))
    return tags


def orient(image: npt.NDArray[np.uint8], orientation: int) -> npt.NDArray[np.uint8]:
    """Rotate and mirror an image, (h, w) or (h, w, 3), as its EXIF orientation, 1 to 8, demands."""
    if orientation in (5, 6, 7, 8):
        image = np.swapaxes(image, 0, 1)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)
