"""Read frames in a background thread and hand out the newest one.

    with FrameGrabber(source) as grabber:
        while (frame := grabber.next_frame()) is not None:
            frame.number, frame.captured.image

A slow consumer gets fewer frames, not older ones. next_frame() returns no frame that has waited longer than one frame
interval, so a frame is at most two frame times old when its processing ends. A camera that was disconnected, or whose
driver raised any other error, is reopened, with growing pauses between the attempts.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from edgefer.errors import DeviceUnreachable, EdgeferError
from edgefer.live.camera import Camera, CapturedFrame, Source
from edgefer.live.playback import PlaybackSchedule
from edgefer.live.redaction import redact_text

__all__ = ["Frame", "FrameGrabber"]

INTERVAL_HISTORY = 31
FIRST_PAUSE_S, MAX_PAUSE_S = 0.25, 8.0
# A read that hangs is abandoned; the daemon thread ends with the process.
JOIN_TIMEOUT_S = 3.0


@dataclass(frozen=True, eq=False)
class Frame:
    """A captured frame and its index in the source.

    Attributes:
        number: index among all frames of the source, from 0.
        captured: image and capture time.
        timestamp_ns: time for tracking and smoothing: the position in a video whose every frame is processed, which
            may take more or less time than the video, otherwise the capture time.
    """

    number: int
    captured: CapturedFrame
    timestamp_ns: int


class FrameGrabber:
    """Background reader of a source.

    Attributes:
        every_frame: True if no frame is dropped.
        dropped: number of frames that next_frame() did not return.
        disconnects: number of times the camera was lost.
    """

    def __init__(
        self,
        source: Source,
        *,
        every_frame: bool = False,
        log: Callable[[str], None] = lambda message: None,
    ) -> None:
        """Configure the grabber; start() opens the source.

        Args:
            source: the source to open, and to reopen after a disconnect.
            every_frame: return every frame, and read the next one only after the last was taken. Otherwise a file is
                played at its own rate and only the newest frame is returned.
            log: receives a message on disconnect and on reconnect, from the background thread.
        """
        self.every_frame, self._source, self._log = every_frame, source, log
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self._error: EdgeferError | None = None
        self._ended = self._stopping = False
        self._intervals = deque[int](maxlen=INTERVAL_HISTORY)
        self._thread: threading.Thread | None = None
        self._next_number = 0
        self.dropped = self.disconnects = 0

    def start(self) -> None:
        """Open the source in the calling thread, then read it in the background.

        Raises:
            DeviceUnreachable: the camera does not exist or does not respond.
            DataError: the file is missing or is not a readable video.
            IncompatibleError: a package that this kind of camera needs is not installed.
        """
        camera = self._source.open()
        self._thread = threading.Thread(target=self._run, args=(camera,), name="grabber", daemon=True)
        self._thread.start()

    @property
    def interval_s(self) -> float | None:
        """Median time between two recent frames, seconds; None before the second frame."""
        with self._condition:
            intervals = [*self._intervals]
        return median(intervals) / 1e9 if intervals else None

    def next_frame(self) -> Frame | None:
        """Wait for a frame; return None at the end of a video or after stop().

        Raises:
            EdgeferError: the source failed and cannot be reopened.
        """
        with self._condition:
            if not self.every_frame and self._frame is not None and self._is_stale(self._frame):
                self._frame, self.dropped = None, self.dropped + 1
            self._condition.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
            self._condition.notify_all()
        if frame is None and self._error is not None:
            raise self._error
        return frame

    def stop(self) -> None:
        """Stop reading; next_frame() returns None from now on, and wakes threads that wait in it."""
        with self._condition:
            self._stopping = self._ended = True
            self._frame = None
            self._condition.notify_all()

    def close(self) -> None:
        """Stop reading and wait until the camera is released."""
        self.stop()
        if self._thread is not None:
            self._thread.join(JOIN_TIMEOUT_S)

    def __enter__(self) -> FrameGrabber:
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _is_stale(self, frame: Frame) -> bool:
        age_ns = time.monotonic_ns() - frame.captured.captured_ns
        return bool(self._intervals) and age_ns > median(self._intervals)

    def _run(self, camera: Camera | None) -> None:
        try:
            while camera is not None:
                camera = self._read_until_lost(camera)
        except EdgeferError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - without an error, the session would end like a video
            self._error = self._unreachable(error)
        finally:
            with self._condition:
                self._ended = True
                self._condition.notify_all()

    def _read_until_lost(self, camera: Camera) -> Camera | None:
        """Read to the end or to a disconnect; return the reopened camera, or None if reading is over."""
        try:
            self._read(camera)
            return None
        except DeviceUnreachable as error:
            if not self._source.live:
                raise
            why = error.why or error.what
        finally:
            with contextlib.suppress(Exception):
                camera.close()
        return self._reopen(why)

    def _capture(self, camera: Camera) -> CapturedFrame | None:
        try:
            return camera.read()
        except EdgeferError:
            raise
        except Exception as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> DeviceUnreachable:
        """Return the error for an exception of a camera's driver, such as TimeoutError."""
        why = f"{type(error).__name__}: {redact_text(str(error))}".removesuffix(": ")
        return DeviceUnreachable(f"no frame from {self._source}", why=why)

    def _read(self, camera: Camera) -> None:
        """Read until the source ends or the grabber stops."""
        schedule = None if self._source.live else PlaybackSchedule(fps=camera.fps)
        due_s, previous_ns = 0.0, None
        while self._sleep(0) and (captured := self._capture(camera)) is not None:
            timestamp_ns = None
            if schedule is not None and self.every_frame:
                due_s = schedule.next_due_s(captured.position_s, now_s=due_s)
                timestamp_ns = round(1e9 * due_s)
            elif schedule is not None:
                now_s = time.monotonic()
                if not self._sleep(schedule.next_due_s(captured.position_s, now_s=now_s) - now_s):
                    return
                captured = replace(captured, captured_ns=time.monotonic_ns())
            self._put(captured, previous_ns, timestamp_ns)
            previous_ns = captured.captured_ns

    def _put(self, captured: CapturedFrame, previous_ns: int | None, timestamp_ns: int | None) -> None:
        with self._condition:
            if self.every_frame:
                self._condition.wait_for(lambda: self._frame is None or self._stopping)
            if self._stopping:
                return
            if previous_ns is not None:
                self._intervals.append(captured.captured_ns - previous_ns)
            self.dropped += self._frame is not None
            self._frame = Frame(
                self._next_number, captured, captured.captured_ns if timestamp_ns is None else timestamp_ns
            )
            self._next_number += 1
            self._condition.notify_all()

    def _reopen(self, why: str) -> Camera | None:
        """Try to open the source until it succeeds; return None if the grabber stops first."""
        self.disconnects += 1
        self._log(f"{self._source} disconnected ({why}); reconnecting")
        pause_s = FIRST_PAUSE_S
        while self._sleep(pause_s):
            try:
                camera = self._source.open()
            except Exception as error:
                # The next attempt may succeed, but not without a package that the camera needs.
                if isinstance(error, EdgeferError) and not isinstance(error, DeviceUnreachable):
                    raise
            else:
                self._log(f"{self._source} reconnected")
                return camera
            pause_s = min(2 * pause_s, MAX_PAUSE_S)
        return None

    def _sleep(self, seconds: float) -> bool:
        """Sleep until ``seconds`` have passed or the grabber stops; return False if it stopped."""
        with self._condition:
            if seconds > 0:
                self._condition.wait_for(lambda: self._stopping, seconds)
            return not self._stopping
