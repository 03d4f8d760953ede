"""Frames as they come, in a thread that keeps the newest and lets go of the others.

    with Grabber(source) as grabber:
        while (frame := grabber.take()) is not None:
            frame.number, frame.shot.image

Who is slow gets fewer frames, not older ones: take() gives none that has waited for longer than the time between two
frames, so that a frame is at most two frame times old when the work on it is done. A camera that goes away is opened
again, after pauses that grow.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

from edgefer.errors import DeviceUnreachable, EdgeferError
from edgefer.live.camera import Camera, CapturedFrame, Source

__all__ = ["Frame", "Grabber"]

INTERVALS = 31
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 8.0
# A read that hangs is left behind when the process ends.
PATIENCE_S = 3.0


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame and its place among all that came.

    Attributes:
        number: from 0.
        shot: what came.
    """

    number: int
    shot: CapturedFrame


class Grabber:
    """Reads a source in a thread of its own.

    Attributes:
        every_frame: whether none is passed over.
        dropped: how many frames came that take() did not give.
        losses: how many times the camera was gone.
    """

    def __init__(
        self,
        source: Source,
        *,
        every_frame: bool = False,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """Nothing is opened before start().

        Args:
            source: what to open, and to open again.
            every_frame: give each frame, and read on only when it was taken. Otherwise a file is played at its own
                rate, and the newest frame is given.
            tell: is told that the camera is gone, and that it is back; from the thread.
        """
        self.every_frame, self._source, self._tell = every_frame, source, tell
        self._change = threading.Condition()
        self._frame: Frame | None = None
        self._problem: EdgeferError | None = None
        self._ended = self._stopping = False
        self._intervals = deque[int](maxlen=INTERVALS)
        self._thread: threading.Thread | None = None
        self._number = 0
        self.dropped = self.losses = 0

    def start(self) -> None:
        """Open the source, here, and read it from now on.

        Raises:
            EdgeferError: as Source.open().
        """
        camera = self._source.open()
        self._thread = threading.Thread(target=self._run, args=(camera,), name="grabber", daemon=True)
        self._thread.start()

    @property
    def interval_s(self) -> float | None:
        """The usual time between two frames; None before the second."""
        with self._change:
            known = [*self._intervals]
        return median(known) / 1e9 if known else None

    def take(self) -> Frame | None:
        """Wait for a frame; None where there will be no further one.

        Raises:
            EdgeferError: the source broke, and is not one that comes back.
        """
        with self._change:
            if not self.every_frame and self._frame is not None and self._is_old(self._frame):
                self._frame, self.dropped = None, self.dropped + 1
            self._change.wait_for(lambda: self._frame is not None or self._ended)
            frame, self._frame = self._frame, None
            self._change.notify_all()
        if frame is None and self._problem is not None:
            raise self._problem
        return frame

    def stop(self) -> None:
        """Read no further; take() gives None from now on, also to a thread that waits there already."""
        with self._change:
            self._stopping = self._ended = True
            self._frame = None
            self._change.notify_all()

    def close(self) -> None:
        """stop(), and wait until the camera was let go."""
        self.stop()
        if self._thread is not None:
            self._thread.join(PATIENCE_S)

    def __enter__(self) -> Grabber:
        self.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _is_old(self, frame: Frame) -> bool:
        age_ns = time.monotonic_ns() - frame.shot.captured_ns
        return bool(self._intervals) and age_ns > median(self._intervals)

    def _run(self, camera: Camera | None) -> None:
        try:
            while camera is not None:
                camera = self._read_on(camera)
        except EdgeferError as problem:
            self._problem = problem
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _read_on(self, camera: Camera) -> Camera | None:
        """Read until it ends or is gone; what to read from then on."""
        try:
            self._read(camera)
            return None
        except DeviceUnreachable as loss:
            if not self._source.live:
                raise
            why = loss.why or loss.what
        finally:
            camera.close()
        return self._open_again(why)

    def _read(self, camera: Camera) -> None:
        """Read until the end, or until close()."""
        pace_s = 1 / camera.fps if camera.fps and not (self.every_frame or self._source.live) else 0.0
        due_s, before_ns = time.monotonic(), None
        while self._wait(due_s - time.monotonic() if pace_s else 0):
            shot = camera.read()
            if shot is None:
                return
            self._put(shot, before_ns)
            due_s, before_ns = due_s + pace_s, shot.captured_ns

    def _put(self, shot: CapturedFrame, before_ns: int | None) -> None:
        with self._change:
            if self.every_frame:
                self._change.wait_for(lambda: self._frame is None or self._stopping)
            if self._stopping:
                return
            if before_ns is not None:
                self._intervals.append(shot.captured_ns - before_ns)
            self.dropped += self._frame is not None
            self._frame = Frame(self._number, shot)
            self._number += 1
            self._change.notify_all()

    def _open_again(self, why: str) -> Camera | None:
        """Try until it is there; None where close() came first."""
        self.losses += 1
        self._tell(f"{self._source} is gone ({why}); trying to open it again")
        pause_s = FIRST_PAUSE_S
        while self._wait(pause_s):
            with contextlib.suppress(DeviceUnreachable):
                camera = self._source.open()
                self._tell(f"{self._source} is back")
                return camera
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
        return None

    def _wait(self, seconds: float) -> bool:
        """Whether there is still something to wait for, ``seconds`` from now."""
        with self._change:
            if seconds > 0:
                self._change.wait_for(lambda: self._stopping, seconds)
            return not self._stopping
