"""v4l2: a USB camera, or whatever else Linux gives a /dev/video, through OpenCV."""

from __future__ import annotations

import cv2

from edgefer.errors import DeviceUnreachable
from edgefer.live.camera import Camera, OpenCvCamera

__all__ = ["LIVE", "open_camera"]

LIVE = True
# Raw pictures larger than this do not come at 30 a second through USB 2; JPEG does.
LARGEST_RAW = 640 * 480


def open_camera(where: str, *, size: tuple[int, int]) -> Camera:
    """The camera of number ``where``, or of the path /dev/video....

    Raises:
        DeviceUnreachable: there is none, or another program has it.
    """
    path = where if where.startswith("/dev/") else f"/dev/video{where}"
    camera = OpenCvCamera.open(path, f"camera {where}", backend=cv2.CAP_V4L2, ends=False)
    if camera is None:
        raise DeviceUnreachable(
            f"no camera at {path}",
            why="it is not plugged in, another program has it, or this user may not open it (group video)",
            hint="v4l2-ctl --list-devices, or --video clip.mp4",
        )
    if size[0] * size[1] > LARGEST_RAW:
        camera.ask(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    camera.ask(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    camera.ask(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    return camera
