"""Network camera at an rtsp:// or http:// URL, through OpenCV's FFmpeg backend."""

from __future__ import annotations

import cv2

from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.live.camera import Camera, OpenCvCamera
from edgefer.live.opencv import require_backend
from edgefer.live.redaction import redact_address

__all__ = ["LIVE", "open_camera"]

LIVE = True
TIMEOUT_MS = 5000


def open_camera(location: str, *, size: tuple[int, int]) -> Camera:
    """Open a stream.

    Args:
        location: URL of the stream.
        size: unused; the stream determines the frame size.

    Raises:
        UsageError: ``location`` is not a URL.
        IncompatibleError: OpenCV was built without FFMPEG.
        DeviceUnreachable: the host does not respond or sends no video.
    """
    if not location:
        what, hint = "--camera stream without a URL", "--stream rtsp://HOST/PATH"
        raise UsageError(what, why="expected a URL", hint=hint)
    name = redact_address(location)
    if "://" not in location:
        hint = "--stream rtsp://HOST/PATH, or --video FILE"
        raise UsageError(f"--stream {name}", why="expected a URL", hint=hint)
    require_backend("FFMPEG")
    timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    camera = OpenCvCamera.open(location, name, backend=cv2.CAP_FFMPEG, is_file=False, parameters=timeouts)
    if camera is None:
        why = "the host does not respond or sends no video"
        raise DeviceUnreachable(f"no video at {name}", why=why, hint=f"ffplay {name} prints the details")
    return camera
