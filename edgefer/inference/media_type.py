"""Recognize images and videos by their content; names matter only if the content is damaged.

    media_type(Path("IMG_0001"))                    # MediaType("image", "AVIF"), by the first bytes
    is_media(Path("broken.jpg"))                    # True: the name promises a picture
"""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgefer.contract.image_header import is_camera_raw, read_header
from edgefer.media_signatures import START_BYTES, unsupported_image, video_format

__all__ = ["IMAGE_SUFFIXES", "VIDEO_SUFFIXES", "MediaType", "is_media", "media_type"]

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
    """Return the format of a file by its content; None for other formats and for anything but a regular file.

    Raises:
        OSError: the file cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        return None
    with path.open("rb") as stream:
        start = stream.read(START_BYTES)
        if (name := unsupported_image(start)) is not None:
            return MediaType("unsupported", name)
        if start.startswith((b"II*\0", b"MM\0*")) and is_camera_raw(stream):
            return MediaType("unsupported", "camera raw")
        header = read_header(stream)
    suffix = path.suffix.lower()
    if header is not None and not (header.format == "jpeg" and suffix in MOTION_JPEG):
        return MediaType("image", header.format)
    name = "Motion JPEG" if header is not None else video_format(start)
    return None if name is None or suffix in AUDIO else MediaType("video", name)


def is_media(path: Path) -> bool:
    """Return True for images and videos, and for files with such a suffix, whose errors are reported."""
    if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        return True
    try:
        return media_type(path) is not None
    except OSError:
        return False
