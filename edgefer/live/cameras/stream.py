"""stream: a camera on the network, by rtsp:// or http://, through OpenCV's FFmpeg."""

from __future__ import annotations

import re

import cv2

from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.live.camera import Camera, OpenCvCamera

__all__ = ["LIVE", "open_camera"]

LIVE = True
PATIENCE_MS = 5000


def open_camera(where: str, *, size: tuple[int, int]) -> Camera:
    """The stream at the address ``where``; its frames have the size that they have.

    Raises:
        UsageError: no address.
        DeviceUnreachable: nothing answers there, or no video.
    """
    if "://" not in where:
        hint = "--stream rtsp://HOST/PATH, or --video FILE"
        raise UsageError(f"--stream {where}", why="an address was expected", hint=hint)
    shown = re.sub(r"//[^/@]*@", "//", where)
    patience = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, PATIENCE_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, PATIENCE_MS]
    camera = OpenCvCamera.open(where, shown, backend=cv2.CAP_FFMPEG, ends=False, settings=patience)
    if camera is None:
        hint = f"ffplay {shown}, which says more"
        raise DeviceUnreachable(f"no video at {shown}", why="nothing answers there, or it sends no video", hint=hint)
    return camera
