"""Read the format, the size and the orientation of an image from its header, before anything is decoded.

    header = read_header(stream)                    # None: no image, or a format that OpenCV cannot decode
    header.width, header.height, header.memory_bytes()

A file of a few bytes can declare billions of pixels, and OpenCV allocates them. Every format that OpenCV decodes has a
reader here, and read_image() decodes no other.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from edgefer.contract.exif import ORIENTATION, read_tags
from edgefer.contract.media_boxes import read_avif, read_codestream, read_jp2
from edgefer.media_signatures import START_BYTES, image_format

__all__ = ["MAX_MEMORY_BYTES", "ImageHeader", "is_camera_raw", "memory_limit", "read_header"]

# Largest estimate for one image; 200 million pixels of most formats.
MAX_MEMORY_BYTES = 1_200_000_000
# Share of the available memory that decoded images may take.
MEMORY_SHARE = 0.75
# Limit of the control group in version 2 and version 1, and the statistic of memory that is not cached files. A
# container has its own group at the root.
GROUP_MEMORY = (
    ("memory.max", "memory.stat", "anon"),
    ("memory/memory.limit_in_bytes", "memory/memory.stat", "total_rss"),
)
# Memory of cv2.imdecode() at its peak, bytes per pixel, measured with OpenCV 4.14: the BGR image twice, and the
# intermediate images of some formats.
BYTES_PER_PIXEL = {"gif": 13.0, "jp2": 17.0, "avif": 18.0, "webp": 11.0}
DEFAULT_BYTES_PER_PIXEL = 6.0
REDUCED_BYTES_PER_PIXEL = 6.0
# Size of the header tokens of the text formats: comments may be long.
MAX_TEXT_BYTES = 1 << 16
# An EXIF block of a JPEG has at most 64 KiB.
MAX_EXIF_BYTES = 1 << 16
MAX_SEGMENTS = 10_000
# Tags of TIFF files.
DNG_VERSION, SUBFILE_TYPE, SUB_DIRECTORIES = 50706, 254, 330
MAX_GARBAGE_BYTES = 1 << 10
# Sizes in binary headers have at most 32 bits; the text formats can declare numbers of any length.
MAX_SIDE = 2**32 - 1


@dataclass(frozen=True)
class ImageHeader:
    """Properties of an encoded image.

    Attributes:
        format: "jpeg", "png", "gif", "bmp", "tiff", "webp", "avif", "jp2", "pnm", "pfm", "hdr" or "sun".
        width, height: size in pixels before the orientation is applied; for animations, the largest of canvas and
            first frame.
        orientation: EXIF orientation, 1 to 8, that remains to be applied to the decoded image.
        coefficient_bytes: memory per pixel that a decoder needs in addition, whatever the reduction.
        is_scalable: True if the decoder can reduce the size while it decodes (JPEG).
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    coefficient_bytes: float = 0.0
    is_scalable: bool = False

    @property
    def pixels(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    def memory_bytes(self, reduction: int = 1) -> int:
        """Return an estimate of the peak memory for decoding, at 1 / ``reduction`` of width and height."""
        if self.is_scalable and reduction > 1:
            per_pixel = REDUCED_BYTES_PER_PIXEL / reduction**2
        else:
            per_pixel = BYTES_PER_PIXEL.get(self.format, DEFAULT_BYTES_PER_PIXEL)
        return round(self.pixels * (per_pixel + self.coefficient_bytes))


def memory_limit(*, root: Path = Path("/")) -> int:
    """Return the largest estimate of memory for decoding, in bytes.

    It is MAX_MEMORY_BYTES, or three quarters of the available memory on a board or in a container with less.

    Args:
        root: root of the file system, for tests.
    """
    available = [MAX_MEMORY_BYTES / MEMORY_SHARE]
    match = re.search(r"^MemAvailable:\s*(\d+) kB$", _read_text(root / "proc/meminfo"), re.MULTILINE)
    if match:
        available.append(int(match[1]) * 1024)
    for limit, statistics, name in GROUP_MEMORY:
        group = root / "sys/fs/cgroup"
        text = _read_text(group / limit).strip()
        # The limit is "max" in version 2, and a number beyond any memory in version 1, if there is none.
        used = re.search(rf"^{name} (\d+)$", _read_text(group / statistics), re.MULTILINE) if text.isdecimal() else None
        if used:
            available.append(max(0, int(text) - int(used[1])))
    return int(min(available) * MEMORY_SHARE)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def read_header(stream: BinaryIO) -> ImageHeader | None:
    """Return the header of an image; None for damaged headers and for formats that OpenCV does not decode.

    Args:
        stream: seekable file, positioned anywhere.
    """
    stream.seek(0)
    name = image_format(stream.read(START_BYTES))
    if name is None:
        return None
    try:
        header = READERS[name](stream)
    except (struct.error, ValueError, LookupError, ArithmeticError):
        return None
    if header is None or not (0 < header.width <= MAX_SIDE and 0 < header.height <= MAX_SIDE):
        return None
    return header


def _orientation_of(exif: bytes) -> int:
    (value, *_) = read_tags(io.BytesIO(exif)).get(ORIENTATION, (1,))
    return value if 1 <= value <= 8 else 1


def _jpeg(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(2)
    orientation = None
    for _ in range(MAX_SEGMENTS):
        # Decoders skip garbage and fill bytes before a marker.
        position, chunk = stream.tell(), stream.read(MAX_GARBAGE_BYTES)
        match = re.search(rb"\xff+([^\xff])", chunk, re.DOTALL)
        if match is None or match[1] in (b"\xd9", b"\xda"):
            return None
        marker = match[1][0]
        stream.seek(position + match.end())
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            continue
        (length,) = struct.unpack(">H", stream.read(2))
        place = stream.tell()
        if marker == 0xE1 and orientation is None and stream.read(6) == b"Exif\0\0":
            orientation = _orientation_of(stream.read(min(length, MAX_EXIF_BYTES)))
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            _, height, width, components = struct.unpack(">BHHB", stream.read(6))
            factors = [(value >> 4, value & 15) for _, value, _ in _triples(stream.read(3 * components))]
            # Sequential decoders keep one row of blocks, all others the coefficients of the whole image, 2 bytes each.
            coefficient_bytes = 0.0 if marker in (0xC0, 0xC1) else 2 * _samples_per_pixel(factors)
            return ImageHeader("jpeg", width, height, orientation or 1, coefficient_bytes, is_scalable=True)
        stream.seek(place + length - 2)
    return None


def _triples(content: bytes) -> list[tuple[int, int, int]]:
    return [(content[at], content[at + 1], content[at + 2]) for at in range(0, len(content) - 2, 3)]


def _samples_per_pixel(factors: list[tuple[int, int]]) -> float:
    """Return the number of samples per pixel of components with sampling factors (horizontal, vertical)."""
    widest, tallest = max(factor[0] for factor in factors), max(factor[1] for factor in factors)
    return sum(horizontal * vertical for horizontal, vertical in factors) / (widest * tallest)


def _png(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(16)
    width, height = struct.unpack(">II", stream.read(8))
    orientation, place = 1, 8
    for _ in range(MAX_SEGMENTS):
        stream.seek(place)
        head = stream.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            break
        (length,) = struct.unpack(">I", head[:4])
        if head[4:] == b"eXIf":
            orientation = _orientation_of(stream.read(min(length, MAX_EXIF_BYTES)))
            break
        place += length + 12
    return ImageHeader("png", width, height, orientation)


def _gif(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(6)
    width, height, flags = struct.unpack("<HHB", stream.read(5))
    stream.seek(13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0))
    for _ in range(MAX_SEGMENTS):
        kind = stream.read(1)
        if kind == b",":
            left, top, frame_width, frame_height = struct.unpack("<HHHH", stream.read(8))
            width, height = max(width, left + frame_width), max(height, top + frame_height)
            break
        if kind != b"!":
            break
        stream.read(1)
        while (size := stream.read(1)) not in (b"", b"\0"):
            stream.seek(size[0], io.SEEK_CUR)
    return ImageHeader("gif", width, height)


def _bmp(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(14)
    (size,) = struct.unpack("<I", stream.read(4))
    width, height = struct.unpack("<HH", stream.read(4)) if size == 12 else struct.unpack("<ii", stream.read(8))
    return ImageHeader("bmp", abs(width), abs(height))


def is_camera_raw(stream: BinaryIO) -> bool:
    """Return True for a TIFF file with the data of a camera's sensor, whose first image is only a thumbnail."""
    tags = read_tags(stream)
    is_thumbnail = bool(tags.get(SUBFILE_TYPE, (0,))[0] & 1) and SUB_DIRECTORIES in tags
    stream.seek(8)
    return bool(tags) and (DNG_VERSION in tags or is_thumbnail or stream.read(2) == b"CR")


def _tiff(stream: BinaryIO) -> ImageHeader | None:
    if is_camera_raw(stream):
        return None
    tags = read_tags(stream)
    width, height, samples = tags.get(256, (0,))[0], tags.get(257, (0,))[0], tags.get(277, (1,))[0]
    # The decoder holds one tile or strip as it is stored; either may be larger than the image.
    tile = tags.get(322, (width,))[0] * tags.get(323, (min(tags.get(278, (height,))[0], height),))[0]
    bytes_per_sample = max(tags.get(258, (1,))) / 8
    stored = max(1.0, samples * bytes_per_sample) * tile / max(1, width * height)
    # OpenCV always applies the orientation of a TIFF file itself.
    return ImageHeader("tiff", width, height, 1, stored)


def _webp(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(0, io.SEEK_END)
    end, place, orientation = stream.tell(), 12, 1
    width = height = 0
    while place + 8 <= end:
        stream.seek(place)
        name, length = struct.unpack("<4sI", stream.read(8))
        head = stream.read(26)
        if name == b"VP8X":
            width, height = _uint24(head, 4), _uint24(head, 7)
        elif name == b"ANMF":
            # The size of the frame, and the size in the bitstream behind it.
            width, height = max(width, _uint24(head, 6)), max(height, _uint24(head, 9))
            inner = _webp_frame(head[16:20], head[24:] + stream.read(8))
            width, height = max(width, inner[0]), max(height, inner[1])
        elif name in (b"VP8 ", b"VP8L"):
            inner = _webp_frame(name, head)
            width, height = max(width, inner[0]), max(height, inner[1])
        elif name == b"EXIF":
            stream.seek(place + 8)
            exif = stream.read(min(length, MAX_EXIF_BYTES))
            orientation = _orientation_of(exif.removeprefix(b"Exif\0\0"))
        place += 8 + length + (length & 1)
    return ImageHeader("webp", width, height, orientation)


def _uint24(content: bytes, place: int) -> int:
    return int.from_bytes(content[place : place + 3], "little") + 1


def _webp_frame(name: bytes, content: bytes) -> tuple[int, int]:
    """Return the size in the bitstream of a lossy or lossless frame."""
    if name == b"VP8L" and content[:1] == b"\x2f":
        bits = int.from_bytes(content[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if name == b"VP8 " and content[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<HH", content[6:10])
        return width & 0x3FFF, height & 0x3FFF
    return 0, 0


def _avif(stream: BinaryIO) -> ImageHeader | None:
    size = read_avif(stream, stream.seek(0, io.SEEK_END))
    return None if size is None else ImageHeader("avif", *size)


def _jp2(stream: BinaryIO) -> ImageHeader | None:
    return _jpeg2000(read_jp2(stream, stream.seek(0, io.SEEK_END)))


def _j2k(stream: BinaryIO) -> ImageHeader | None:
    return _jpeg2000(read_codestream(stream, 0))


def _jpeg2000(size: tuple[int, int, int] | None) -> ImageHeader | None:
    # The decoder keeps 4 bytes per sample; three components are in the measured value.
    return None if size is None else ImageHeader("jp2", size[0], size[1], 1, 4.0 * max(0, size[2] - 3))


def _pnm(stream: BinaryIO) -> ImageHeader | None:
    width, height = _numbers(stream, 2, 2)
    return ImageHeader("pnm", width, height)


def _pam(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(0)
    head = stream.read(MAX_TEXT_BYTES).partition(b"ENDHDR")[0]
    fields = dict(re.findall(rb"^(WIDTH|HEIGHT|DEPTH)\s+(\d+)", head, re.MULTILINE))
    extra = max(0, int(fields.get(b"DEPTH", b"3")) - 3)
    return (
        ImageHeader("pnm", int(fields[b"WIDTH"]), int(fields[b"HEIGHT"]), 1, 2.0 * extra) if len(fields) > 1 else None
    )


def _pfm(stream: BinaryIO) -> ImageHeader | None:
    width, height = _numbers(stream, 2, 2)
    return ImageHeader("pfm", width, height, 1, 12.0)


def _numbers(stream: BinaryIO, start: int, count: int) -> list[int]:
    """Return the first numbers of a text header, without its comments."""
    stream.seek(start)
    words = re.sub(rb"#[^\r\n]*", b" ", stream.read(MAX_TEXT_BYTES)).split(maxsplit=count)
    return [int(word) for word in words[:count]]


def _hdr(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(0)
    match = re.search(rb"\n[-+]([XY])\s+(\d+)\s+[-+][XY]\s+(\d+)", stream.read(MAX_TEXT_BYTES))
    return ImageHeader("hdr", int(match[3]), int(match[2]), 1, 12.0) if match else None


def _sun(stream: BinaryIO) -> ImageHeader | None:
    stream.seek(4)
    return ImageHeader("sun", *struct.unpack(">II", stream.read(8)))


# By the names of image_format().
READERS: dict[str, Callable[[BinaryIO], ImageHeader | None]] = {
    "jpeg": _jpeg, "png": _png, "gif": _gif, "bmp": _bmp, "tiff": _tiff, "webp": _webp, "avif": _avif, "jp2": _jp2,
    "j2k": _j2k, "pnm": _pnm, "pam": _pam, "pfm": _pfm, "hdr": _hdr, "sun": _sun,
}  # fmt: skip
