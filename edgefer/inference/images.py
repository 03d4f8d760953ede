"""Pictures from wherever a user has them: files, folders, patterns, videos, standard input.

    for picture in pictures(expand(["photos/", "clip.mp4", "-"])):
        picture.name, picture.read()                # "clip.mp4#12", uint8 BGR (h, w, 3)

Nothing is decoded until read() is called, which may be in another thread; what cannot be read is an error of its own
picture and no other's. A JPEG of more pixels than a board's memory holds is decoded at a half, a quarter or an eighth
of its size; Decoded says so.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.preprocessing import read_image
from edgefer.errors import DataError

__all__ = ["STDIN", "DecodedImage", "ImageSource", "expand_paths", "iter_sources"]

STDIN = "-"
PICTURES = {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".pnm", ".ppm", ".tif", ".tiff", ".webp"}
VIDEOS = {".avi", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"}
WILD = set("*?[")
# Decoded it takes three bytes a pixel: 600 MB, more than the smallest boards have.
MOST_PIXELS = 200_000_000
# A larger JPEG is shrunk to about as many while it is decoded.
SHRUNK_PIXELS = 50_000_000
REDUCTIONS = (2, 4, 8)
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
FRAME_MARKERS = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# The others keep all coefficients of the whole picture until they are done, whatever size is asked for.
SEQUENTIAL = {0xC0, 0xC1}


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A picture in memory.

    Attributes:
        image: uint8 BGR (h, w, 3).
        reduction: how many pixels of the file are one of it, in width and in height.
    """

    image: npt.NDArray[np.uint8]
    reduction: int = 1


@dataclass(frozen=True)
class ImageSource:
    """A picture that can be read.

    Attributes:
        name: the file; for a frame of a video with # and its number, from 0.
        decode: reads and decodes it; DataError where that cannot be.
    """

    name: str
    decode: Callable[[], DecodedImage]

    def read(self) -> npt.NDArray[np.uint8]:
        """The image alone."""
        return self.decode().image


def expand_paths(words: Sequence[str]) -> tuple[str, ...]:
    """The files that ``words`` name: themselves, the pictures and videos below a folder, what fits a pattern.

    Raises:
        DataError: a folder or a pattern without any picture.
    """
    found: list[str] = []
    for word in words:
        path = Path(word)
        if word == STDIN or path.is_file():
            found.append(word)
        elif path.is_dir():
            found += _some(word, [each for each in sorted(path.rglob("*")) if each.suffix.lower() in PICTURES | VIDEOS])
        elif WILD & set(word):
            anchor = Path(path.anchor) if path.is_absolute() else Path()
            pattern = str(path.relative_to(path.anchor)) if path.is_absolute() else word
            found += _some(word, sorted(each for each in anchor.glob(pattern) if each.is_file()))
        else:
            found.append(word)  # the error is its own, and the others go on
    return tuple(dict.fromkeys(found))


def _some(word: str, paths: Sequence[Path]) -> list[str]:
    if not paths:
        why = "names that end in .png, .jpg, .mp4 and the like were expected"
        raise DataError(f"{word} has no pictures", why=why, hint="name the files themselves")
    return [str(path) for path in paths]


def iter_sources(files: Sequence[str], *, every: int = 1) -> Iterator[ImageSource]:
    """One a file, and one for each ``every``-th frame of a video."""
    for file in files:
        if Path(file).suffix.lower() in VIDEOS and Path(file).is_file():
            yield from _frames(file, every)
        else:
            yield ImageSource(file, lambda file=file: _decoded(file))  # type: ignore[misc]


def _decoded(file: str) -> DecodedImage:
    try:
        content = sys.stdin.buffer.read() if file == STDIN else Path(file).read_bytes()
    except OSError as error:
        hint = "give pictures such as face.png"
        raise DataError(f"cannot read {file}", why=error.strerror or str(error), hint=hint) from error
    try:
        reduction = _reduction(content)
        return DecodedImage(read_image(content, reduction=reduction), reduction)
    except DataError as error:
        hint = error.hint or "give pictures such as face.png"
        raise DataError(f"{file}: {error.what}", why=error.why, hint=hint) from error


def _reduction(content: bytes) -> int:
    """By how much to shrink it; refuses what would decode to half a picture, or to more than the memory holds."""
    width, height, can_shrink = _size(content)
    pixels = width * height
    if pixels > MOST_PIXELS and not (can_shrink and pixels <= SHRUNK_PIXELS * REDUCTIONS[-1] ** 2):
        why = f"{width:,} x {height:,} pixels; {MOST_PIXELS // 1_000_000} million are the most"
        hint = "shrink it, cut the faces out, or save it as a JPEG that is not progressive"
        raise DataError("a picture too large to decode", why=why, hint=hint)
    ends = {PNG: b"IEND", JPEG: b"\xff\xd9"}
    for begin, end in ends.items():
        if content.startswith(begin) and end not in content[-4096:]:
            raise DataError("a picture that was cut short", why="its end is missing", hint="copy it again")
    if pixels <= MOST_PIXELS:
        return 1
    return next(each for each in REDUCTIONS if pixels <= SHRUNK_PIXELS * each**2)


def _size(content: bytes) -> tuple[int, int, bool]:
    """Width, height by the header of a PNG or a JPEG, and whether it can be shrunk while it is decoded.

    (0, 0, False) for other formats, whose own limits are below OpenCV's.
    """
    if content.startswith(PNG) and len(content) >= 24:
        return (*struct.unpack(">II", content[16:24]), False)
    place = 2
    while content.startswith(JPEG) and place + 9 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker in FRAME_MARKERS:
            height, width = struct.unpack(">HH", content[place + 5 : place + 9])
            return width, height, marker in SEQUENTIAL
        # Fill bytes stand alone; all else has its length behind it.
        place += 1 if marker == 0xFF else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return 0, 0, False


def _frames(file: str, every: int) -> Iterator[ImageSource]:
    with files.utf8_path(Path(file)) as path:
        video = cv2.VideoCapture(path)
    number = 0
    try:
        while video.grab():
            if number % every == 0:
                done, frame = video.retrieve()
                if done:
                    kept = DecodedImage(np.asarray(frame, np.uint8))
                    yield ImageSource(f"{file}#{number}", lambda kept=kept: kept)  # type: ignore[misc]
            number += 1
    finally:
        video.release()
    if number == 0:
        yield ImageSource(file, lambda: _refuse(file))


def _refuse(file: str) -> DecodedImage:
    raise DataError(f"{file}: not a video that OpenCV can read", why="it has no frame", hint="convert it: ffmpeg -i")
