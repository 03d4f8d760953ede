"""Encode pictures and videos in every format that OpenCV reads, and change their structure.

    content = encode(face, "png", rng)              # PNG, of a random variant
    content = change(content, "png", rng)           # chunks and sizes that contradict each other, with valid checksums
"""

from __future__ import annotations

import functools
import random
import struct
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

__all__ = ["FORMATS", "SIZES", "VIDEOS", "add_exif", "bomb", "change", "encode", "exif"]

FORMATS = ("jpeg", "png", "gif", "bmp", "tiff", "webp", "avif", "pnm", "pfm", "hdr", "sun", "jp2")
VIDEOS = {"mp4": "mp4v", "avi": "MJPG", "mkv": "VP90"}
SIZES = (0, 1, 2, 7, 48, 255, 4096, 20_000, 32_767, 65_535, 65_536, 10**6, 2**31 - 1, 2**31, 2**32 - 1)
# Size, depth, compression, strips, samples, tiles and sub-directories.
TIFF_TAGS = (256, 257, 258, 259, 262, 273, 277, 278, 279, 322, 323, 324, 330)
Image = np.ndarray


def encode(image: Image, name: str, rng: random.Random) -> bytes:
    """Encode uint8 BGR (h, w, 3) in a random variant of the format ``name``."""
    if name in VIDEOS:
        return _video(name)
    if name == "pnm":
        return _pnm(image, rng)
    if name in ("pfm", "hdr"):
        return _imencode(f".{name}", image.astype(np.float32) / 255)
    suffix, variants = VARIANTS[name]
    flags = rng.choice(variants)
    if name == "png":
        image = rng.choice((image, image[..., 0], image.astype(np.uint16) * 257, np.dstack([image, image[..., 0]])))
    elif name == "tiff":
        image = rng.choice((image, image[..., 0], image.astype(np.uint16), image.astype(np.float32)))
        if image.dtype != np.uint8:
            flags = ()
    return _imencode(suffix, image, flags)


VARIANTS: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "jpeg": (".jpg", ((), (), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 2))),
    "png": (".png", ((),)),
    "gif": (".gif", ((),)),
    "bmp": (".bmp", ((),)),
    "tiff": (".tiff", tuple((cv2.IMWRITE_TIFF_COMPRESSION, method) for method in (1, 5, 8, 32773))),
    "webp": (".webp", ((), (cv2.IMWRITE_WEBP_QUALITY, 60))),
    "avif": (".avif", ((cv2.IMWRITE_AVIF_SPEED, 9),)),
    "sun": (".ras", ((),)),
    "jp2": (".jp2", ((),)),
}


def _imencode(suffix: str, image: Image, flags: tuple[int, ...] = ()) -> bytes:
    return cv2.imencode(suffix, image, flags)[1].tobytes()


@functools.cache
def _video(suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/video.{suffix}"
        writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*VIDEOS[suffix]), 5, (64, 64))
        for shade in (0, 80, 160):
            writer.write(np.full((64, 64, 3), shade, np.uint8))
        writer.release()
        return Path(path).read_bytes()


def _pnm(image: Image, rng: random.Random) -> bytes:
    height, width, _ = image.shape
    gray, comment = image[..., 0], rng.choice((b"", b"# comment\n", b"#" + b"x" * 3000 + b"\n"))
    size, numbers = b"%d %d\n" % (width, height), b" ".join(b"%d" % value for value in gray.ravel())
    bits = np.packbits(gray > 127, axis=1).tobytes()
    tuples = b"WIDTH %d\nHEIGHT %d\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\n" % (width, height)
    return rng.choice(
        (
            b"P1\n" + comment + size + b" ".join(b"%d" % (value > 127) for value in gray.ravel()),
            b"P2\n" + comment + size + b"255\n" + numbers,
            b"P3\n" + comment + size + b"255\n" + numbers + b" " + numbers + b" " + numbers,
            b"P4\n" + comment + size + bits,
            b"P5\n" + comment + size + b"255\n" + gray.tobytes(),
            b"P6\n" + comment + size + b"255\n" + image.tobytes(),
            b"P6\n" + comment + size + b"65535\n" + image.astype(">u2").tobytes(),
            b"P7\n" + comment + tuples + image.tobytes(),
        )
    )


# EXIF


