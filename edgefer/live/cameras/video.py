"""Video file, through OpenCV's FFmpeg backend."""

from __future__ import annotations

from pathlib import Path

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
        UsageError: ``location`` is a URL.
        IncompatibleError: OpenCV was built without FFMPEG.
        DataError: the file does not exist, or OpenCV cannot read it.
    """
    if not Path(location).is_file():
        if "://" in location:
            what = f"--video {redact_address(location)}"
            raise UsageError(what, why="expected a video file", hint="--stream URL for a network camera")
        hint = "--video clip.mp4, or --camera 0"
        raise DataError(f"{location} does not exist", why="--video expects a video file", hint=hint)
    require_backend("FFMPEG")
    camera = OpenCvCamera.open(location, location, backend=cv2.CAP_FFMPEG, is_file=True)
    if camera is None:
        raise DataError(f"{location}: OpenCV cannot read this video", hint=f"ffmpeg -i {location} clip.mp4")
    return camera
