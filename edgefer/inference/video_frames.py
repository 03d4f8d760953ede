"""Read the frames of a video file as image sources.

    for source in iter_frames("clip.mp4", every=10):
        source.name, source.read()                  # "clip.mp4#10", uint8 BGR (h, w, 3)
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from edgefer import files
from edgefer.contract.image_header import memory_limit
from edgefer.errors import DataError
from edgefer.inference.image_source import DecodedImage, ImageSource
from edgefer.processes import suppress_native_output

__all__ = ["iter_frames"]

# The frame in the decoder and its BGR copies.
BYTES_PER_PIXEL = 12


def iter_frames(file: str, *, every: int = 1) -> Iterator[ImageSource]:
    """Yield each ``every``-th frame, numbered from 0; frames are numbered by position and not by time.

    A container's frame rate can be missing or wrong, so it is not used. A video without any frame, and a frame that
    cannot be decoded, give a source that raises DataError.
    """
    # FFmpeg and OpenCV describe damage on stderr, with bytes of the file that a terminal would act on.
    with files.utf8_path(Path(file)) as path, suppress_native_output():
        video = cv2.VideoCapture(path)
    number = 0
    try:
        width, height = video.get(cv2.CAP_PROP_FRAME_WIDTH), video.get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height * BYTES_PER_PIXEL > memory_limit():
            why = f"{width:,.0f} x {height:,.0f} pixels"
            hint = f"ffmpeg -i {shlex.quote(file)} -vf scale=1920:-2 smaller.mp4"
            yield _unreadable(file, DataError(f"{file}: the frames are too large to decode", why=why, hint=hint))
            return
        while _grab(video):
            if number % every == 0:
                yield _frame(video, f"{file}#{number}")
            number += 1
    finally:
        video.release()
    if number == 0:
        hint = f"ffmpeg -i {shlex.quote(file)} converted.mp4"
        yield _unreadable(
            file, DataError(f"{file}: not a video that OpenCV can read", why="it has no frame", hint=hint)
        )


def _grab(video: cv2.VideoCapture) -> bool:
    with suppress_native_output():
        return video.grab()


def _frame(video: cv2.VideoCapture, name: str) -> ImageSource:
    with suppress_native_output():
        decoded, frame = video.retrieve()
    if not decoded:
        hint = "convert the video with ffmpeg"
        return _unreadable(name, DataError(f"{name}: OpenCV cannot decode the frame", why="it is damaged", hint=hint))
    image = DecodedImage(np.asarray(frame, np.uint8))
    return ImageSource(name, lambda: image, memory_bytes=image.image.nbytes)


def _unreadable(name: str, error: DataError) -> ImageSource:
    def decode() -> DecodedImage:
        raise error

    return ImageSource(name, decode)