def exif(rng: random.Random) -> bytes:
    """Return a TIFF structure of random tags, in which offsets, counts and types are often wrong."""
    order = rng.choice("<>")
    tags = []
    for _ in range(rng.choice((0, 1, 3, 40))):
        tag = rng.choice((0x0112, 0x0112, 0x8769, 0x8825, 0x014A, 0x0100, 0x0101, rng.randrange(65_536)))
        kind, count = rng.choice((3, 3, 4, 1, 2, 5, 13, 0, 99)), rng.choice((1, 1, 1, 0, 2, 1000, 2**31, 2**32 - 1))
        value = rng.choice((0, 1, 3, 6, 8, 9, 26, 0xFFFF, 0xFFFFFFFF))
        short = struct.pack(f"{order}HH", value & 0xFFFF, 0)
        tags.append(
            struct.pack(f"{order}HHI", tag, kind, count) + (short if kind == 3 else struct.pack(f"{order}I", value))
        )
    count = rng.choice((len(tags), len(tags), 0xFFFF))
    following = rng.choice((0, 0, 8, 0xFFFFFFF0))
    offset = rng.choice((8, 8, 8, 0, 7, 0xFFFFFFFF))
    header = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", offset)
    return header + struct.pack(f"{order}H", count) + b"".join(tags) + struct.pack(f"{order}I", following)


def add_exif(content: bytes, name: str, rng: random.Random) -> bytes:
    """Add a damaged EXIF block to a JPEG, PNG or WebP."""
    block = exif(rng)
    if name == "jpeg":
        length = rng.choice((len(block) + 8, len(block) + 8, 0, 1, 0xFFFF))
        return content[:2] + b"\xff\xe1" + struct.pack(">H", length) + b"Exif\0\0" + block + content[2:]
    if name == "png":
        return content[:33] + _png_chunk(b"eXIf", block) + content[33:]
    if name == "webp":
        extended = (b"VP8X", b"\x08\0\0\0" + b"\x2f\0\0" * 2)
        return _webp([extended, *_webp_chunks(content), (b"EXIF", block + b"\0" * (len(block) % 2))])
    return block + content


# Structure


def change(content: bytes, name: str, rng: random.Random) -> bytes:
    """Change sizes, chunks or segments of an encoded picture so that a decoder reaches them."""
    if name in CHANGES:
        return CHANGES[name](content, rng)
    # Sizes and offsets are in the first bytes of the other formats.
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(min(max(len(data) - 4, 1), 400))
        struct.pack_into(rng.choice("<>") + "I", data, place, rng.choice(SIZES) & 0xFFFFFFFF)
    return bytes(data)


def _png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 8
    while place + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    return chunks


def _change_png(content: bytes, rng: random.Random) -> bytes:
    chunks = _png_chunks(content)
    kind = rng.randrange(7)
    if kind < 3:
        header = bytearray(chunks[0][1])
        if kind == 0:
            struct.pack_into(">I", header, rng.choice((0, 4)), rng.choice(SIZES))
        elif kind == 1:
            struct.pack_into(">II", header, 0, rng.choice(SIZES), rng.choice(SIZES))
        else:
            header[rng.randrange(8, 13)] = rng.choice((0, 1, 2, 3, 4, 6, 8, 16, 255))
        chunks[0] = (b"IHDR", bytes(header))
    elif kind == 3:
        rng.shuffle(chunks)
    elif kind == 4:
        chunks.insert(rng.randrange(1, len(chunks)), rng.choice(chunks))
    elif kind == 5:
        del chunks[rng.randrange(len(chunks))]
    else:
        packed = zlib.compress(bytes(rng.choice((10, 2**22))))
        extra = rng.choice(
            (
                (b"zTXt", b"Comment\0\0" + packed), (b"iCCP", b"profile\0\0" + packed),
                (b"iTXt", b"k\0\1\0\0\0" + packed),
                (b"PLTE", bytes(rng.randrange(800))), (b"tRNS", bytes(rng.randrange(300))), (b"acTL", b"\xff" * 8),
                (b"fcTL", struct.pack(">5I2H2B", 0, 2**31 - 1, 2**31 - 1, 0, 0, 1, 1, 0, 0)), (b"gAMA", bytes(4)),
                (b"\x1b[2J", bytes(9)), (b"eXIf", exif(rng)), (b"cHRM", b"\xff" * 32), (b"sBIT", bytes(1)),
            )
        )  # fmt: skip
        chunks[1:1] = [extra] * rng.choice((1, 1, 2, 2000))
    return content[:8] + b"".join(_png_chunk(*chunk) for chunk in chunks)


