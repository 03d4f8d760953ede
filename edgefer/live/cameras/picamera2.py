"""Raspberry Pi camera module, through the python3-picamera2 package of Raspberry Pi OS."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from edgefer.errors import DeviceUnreachable, IncompatibleError
from edgefer.live.camera import Camera, CapturedFrame

__all__ = ["LIVE", "open_camera"]

LIVE = True


def open_camera(location: str, *, size: tuple[int, int]) -> Camera:
    """Open a camera and start capturing.

    Args:
        location: camera number; empty for the first camera.
        size: (width, height) in pixels.

    Raises:
        IncompatibleError: picamera2 is not installed.
        DeviceUnreachable: the camera does not exist, or another program uses it.
    """
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise IncompatibleError(
            "picamera2 cannot be imported",
            why=f"it is part of Raspberry Pi OS, and virtual environments hide system packages by default; {error}",
            hint="sudo apt install python3-picamera2, and python3 -m venv --system-site-packages; or --camera 0",
        ) from error
    try:
        device = Picamera2(int(location or 0))
        # picamera2 calls OpenCV's BGR order RGB888. queue=False keeps stale frames out of its request queue.
        device.configure(device.create_video_configuration(main={"size": size, "format": "RGB888"}, queue=False))
        device.start()
    except (IndexError, RuntimeError, ValueError) as error:
        hint = "rpicam-hello --list-cameras"
        raise DeviceUnreachable(f"no camera {location or 0} for picamera2", why=str(error), hint=hint) from error
    return PiCamera(device)


class PiCamera:
    """Camera backed by a started Picamera2.

    Attributes:
        fps: None; the frame rate depends on the exposure time.
    """

    fps: float | None = None

    def __init__(self, device: Any) -> None:
        self._device = device

    def read(self) -> CapturedFrame:
        """Wait for the next frame and return it.

        Raises:
            DeviceUnreachable: the camera stopped delivering frames.
        """
        try:
            request = self._device.capture_request()
            captured_ns = time.monotonic_ns()
            try:
                image = request.make_array("main")
            finally:
                request.release()
        except RuntimeError as error:
            raise DeviceUnreachable("no frame from the Raspberry Pi camera", why=str(error)) from error
        return CapturedFrame(np.asarray(image, np.uint8), captured_ns, time.monotonic_ns() - captured_ns)

    def close(self) -> None:
        """Stop capturing and release the device."""
        self._device.close()
