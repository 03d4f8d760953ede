"""Where frames come from: a kind of camera is a file in ``cameras/``, found by its name.

    source = find_source(camera="0")                # or camera="picamera2", video="clip.mp4", stream="rtsp://..."
    camera = source.open()
    shot = camera.read()                            # Shot, or None at the end of a video
    camera.close()
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.errors import DataError, DeviceUnreachable, UsageError

__all__ = ["CAMERAS", "Camera", "CameraModule", "CapturedFrame", "OpenCvCamera", "Source", "find_source"]

CAMERAS = "edgefer.live.cameras"
SIZE = (640, 480)
MOST_FPS = 1000
FFMPEG_QUIET, LOG_SILENT = "-8", 0


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """A frame as it came.

    Attributes:
        image: uint8 BGR (h, w, 3); it belongs to who asked for it.
        captured_ns: when it was there, by time.monotonic_ns(); what the camera itself takes is not known.
        grab_ns: how long decoding it took, without waiting for it.
    """

    image: npt.NDArray[np.uint8]
    captured_ns: int
    grab_ns: int


class Camera(Protocol):
    """What open_camera() gives; it is read and closed by one thread.

    Attributes:
        fps: frames a second where it says so, else None.
    """

    fps: float | None

    def read(self) -> CapturedFrame | None:
        """Wait for the next frame; None where a video has ended. DeviceUnreachable where the camera is gone."""

    def close(self) -> None:
        """Let it go."""


class CameraModule(Protocol):
    """What a file in ``cameras/`` defines.

    Attributes:
        LIVE: whether it goes on by itself, as a camera does and a file does not.
    """

    LIVE: bool

    def open_camera(self, where: str, *, size: tuple[int, int]) -> Camera:
        """Open it; ``size`` is the (width, height) to ask for, which it may not have. EdgeferError where it cannot."""


@dataclass(frozen=True)
class Source:
    """A camera that can be opened, and opened again.

    Attributes:
        kind: an entry of ``board/cameras``.
        where: which one of its kind: a number, a file, an address.
        size: (width, height) to ask for, pixels.
    """

    kind: str
    where: str
    size: tuple[int, int] = SIZE

    @property
    def live(self) -> bool:
        """Whether it goes on by itself."""
        return self._module.LIVE

    def open(self) -> Camera:
        """Open it.

        Raises:
            DeviceUnreachable: it is not there.
            DataError: the file is none that can be read.
            IncompatibleError: what this kind of camera needs is not installed.
        """
        return self._module.open_camera(self.where, size=self.size)

    def __str__(self) -> str:
        # An address may have a password in it, and this is what is told and recorded.
        return re.sub(r"//[^/@]*@", "//", f"{self.kind} {self.where}".strip())

    @property
    def _module(self) -> CameraModule:
        return cast("CameraModule", plugins.load(CAMERAS, self.kind))


def find_source(
    *, camera: str | None = None, video: str | None = None, stream: str | None = None, size: tuple[int, int] = SIZE
) -> Source:
    """The source that one of these names; camera 0 where none does.

    ``camera`` is a number or a /dev/video..., or a kind of camera, such as picamera2 or picamera2:1.

    Raises:
        UsageError: two of them, or no such kind.
    """
    given = {"camera": camera, "video": video, "stream": stream}
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        both = " together with ".join(f"--{name}" for name in named)
        raise UsageError(both, why="frames come from one place", hint=f"leave out --{named[1]}")
    if video is not None:
        return Source("video", video, size)
    if stream is not None:
        return Source("stream", stream, size)
    kind, _, where = (camera or "0").partition(":")
    if kind.isdecimal() or kind.startswith("/dev/"):
        return Source("v4l2", kind, size)
    plugins.load(CAMERAS, kind)  # raises, and says which there are
    return Source(kind, where, size)


class OpenCvCamera:
    """A cv2.VideoCapture as a Camera.

    Attributes:
        fps: what it says of itself, or None.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str, *, ends: bool) -> None:
        """``capture`` is open; ``ends`` says whether it does, as a file, whose frames need no waiting for either."""
        self._capture, self._name, self._ends = capture, name, ends
        self._begun = False
        fps = capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps <= MOST_FPS else None

    @classmethod
    def open(
        cls, where: str, name: str, *, backend: int, ends: bool, settings: Sequence[int] = ()
    ) -> OpenCvCamera | None:
        """Open ``where`` with one of OpenCV's backends, and settings that it must have; None where that cannot be."""
        # Both would write to the terminal, at each try, and of each frame that the network has damaged.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", FFMPEG_QUIET)
        # Its place has changed between two versions of OpenCV 4.
        set_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
        set_level(LOG_SILENT)
        capture = cv2.VideoCapture(where, backend, settings)
        return cls(capture, name, ends=ends) if capture.isOpened() else None

    def ask(self, setting: int, value: float) -> None:
        """Ask for a setting, which the camera may not have."""
        self._capture.set(setting, value)

    def read(self) -> CapturedFrame | None:
        """As Camera.read()."""
        begin = time.monotonic_ns()
        try:
            there = self._capture.grab()
            captured = time.monotonic_ns()
            done, image = self._capture.retrieve() if there else (False, None)
        except cv2.error as error:
            raise DeviceUnreachable(f"{self._name} gives no frame", why=str(error.err or error)) from error
        if done and image is not None:
            self._begun = True
            work_begin = begin if self._ends else captured
            return CapturedFrame(np.asarray(image, np.uint8), captured, time.monotonic_ns() - work_begin)
        if not self._ends:
            raise DeviceUnreachable(f"{self._name} gives no frame", why="it was unplugged, or does not answer")
        if not self._begun:
            raise DataError(f"{self._name}: not a video that OpenCV can read", why="it has no frame", hint="ffmpeg -i")
        return None

    def close(self) -> None:
        """As Camera.close()."""
        self._capture.release()
