"""Read the size and the orientation of AVIF and JPEG 2000 images, whose files consist of nested boxes.

Format: ISO/IEC 14496-12 (boxes), 23008-12 (image items), 15444-1 (JPEG 2000).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from edgefer.contract.exif import orient

__all__ = ["iter_boxes", "read_avif", "read_codestream", "read_jp2"]

# The description of an image is small; a box that declares more is damaged.
MAX_META_BYTES = 1 << 22
MAX_BOXES = 10_000


def iter_boxes(stream: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the name of each box, and the start and the end of its content."""
    for _ in range(MAX_BOXES):
        stream.seek(start)
        head = stream.read(8)
        if start + 8 > end or len(head) < 8:
            return
        size, name = struct.unpack(">I4s", head)
        content = start + 8
        if size == 1:
            (size,) = struct.unpack(">Q", stream.read(8))
            content += 8
        elif size == 0:
            size = end - start
        if size < content - start:
            return
        yield name, content, min(start + size, end)
        start += size


def read_jp2(stream: BinaryIO, end: int) -> tuple[int, int, int] | None:
    """Return width, height and number of components of a .jp2 file, or None."""
    for name, start, _ in iter_boxes(stream, 0, end):
        if name == b"jp2c":
            return read_codestream(stream, start)
    return None


def read_codestream(stream: BinaryIO, start: int) -> tuple[int, int, int] | None:
    """Return width, height and number of components of a JPEG 2000 codestream, or None."""
    stream.seek(start)
    head = stream.read(42)
    if len(head) < 42 or not head.startswith(b"\xff\x4f\xff\x51"):
        return None
    right, bottom, left, top = struct.unpack(">4I", head[8:24])
    (components,) = struct.unpack(">H", head[40:42])
    return right - left, bottom - top, components


def read_avif(stream: BinaryIO, end: int) -> tuple[int, int, int] | None:
    """Return width and height of the largest image item, and the EXIF orientation of the primary one, or None."""
    content = b""
    for name, start, stop in iter_boxes(stream, 0, end):
        if name == b"meta":
            if stop - start > MAX_META_BYTES:
                return None
            stream.seek(start)
            content = stream.read(stop - start)
            break
    meta, size = io.BytesIO(content), len(content)
    boxes = {name: (start, stop) for name, start, stop in iter_boxes(meta, 4, size)}
    if b"iprp" not in boxes:
        return None
    properties: list[tuple[bytes, bytes]] = []
    associations = b""
    for name, start, stop in iter_boxes(meta, *boxes[b"iprp"]):
        if name == b"ipco":
            properties = [(kind, content[begin:finish]) for kind, begin, finish in iter_boxes(meta, start, stop)]
        elif name == b"ipma":
            associations = content[start:stop]
    sizes = [struct.unpack(">II", value[4:12]) for kind, value in properties if kind == b"ispe" and len(value) >= 12]
    if not sizes:
        return None
    width, height = max(sizes, key=lambda item: item[0] * item[1])
    primary = content[slice(*boxes[b"pitm"])] if b"pitm" in boxes else b""
    numbers = _property_numbers(associations, int.from_bytes(primary[4:], "big"))
    return width, height, _orientation([properties[number - 1] for number in numbers if 1 <= number <= len(properties)])


def _property_numbers(content: bytes, item: int) -> list[int]:
    """Return the numbers, from 1, of the properties of an item in the content of an ipma box."""
    if len(content) < 8:
        return []
    version, wide = content[0], content[3] & 1
    (count,), place = struct.unpack(">I", content[4:8]), 8
    item_bytes, number_bytes = 4 if version else 2, 2 if wide else 1
    for _ in range(min(count, MAX_BOXES)):
        number = int.from_bytes(content[place : place + item_bytes], "big")
        place += item_bytes
        associated = content[place] if place < len(content) else 0
        place += 1
        numbers = content[place : place + associated * number_bytes]
        place += associated * number_bytes
        if number == item:
            # The highest bit marks a property as essential.
            values = [numbers[at : at + number_bytes] for at in range(0, len(numbers), number_bytes)]
            return [int.from_bytes(value, "big") & (0x7FFF if wide else 0x7F) for value in values]
    return []


def _orientation(properties: list[tuple[bytes, bytes]]) -> int:
    """Return the EXIF orientation that equals the rotations and mirrorings of ``properties``, in their order."""
    pattern = result = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for kind, value in properties:
        if kind == b"irot" and value:
            result = np.rot90(result, value[0] & 3)  # counterclockwise
        elif kind == b"imir" and value:
            result = result[:, ::-1] if value[0] & 1 else result[::-1]
    return next(number for number in range(1, 9) if np.array_equal(orient(pattern, number), result))
