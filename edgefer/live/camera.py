"""Select and open a frame source: a camera, a video file or a network stream.

    source = find_source(camera="0")                # or camera="picamera2", video="clip.mp4", stream="rtsp://..."
    camera = source.open()
    frame = camera.read()                           # CapturedFrame, or None at the end of a video
    camera.close()

Each kind of camera is one module in ``edgefer/live/cameras`` that implements CameraModule.
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files, plugins
from edgefer.errors import DataError, DeviceUnreachable, UsageError
from edgefer.live.playback import plausible_fps
from edgefer.live.redaction import redact_address, redact_text

__all__ = [
    "CAMERAS",
    "STREAM_VARIABLE",
    "Camera",
    "CameraModule",
    "CapturedFrame",
    "OpenCvCamera",
    "Source",
    "default_stream",
    "find_source",
]

CAMERAS = "edgefer.live.cameras"
STREAM_VARIABLE = "EDGEFER_STREAM"
DEFAULT_SIZE = (640, 480)
EXAMPLES = {"camera": "--camera 0", "video": "--video clip.mp4", "stream": "--stream rtsp://HOST/PATH"}


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """An image from a camera.

    Attributes:
        image: uint8 BGR (h, w, 3), owned by the caller.
        captured_ns: time.monotonic_ns() at arrival on the host; sensor exposure and transfer come before it.
        grab_ns: time spent decoding, without the wait for the frame.
        position_s: timestamp in a video file, seconds; None if there is none.
    """

    image: npt.NDArray[np.uint8]
    captured_ns: int
    grab_ns: int
    position_s: float | None = None


class Camera(Protocol):
    """An open camera, read and closed by a single thread.

    Attributes:
        fps: nominal frame rate; None if unknown.
    """

    fps: float | None

    def read(self) -> CapturedFrame | None:
        """Wait for the next frame and return it; return None at the end of a video.

        Raises:
            DeviceUnreachable: the camera was disconnected.
        """

    def close(self) -> None:
        """Release the device."""


class CameraModule(Protocol):
    """Interface of a module in ``cameras/``.

    Attributes:
        LIVE: True for a device that produces frames in real time, False for a file.
    """

    LIVE: bool

    def open_camera(self, location: str, *, size: tuple[int, int]) -> Camera:
        """Open a camera.

        Args:
            location: device number, device path, file or URL, depending on the kind.
            size: requested (width, height) in pixels; the camera may choose another.

        Raises:
            EdgeferError: the camera cannot be opened.
        """


@dataclass(frozen=True)
class Source:
    """A camera that can be opened and reopened.

    Attributes:
        kind: name of a module in ``edgefer/live/cameras``.
        location: device number, device path, file or URL; it may contain a password, which str() and repr() omit.
        size: requested (width, height), pixels.
    """

    kind: str
    location: str = field(repr=False)
    size: tuple[int, int] = DEFAULT_SIZE

    @property
    def live(self) -> bool:
        """True if frames arrive in real time, False for a file."""
        return self._module.LIVE

    def open(self) -> Camera:
        """Open the camera.

        Raises:
            DeviceUnreachable: the camera does not exist or does not respond.
            DataError: the file is missing or is not a readable video.
            IncompatibleError: a package that this kind of camera needs is not installed.
        """
        return self._module.open_camera(self.location, size=self.size)

    def __str__(self) -> str:
        is_address = self.kind == "stream" or "://" in self.location
        return f"{self.kind} {redact_address(self.location) if is_address else self.location}".strip()

    @property
    def _module(self) -> CameraModule:
        return cast("CameraModule", plugins.load(CAMERAS, self.kind))


def find_source(
    *,
    camera: int | str | None = None,
    video: str | os.PathLike[str] | None = None,
    stream: str | None = None,
    size: tuple[int, int] = DEFAULT_SIZE,
) -> Source:
    """Return the source for at most one of the arguments; the default is camera 0.

    Args:
        camera: device number, /dev/video path, or camera kind such as "picamera2" or "picamera2:1".
        video: path of a video file.
        stream: URL of a network camera.
        size: requested (width, height), pixels.

    Raises:
        UsageError: more than one source, an empty text, or an unknown kind of camera.
    """
    camera, video = None if camera is None else str(camera), None if video is None else os.fspath(video)
    arguments = {"camera": camera, "video": video, "stream": stream}
    selected = [name for name, value in arguments.items() if value is not None]
    empty = [name for name in selected if not arguments[name]]
    if empty:
        raise UsageError(f"--{empty[0]} without a value", why="the text is empty", hint=EXAMPLES[empty[0]])
    if len(selected) > 1:
        conflict = " together with ".join(f"--{name}" for name in selected)
        raise UsageError(conflict, why="only one frame source is allowed", hint=f"remove --{selected[1]}")
    if video is not None:
        return Source("video", video, size)
    if stream is not None:
        return Source("stream", stream, size)
    if camera is not None and "://" in camera:
        what = f"--camera {redact_address(camera)}"
        raise UsageError(what, why="expected a camera of this machine", hint="--stream URL for a network camera")
    camera = camera or "0"
    # Paths in /dev/v4l/by-path contain colons.
    if camera.isdecimal() or camera.startswith("/dev/"):
        return Source("v4l2", camera, size)
    kind, _, location = camera.partition(":")
    kinds = plugins.names(CAMERAS)
    if kind not in kinds:
        why = f"expected a number, a path such as /dev/video0, or KIND[:WHICH] of {', '.join(kinds)}"
        raise UsageError(f"--camera {camera}", why=why, hint="--camera 0, or --video FILE")
    return Source(kind, location, size)


def default_stream() -> str | None:
    """Return the URL in EDGEFER_STREAM: other users cannot list it, unlike a command line."""
    return os.environ.get(STREAM_VARIABLE) or None


class OpenCvCamera:
    """Camera backed by cv2.VideoCapture.

    Attributes:
        fps: frame rate reported by the capture; None if missing or implausible.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str, *, is_file: bool) -> None:
        """Wrap an open capture.

        Args:
            capture: an open cv2.VideoCapture.
            name: name for error messages.
            is_file: True for a video file, which ends and is read without waiting.
        """
        self._capture, self._name, self._is_file = capture, name, is_file
        self._has_frames = False
        self.fps = plausible_fps(capture.get(cv2.CAP_PROP_FPS))

    @classmethod
    def open(
        cls, location: str, name: str, *, backend: int, is_file: bool, parameters: Sequence[int] = ()
    ) -> OpenCvCamera | None:
        """Open ``location`` with an OpenCV backend; return None on failure.

        OpenCV and FFmpeg print each failed attempt and each damaged frame, unless their log levels are set, see
        edgefer.processes.allow_output_suppression().

        Args:
            location: device path, file or URL.
            name: name for error messages.
            backend: one of cv2.CAP_*.
            is_file: True for a video file.
            parameters: alternating cv2.CAP_PROP_* ids and values to open the capture with.

        Raises:
            UsageError: a device path or a URL is not UTF-8.
        """
        # OpenCV ends the process on a text that is not UTF-8.
        if is_file:
            with files.utf8_path(Path(location)) as path:
                capture = cv2.VideoCapture(path, backend, parameters)
        elif files.is_utf8(location):
            capture = cv2.VideoCapture(location, backend, parameters)
        else:
            raise UsageError(name, why="expected UTF-8", hint="check the address or the path of the camera")
        return cls(capture, name, is_file=is_file) if capture.isOpened() else None

    def request(self, setting: int, value: float) -> None:
        """Request a setting (cv2.CAP_PROP_*); the camera may ignore it."""
        self._capture.set(setting, value)

    def read(self) -> CapturedFrame | None:
        """Wait for the next frame and return it; return None at the end of a video.

        Raises:
            DeviceUnreachable: the camera or stream stopped delivering frames.
            DataError: the file holds no video frame.
        """
        begin = time.monotonic_ns()
        try:
            is_grabbed = self._capture.grab()
            captured_ns = time.monotonic_ns()
            is_decoded, image = self._capture.retrieve() if is_grabbed else (False, None)
        except cv2.error as error:
            why = redact_text(str(error.err or error))
            raise DeviceUnreachable(f"no frame from {self._name}", why=why) from error
        if is_decoded and image is not None:
            self._has_frames = True
            # grab() decodes a file, but only waits for a camera.
            work_begin_ns = begin if self._is_file else captured_ns
            position_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 if self._is_file else None
            grab_ns = time.monotonic_ns() - work_begin_ns
            return CapturedFrame(np.asarray(image, np.uint8), captured_ns, grab_ns, position_s)
        if not self._is_file:
            raise DeviceUnreachable(f"no frame from {self._name}", why="it was unplugged or does not respond")
        if not self._has_frames:
            why, hint = "it contains no video frame", f"ffmpeg -i {shlex.quote(self._name)}"
            raise DataError(f"{self._name}: OpenCV cannot read this video", why=why, hint=hint)
        return None

    def close(self) -> None:
        """Release the capture."""
        self._capture.release()
