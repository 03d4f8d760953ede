"""USB camera or any other Video4Linux device (/dev/video*), through OpenCV."""

from __future__ import annotations

import cv2

from edgefer.errors import DeviceUnreachable
from edgefer.live.camera import Camera, OpenCvCamera
from edgefer.live.opencv import require_backend

__all__ = ["LIVE", "open_camera"]

LIVE = True
# USB 2 is too slow for larger uncompressed frames at 30 fps; the camera has to send JPEG.
MAX_RAW_PIXELS = 640 * 480


def open_camera(location: str, *, size: tuple[int, int]) -> Camera:
    """Open a device.

    Args:
        location: device number, or a path such as /dev/video0; empty for the first camera.
        size: requested (width, height) in pixels.

    Raises:
        IncompatibleError: OpenCV was built without V4L2.
        DeviceUnreachable: the device does not exist, or another program uses it.
    """
    require_backend("V4L2")
    location = location or "0"
    path = location if location.startswith("/dev/") else f"/dev/video{location}"
    camera = OpenCvCamera.open(path, f"camera {location}", backend=cv2.CAP_V4L2, is_file=False)
    if camera is None:
        raise DeviceUnreachable(
            f"no camera at {path}",
            why="it is not plugged in, another program uses it, or this user is not in the group video",
            hint="v4l2-ctl --list-devices, or --video clip.mp4",
        )
    if size[0] * size[1] > MAX_RAW_PIXELS:
        camera.request(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    camera.request(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    camera.request(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
    return camera