def _jpeg_segments(content: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """Return the segments before the first scan, and the rest of the file."""
    segments, place = [], 2
    while content[place + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", content, place + 2)
        segments.append((content[place + 1], content[place + 4 : place + 2 + length]))
        place += 2 + length
    return segments, content[place:]


def _change_jpeg(content: bytes, rng: random.Random) -> bytes:
    segments, scans = _jpeg_segments(content)
    kind = rng.randrange(7)
    frame = next(index for index, (marker, _) in enumerate(segments) if 0xC0 <= marker <= 0xC2)
    if kind < 3:
        marker, header = segments[frame][0], bytearray(segments[frame][1])
        if kind == 0:
            struct.pack_into(">HH", header, 1, *(rng.choice(SIZES) & 0xFFFF for _ in range(2)))
        elif kind == 1:
            header[rng.randrange(len(header))] = rng.choice((0, 1, 4, 0x11, 0x14, 0x41, 0x44, 255))
        else:
            marker = rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCF))
        segments[frame] = (marker, bytes(header))
    elif kind == 3:
        rng.shuffle(segments)
    elif kind == 4:
        # Every scan of a progressive JPEG visits all its blocks.
        scans *= rng.choice((2, 50, 1000))
    elif kind == 5:
        extra = (rng.choice((0xE0, 0xE1, 0xE2, 0xED, 0xFE, 0xDB, 0xC4, 0xDD)), bytes(rng.choice((0, 1, 64, 60_000))))
        segments[rng.randrange(len(segments) + 1) : 0] = [extra] * rng.choice((1, 20))
    else:
        del segments[rng.randrange(len(segments))]
    head = b"".join(b"\xff" + bytes([marker]) + struct.pack(">H", len(part) + 2) + part for marker, part in segments)
    return content[:2] + head + scans


