"""Video file, through OpenCV's FFmpeg backend."""

from __future__ import annotations

import os
import shlex

import cv2

from edgefer.errors import DataError, UsageError
from edgefer.live.camera import Camera, OpenCvCamera
from edgefer.live.opencv import require_backend
from edgefer.live.redaction import redact_address

__all__ = ["LIVE", "open_camera"]

LIVE = False


def open_camera(location: str, *, size: tuple[int, int]) -> Camera:
    """Open a video file.

    Args:
        location: path of the file.
        size: unused; the file determines the frame size.

    Raises:
        UsageError: ``location`` is empty or a URL.
        IncompatibleError: OpenCV was built without FFMPEG.
        DataError: the file does not exist, or OpenCV cannot read it.
    """
    hint = "--video clip.mp4, or --camera 0"
    if not location:
        raise UsageError("--camera video without a file", why="expected a video file", hint=hint)
    if not os.path.isfile(location):  # noqa: PTH113 - Path.is_file() raises an error for a name that is too long
        if "://" in location:
            what = f"--video {redact_address(location)}"
            raise UsageError(what, why="expected a video file", hint="--stream URL for a network camera")
        what = f"{location} {'is not a file' if os.path.exists(location) else 'does not exist'}"  # noqa: PTH110
        raise DataError(what, why="--video expects a video file", hint=hint)
    require_backend("FFMPEG")
    camera = OpenCvCamera.open(location, location, backend=cv2.CAP_FFMPEG, is_file=True)
    if camera is None:
        hint = f"ffmpeg -i {shlex.quote(location)} clip.mp4"
        raise DataError(f"{location}: OpenCV cannot read this video", hint=hint)
    return camera
