"""Recognize images and videos by their content; names are consulted only where the content is damaged.

media_type(Path("IMG_0001"))                    # MediaType("image", "AVIF"), by the first bytes
is_media(Path("broken.jpg"))                    # True: the name promises a picture
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgefer.contract.image_header import is_camera_raw, read_header

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "MediaType", "is_media", "media_type"]

START_BYTES = 4096
MOTION_JPEG = {".mjpeg", ".mjpg"}
AUDIO = {".wma", ".weba", ".mka", ".oga", ".ogg", ".opus", ".m4a", ".m4b", ".aac"}
IMAGE_SUFFIXES = {
    ".3fr", ".arw", ".avif", ".bmp", ".cr2", ".cr3", ".dib", ".dng", ".exr", ".gif", ".hdr", ".heic", ".heics", ".heif",
    ".hif", ".j2k", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".jxl", ".nef", ".orf", ".pam", ".pbm", ".pef", ".pfm",
    ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".raf", ".rw2", ".sr", ".srw", ".tga", ".tif", ".tiff", ".webp",
    ".x3f", ".xcf",
}  # fmt: skip
# Not .ts, which source code in TypeScript has too; a transport stream is recognized by its content.
VIDEO_SUFFIXES = {
    ".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".flv", ".h264", ".h265", ".hevc", ".m2ts", ".m4v", ".mjpeg",
    ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".vob", ".webm", ".wmv", ".y4m",
}  # fmt: skip

HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"mif2", b"msf1"}
AUDIO_BRANDS = {b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "}
# Boxes that begin a QuickTime file without a file type box.
QUICKTIME_BOXES = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
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
# Packets of an MPEG transport stream: sync byte, distance, and time stamps of 4 bytes before packets of cameras.
SYNC, PACKET_BYTES, STAMP_BYTES = 0x47, 188, 4


@dataclass(frozen=True)
class MediaType:
    """Format of a file.

    Attributes:
        kind: "image", "video", or "unsupported" for an image in a format that OpenCV does not decode.
        name: name of the format.
    """

    kind: Literal["image", "video", "unsupported"]
    name: str


def media_type(path: Path) -> MediaType | None:
    """Return the format of a file by its content; None for other files and for all that is no regular file.

    Raises:
        OSError: the file cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as stream:
        start = stream.read(START_BYTES)
        if (name := _unsupported_image(start)) is not None:
            return MediaType("unsupported", name)
        if start.startswith((b"II*\0", b"MM\0*")) and is_camera_raw(stream):
            return MediaType("unsupported", "camera raw")
        header = read_header(stream)
    suffix = path.suffix.lower()
    if header is not None and not (header.format == "jpeg" and suffix in MOTION_JPEG):
        return MediaType("image", header.format)
    name = "Motion JPEG" if header is not None else _video(start)
    return None if name is None or suffix in AUDIO else MediaType("video", name)


def is_media(path: Path) -> bool:
    """Return True for images and videos, and for files whose name promises one: their error is reported."""
    if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return True
    try:
        return media_type(path) is not None
    except OSError:
        return False


def _brands(start: bytes) -> list[bytes]:
    """Return the brands in the file type box at the start of a file, the major brand first."""
    if start[4:8] != b"ftyp":
        return []
    content = start[8 : int.from_bytes(start[:4], "big")]
    return [content[at : at + 4] for at in range(0, len(content), 4) if at != 4]


def _unsupported_image(start: bytes) -> str | None:
    brands = _brands(start)
    if brands[:1] == [b"crx "]:
        return "camera raw"
    if HEIF_BRANDS & set(brands[:1]) and not {b"avif", b"avis"} & set(brands):
        return "HEIC"
    return next((name for mark, name in UNSUPPORTED_IMAGES if start.startswith(mark)), None)


def _video(start: bytes) -> str | None:
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