def _change_gif(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    kind = rng.randrange(5)
    frame = data.find(b"\x2c")
    if kind == 0:
        struct.pack_into("<HH", data, 6, *(rng.choice(SIZES) & 0xFFFF for _ in range(2)))
    elif kind == 1 and frame > 0:
        struct.pack_into("<4H", data, frame + 1, *(rng.choice(SIZES) & 0xFFFF for _ in range(4)))
    elif kind == 2 and frame > 0:
        data[frame + 9 : frame + 11] = bytes([rng.randrange(256), rng.choice((0, 1, 8, 12, 13, 255))])
    elif kind == 3 and frame > 0:
        data[frame:-1] = data[frame:-1] * rng.choice((2, 30, 300))
    else:
        data[10] = rng.randrange(256)
    return bytes(data)


def _change_bmp(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    place, form, values = rng.choice(
        (
            (18, "<i", SIZES), (22, "<i", (*SIZES, -1, -48, -(2**31))), (28, "<H", (0, 1, 2, 4, 8, 16, 24, 32, 255)),
            (30, "<I", (0, 1, 2, 3, 4, 5, 99)), (10, "<I", SIZES), (14, "<I", (12, 16, 40, 56, 108, 124, 2**31)),
            (46, "<I", SIZES), (34, "<I", SIZES),
        )
    )  # fmt: skip
    bits = struct.calcsize(form) * 8
    struct.pack_into(form.upper(), data, place, rng.choice(values) & (2**bits - 1))
    if rng.random() < 0.3:
        struct.pack_into("<HI", data, 28, *rng.choice(((8, 1), (4, 2), (16, 3), (32, 3), (24, 0))))
    return bytes(data)


def _change_tiff(content: bytes, rng: random.Random) -> bytes:
    data = bytearray(content)
    (place,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, place)
    for _ in range(rng.choice((1, 1, 2, 4))):
        entry = place + 2 + 12 * rng.randrange(count)
        kind = rng.randrange(4)
        if kind == 0:
            struct.pack_into("<H", data, entry, rng.choice(TIFF_TAGS))
        elif kind == 1:
            struct.pack_into("<H", data, entry + 2, rng.choice((0, 1, 2, 3, 4, 5, 12, 13, 16)))
        elif kind == 2:
            struct.pack_into("<I", data, entry + 4, rng.choice(SIZES) & 0xFFFFFFFF)
        else:
            value = rng.choice((*SIZES, 5, 6, 8, 32_773, 34_712, place))
            struct.pack_into("<I", data, entry + 8, value & 0xFFFFFFFF)
    if rng.random() < 0.2:
        # A directory that follows itself.
        struct.pack_into("<I", data, place + 2 + 12 * count, rng.choice((place, 4, 2**32 - 1)))
    return bytes(data)


def _webp_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    chunks, place = [], 12
    while place + 8 <= len(content):
        (length,) = struct.unpack_from("<I", content, place + 4)
        chunks.append((content[place : place + 4], content[place + 8 : place + 8 + length + length % 2]))
        place += 8 + length + length % 2
    return chunks


def _webp(chunks: list[tuple[bytes, bytes]]) -> bytes:
    body = b"".join(name + struct.pack("<I", len(part)) + part for name, part in chunks)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _change_webp(content: bytes, rng: random.Random) -> bytes:
    chunks = _webp_chunks(content)
    kind = rng.randrange(5)
    canvas = b"".join(struct.pack("<I", rng.choice(SIZES) & 0xFFFFFF)[:3] for _ in range(2))
    if kind == 0:
        chunks.insert(0, (b"VP8X", bytes([rng.randrange(256), 0, 0, 0]) + canvas))
    elif kind == 1:
        name, part = chunks[-1]
        data = bytearray(part)
        # The size is in the first ten bytes of both kinds of bitstream.
        data[rng.randrange(min(len(data), 10))] = rng.randrange(256)
        chunks[-1] = (name, bytes(data))
    elif kind == 2:
        frame = struct.pack("<I", rng.choice(SIZES) & 0xFFFFFF)[:3] * 4 + b"\1\0\0\0"
        name, part = chunks[-1]
        inner = frame + name + struct.pack("<I", len(part)) + part
        chunks = [(b"VP8X", b"\x02\0\0\0" + canvas), (b"ANIM", bytes(6)), *[(b"ANMF", inner)] * rng.choice((1, 3, 50))]
    elif kind == 3:
        chunks = chunks * rng.choice((2, 100))
    else:
        rng.shuffle(chunks)
        chunks.insert(0, (b"ICCP", bytes(rng.choice((0, 2, 2**20)))))
    return _webp(chunks)


def _change_boxes(content: bytes, rng: random.Random) -> bytes:
    """Change a box of an AVIF, a JPEG 2000 or an MP4: its length, or a size in it."""
    data = bytearray(content)
    names = [
        name for name in (b"ispe", b"ihdr", b"ftyp", b"meta", b"iloc", b"iprp", b"av1C", b"pixi", b"jp2c", b"moov",
                          b"stsz", b"stco", b"stsc", b"tkhd", b"mdhd", b"stsd", b"avcC", b"mp4v", b"mdat", b"irot")
        if name in data
    ]  # fmt: skip
    for _ in range(rng.choice((1, 1, 2))):
        place = data.find(rng.choice(names)) + (rng.choice((-4, 0, 4, 8, 12, 16, 20)))
        if 0 <= place <= len(data) - 4:
            struct.pack_into(">I", data, place, rng.choice(SIZES) & 0xFFFFFFFF)
    return bytes(data)


def _change_text(content: bytes, rng: random.Random) -> bytes:
    """Change a number or a line in the text at the start of a PNM, PFM or HDR."""
    head, rest = content[:80], content[80:]
    digits = [place for place in range(2, len(head)) if head[place : place + 1].isdigit()]
    numbers = (b"0", b"-1", b"65536", b"99999", b"4294967297", b"9" * 400, b"1e9", b"nan", b" ", b"\0", b"\n#\n")
    if not digits:
        return content
    place = rng.choice(digits)
    return head[:place] + rng.choice(numbers) + head[place + rng.choice((0, 1, 2)) :] + rest


CHANGES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "jpeg": _change_jpeg, "png": _change_png, "gif": _change_gif, "bmp": _change_bmp, "tiff": _change_tiff,
    "webp": _change_webp, "avif": _change_boxes, "jp2": _change_boxes, "mp4": _change_boxes, "pnm": _change_text,
    "pfm": _change_text, "hdr": _change_text,
}  # fmt: skip


# Bombs: few bytes that decode to many pixels


@functools.cache
def bomb(name: str, side: int) -> bytes:
    """Return a valid picture of ``side`` x ``side`` pixels of one color, a fraction of its size in memory."""
    if name == "png":
        line = b"\0" * (1 + side)
        compressor = zlib.compressobj(1)
        rows = b"".join([*(compressor.compress(line) for _ in range(side)), compressor.flush()])
        header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + b"".join(
            _png_chunk(*chunk) for chunk in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b""))
        )
    flags = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1) if name == "progressive" else ()
    return _imencode(".jpg" if name == "progressive" else f".{name}", np.zeros((side, side, 3), np.uint8), flags)
