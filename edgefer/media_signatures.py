"""Recognize image and video formats by the first bytes of a file.

    image_format(start)                             # "png", a format that OpenCV decodes
    unsupported_image(start)                        # "HEIC", a format that OpenCV does not decode
    video_format(start)                             # "Matroska"

Each function returns None for all other content. START_BYTES bytes are enough for all formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["START_BYTES", "image_format", "unsupported_image", "video_format"]

START_BYTES = 4096
# Sizes of the versions of the BMP header; "BM" alone may begin a text.
BMP_HEADER_BYTES = {12, 16, 40, 52, 56, 64, 108, 124}
AVIF_BRANDS = {b"avif", b"avis"}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}
AUDIO_BRANDS = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "}
# Boxes that begin a QuickTime file without a file type box.
QUICKTIME_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
# Packets of an MPEG transport stream: sync byte, distance, and time stamps of 4 bytes before packets of cameras.
SYNC, PACKET_BYTES, STAMP_BYTES = 0x47, 188, 4

IMAGES: dict[str, Callable[[bytes], bool]] = {
    "jpeg": lambda start: start.startswith(b"\xff\xd8\xff"),
    "png": lambda start: start.startswith(b"\x89PNG\r\n\x1a\n"),
    "gif": lambda start: start.startswith((b"GIF87a", b"GIF89a")),
    "bmp": lambda start: start.startswith(b"BM") and int.from_bytes(start[14:18], "little") in BMP_HEADER_BYTES,
    "tiff": lambda start: start.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    "webp": lambda start: start.startswith(b"RIFF") and start[8:12] == b"WEBP",
    "avif": lambda start: bool(AVIF_BRANDS & set(_brands(start))),
    "jp2": lambda start: start.startswith(b"\0\0\0\x0cjP  \r\n\x87\n"),
    "j2k": lambda start: start.startswith(b"\xff\x4f\xff\x51"),
    "pnm": lambda start: re.match(rb"P[1-6]\s", start) is not None,
    "pam": lambda start: start.startswith(b"P7\n"),
    "pfm": lambda start: re.match(rb"P[Ff]\s", start) is not None,
    "hdr": lambda start: start.startswith((b"#?RADIANCE", b"#?RGBE")),
    "sun": lambda start: start.startswith(b"\x59\xa6\x6a\x95"),
}
UNSUPPORTED_IMAGES = (
    (b"\xff\x0a", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"), (b"8BPS", "Photoshop"), (b"gimp xcf", "GIMP"),
    (b"\x76\x2f\x31\x01", "OpenEXR"), (b"qoif", "QOI"), (b"DDS ", "DDS"), (b"BPG\xfb", "BPG"), (b"FOVb", "camera raw"),
    (b"FUJIFILMCCD-RAW", "camera raw"), (b"IIRO", "camera raw"), (b"IIRS", "camera raw"), (b"MMOR", "camera raw"),
    (b"IIU\0", "camera raw"), (b"\0MRM", "camera raw"), (b"II\xbc", "JPEG XR"),
)  # fmt: skip
VIDEOS = (
    (b"\x1aE\xdf\xa3", "Matroska"), (b"FLV\x01", "Flash video"), (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
    (b"\0\0\x01\xba", "MPEG"), (b"\0\0\x01\xb3", "MPEG"), (b"YUV4MPEG2 ", "YUV4MPEG2"), (b"DKIF", "IVF"),
    (b".RMF", "RealMedia"), (b"\x06\x0e\x2b\x34", "MXF"), (b"\0\0\0\x01\x67", "H.264"), (b"\0\0\0\x01\x27", "H.264"),
    (b"\0\0\0\x01\x40", "H.265"), (b"\0\0\0\x01\x09", "H.264"),
)  # fmt: skip


def image_format(start: bytes) -> str | None:
    """Return the format of an image that OpenCV decodes, a key of IMAGES."""
    return next((name for name, matches in IMAGES.items() if matches(start)), None)


def unsupported_image(start: bytes) -> str | None:
    """Return the format of an image that OpenCV does not decode.

    Camera raw files in TIFF containers are not recognized: their first bytes are those of other TIFF files.
    """
    brands = _brands(start)
    if brands[:1] == [b"crx "]:
        return "camera raw"
    if HEIF_BRANDS & set(brands[:1]) and not AVIF_BRANDS & set(brands):
        return "HEIC"
    return next((name for mark, name in UNSUPPORTED_IMAGES if start.startswith(mark)), None)


def video_format(start: bytes) -> str | None:
    """Return the format of a video; the content of images may match too, so image_format() takes precedence."""
    brands = _brands(start)
    if brands:
        return None if brands[0] in AUDIO_BRANDS else "MP4"
    if start[4:8] in QUICKTIME_BOXES:
        return "QuickTime"
    if start.startswith(b"RIFF") and start[8:11] == b"AVI":
        return "AVI"
    if start.startswith(b"OggS") and b"theora" in start:
        return "Ogg"
    for first, distance in ((0, PACKET_BYTES), (STAMP_BYTES, PACKET_BYTES + STAMP_BYTES)):
        syncs = start[first : first + 3 * distance : distance]
        if syncs == bytes([SYNC] * 3):
            return "MPEG-TS"
    return next((name for mark, name in VIDEOS if start.startswith(mark)), None)


def _brands(start: bytes) -> list[bytes]:
    """Return the brands in the file type box at the start of a file, the major brand first."""
    if start[4:8] != b"ftyp":
        return []
    content = start[8 : int.from_bytes(start[:4], "big")]
    return [content[at : at + 4] for at in range(0, len(content), 4) if at != 4]
