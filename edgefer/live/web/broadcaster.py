"""Between the loop that makes scenes and those who look on: the newest scene, encoded when it is first asked for.

    hub.publish(scene)                              # from any thread; never waits
    with hub.seat():                                # in the event loop
        shot = await hub.after(None, patience_s=5)
        await shot.jpeg()
        shot = await hub.after(shot, patience_s=5)  # the newest then, whatever came between
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.inference.output import mark
from edgefer.live.frame_result import UNSURE, FrameResult, LiveFace

__all__ = ["MAX_VIEWERS", "Broadcaster", "EncodedFrame", "ViewerLimitReached"]

MAX_VIEWERS = 16
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 80]


class ViewerLimitReached(Exception):
    """As many look on as there are seats."""


class EncodedFrame:
    """A scene as it is sent.

    Attributes:
        scene: it.
    """

    def __init__(self, scene: FrameResult, encode: Callable[[FrameResult, bool], asyncio.Future[bytes]]) -> None:
        self.scene = scene
        self._encode = encode
        self._pictures: dict[bool, asyncio.Future[bytes]] = {}

    @cached_property
    def json(self) -> str:
        """Scene.to_json(), in ASCII and on one line."""
        return json.dumps(self.scene.to_json(), allow_nan=False)

    @property
    def age_s(self) -> float:
        """For how long it has been the newest thing that the camera gave."""
        return (time.monotonic_ns() - self.scene.captured_ns) / 1e9

    async def jpeg(self, *, marked: bool = False) -> bytes:
        """The picture, encoded once; with boxes and labels in it if ``marked``."""
        if marked not in self._pictures:
            self._pictures[marked] = self._encode(self.scene, marked)
        # Who leaves meanwhile does not take it from the others.
        return await asyncio.shield(self._pictures[marked])


class Broadcaster:
    """Holds the newest scene, and knows who looks on.

    Attributes:
        drawn: boxes and labels are in the images already.
        seats: how many can look on at the same time.
        taken: how many do.
        closing: nobody is given anything any more.
    """

    def __init__(self, encoder: Executor, *, drawn: bool = False, seats: int = MAX_VIEWERS) -> None:
        """In the event loop; pictures are encoded by ``encoder``."""
        self.drawn, self.seats, self.taken, self.closing = drawn, seats, 0, False
        self._newest: EncodedFrame | None = None
        self._loop = asyncio.get_running_loop()
        self._change = asyncio.Event()
        self._encoder = encoder

    @property
    def newest(self) -> EncodedFrame | None:
        """None before the first."""
        return self._newest

    def publish(self, scene: FrameResult) -> None:
        """Hand on a scene, from any thread."""
        self._newest = EncodedFrame(scene, self._encode)
        # after() takes its seat before it looks for the newest: either it sees this one, or it is woken.
        if self.taken:
            self._wake()

    def close(self) -> None:
        """Let those go who wait, from any thread."""
        self.closing = True
        self._wake()

    @contextlib.contextmanager
    def seat(self) -> Iterator[None]:
        """Look on within the block.

        Raises:
            Full: there is no seat left.
        """
        if self.taken >= self.seats:
            raise ViewerLimitReached
        self.taken += 1
        try:
            yield
        finally:
            self.taken -= 1

    async def after(self, seen: EncodedFrame | int | None, *, patience_s: float) -> EncodedFrame | None:
        """Wait for a shot other than ``seen``, which may be the number of a frame too; None if there comes none."""
        deadline_s = self._loop.time() + patience_s
        while not self.closing:
            change, shot = self._change, self._newest
            if shot is not None and shot is not seen and shot.scene.number != seen:
                return shot
            try:
                await asyncio.wait_for(change.wait(), deadline_s - self._loop.time())
            except asyncio.TimeoutError:
                return None
        return None

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._changed)

    def _changed(self) -> None:
        change, self._change = self._change, asyncio.Event()
        change.set()

    def _encode(self, scene: FrameResult, marked: bool) -> asyncio.Future[bytes]:
        return self._loop.run_in_executor(self._encoder, encode, scene, marked and not self.drawn)


def encode(scene: FrameResult, marked: bool) -> bytes:
    """The picture of ``scene`` as a JPEG."""
    image: npt.NDArray[np.uint8] = scene.image
    if marked:
        image = mark(image, [(face.box, _caption(face)) for face in scene.faces])
    return bytes(cv2.imencode(".jpg", image, JPEG)[1])


def _caption(face: LiveFace) -> str:
    return face.label if face.label == UNSURE else f"{face.label} {face.probability:.0%}"
