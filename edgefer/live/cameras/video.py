"""video: a file, through OpenCV; it ends."""

from __future__ import annotations

from pathlib import Path

import cv2

from edgefer.errors import DataError
from edgefer.live.camera import Camera, OpenCvCamera

__all__ = ["LIVE", "open_camera"]

LIVE = False


def open_camera(where: str, *, size: tuple[int, int]) -> Camera:
    """The video file ``where``; its frames have the size that they have.

    Raises:
        DataError: no such file, or none that OpenCV can read.
    """
    if not Path(where).is_file():
        raise DataError(f"{where} is not there", why="--video takes a file", hint="--video clip.mp4, or --camera 0")
    camera = OpenCvCamera.open(where, where, backend=cv2.CAP_FFMPEG, ends=True)
    if camera is None:
        raise DataError(f"{where}: not a video that OpenCV can read", hint=f"ffmpeg -i {where} clip.mp4")
    return camera
