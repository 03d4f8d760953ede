"""picamera2: the camera on a Raspberry Pi's ribbon cable, through the system's python3-picamera2."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from edgefer.errors import DeviceUnreachable, IncompatibleError
from edgefer.live.camera import Camera, CapturedFrame

__all__ = ["LIVE", "open_camera"]

LIVE = True


def open_camera(where: str, *, size: tuple[int, int]) -> Camera:
    """The camera of number ``where``, the first where that is empty.

    Raises:
        IncompatibleError: picamera2 is not installed.
        DeviceUnreachable: there is no such camera, or another program has it.
    """
    try:
        from picamera2 import Picamera2
    except ImportError as error:
        raise IncompatibleError(
            "picamera2 cannot be imported",
            why=f"it is a part of Raspberry Pi OS, which a virtual environment does not see by itself; {error}",
            hint="sudo apt install python3-picamera2, and python3 -m venv --system-site-packages; or --camera 0",
        ) from error
    try:
        device = Picamera2(int(where or 0))
        # Its name for what OpenCV calls BGR. With one buffer more than the sensor fills, none waits in a queue.
        device.configure(device.create_video_configuration(main={"size": size, "format": "RGB888"}, queue=False))
        device.start()
    except (IndexError, RuntimeError, ValueError) as error:
        hint = "rpicam-hello --list-cameras"
        raise DeviceUnreachable(f"no camera {where or 0} for picamera2", why=str(error), hint=hint) from error
    return PiCamera(device)


class PiCamera:
    """A started Picamera2, as a Camera.

    Attributes:
        fps: None: it depends on the light.
    """

    fps: float | None = None

    def __init__(self, device: Any) -> None:
        self._device = device

    def read(self) -> CapturedFrame:
        """As Camera.read()."""
        try:
            request = self._device.capture_request()
            captured = time.monotonic_ns()
            try:
                image = request.make_array("main")
            finally:
                request.release()
        except RuntimeError as error:
            raise DeviceUnreachable("the camera gives no frame", why=str(error)) from error
        return CapturedFrame(np.asarray(image, np.uint8), captured, time.monotonic_ns() - captured)

    def close(self) -> None:
        """As Camera.close()."""
        self._device.close()
