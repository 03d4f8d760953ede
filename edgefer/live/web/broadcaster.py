"""Pass the newest frame from the processing thread to the viewers, and encode it on the first request.

    broadcaster.publish(result)                             # from any thread; never blocks
    with broadcaster.viewer_slot():                         # in the event loop
        frame = await broadcaster.next_after(None, timeout_s=5)
        await frame.jpeg()
        frame = await broadcaster.next_after(frame, timeout_s=5)    # the newest frame at that time
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Hashable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import cached_property

import cv2

from edgefer.inference.output import draw_boxes
from edgefer.live.frame_result import FrameResult

__all__ = ["MAX_VIEWERS", "Broadcaster", "EncodedFrame", "ViewerLimitReached"]

MAX_VIEWERS = 16
# A page requests one frame after the other. Between two requests its viewer keeps the slot for this long.
LEASE_S = 10.0
JPEG_PARAMETERS = [cv2.IMWRITE_JPEG_QUALITY, 80]


class ViewerLimitReached(Exception):
    """The viewer limit has been reached."""


class EncodedFrame:
    """A frame result with lazily computed, shared encodings.

    Attributes:
        result: the frame result.
    """

    def __init__(self, result: FrameResult, encode: Callable[[FrameResult, bool], asyncio.Future[bytes]]) -> None:
        """Wrap a result; ``encode(result, annotate)`` starts the encoding of its image."""
        self.result = result
        self._encode = encode
        self._jpegs: dict[bool, asyncio.Future[bytes]] = {}

    @cached_property
    def json(self) -> str:
        """The result as one line of ASCII JSON."""
        return json.dumps(self.result.to_json(), allow_nan=False)

    @property
    def age_s(self) -> float:
        """Time since the capture, seconds."""
        return (time.monotonic_ns() - self.result.captured_ns) / 1e9

    async def jpeg(self, *, annotate: bool = False) -> bytes:
        """Return the image as JPEG, encoded once for all viewers; ``annotate`` draws boxes and labels."""
        if annotate not in self._jpegs:
            self._jpegs[annotate] = self._encode(self.result, annotate)
        # A viewer that disconnects must not cancel the encoding for the others.
        return await asyncio.shield(self._jpegs[annotate])


@dataclass
class ViewerSlot:
    """Slot of one viewer.

    Attributes:
        requests: number of its requests in progress.
        expires_s: time on the event loop's clock until which the slot is kept without a request.
        has_left: True after the viewer's connection was closed.
    """

    requests: int = 0
    expires_s: float = 0.0
    has_left: bool = False


class Broadcaster:
    """The newest frame and its viewers.

    Attributes:
        annotated: True if the images contain boxes and labels already.
        max_viewers: maximum number of concurrent viewers.
        closing: True after close().
    """

    def __init__(self, encoder: Executor, *, annotated: bool = False, max_viewers: int = MAX_VIEWERS) -> None:
        """Create a broadcaster in the running event loop; ``encoder`` encodes the images."""
        self.annotated, self.max_viewers, self.closing = annotated, max_viewers, False
        self._slots: dict[Hashable, ViewerSlot] = {}
        self._requests = 0
        self._newest: EncodedFrame | None = None
        self._loop = asyncio.get_running_loop()
        self._new_frame = asyncio.Event()
        self._encoder = encoder

    @property
    def newest(self) -> EncodedFrame | None:
        """The newest frame; None before the first."""
        return self._newest

    def publish(self, result: FrameResult) -> None:
        """Replace the newest frame; safe to call from any thread."""
        self._newest = EncodedFrame(result, self._encode)
        # A request is counted before it reads the newest frame, so it either reads this one or is woken for it.
        if self._requests:
            self._wake()

    def close(self) -> None:
        """End all waits; safe to call from any thread."""
        self.closing = True
        self._wake()

    @property
    def viewers(self) -> int:
        """Current number of viewers; read it in the event loop."""
        self._expire_slots()
        return len(self._slots)

    @contextlib.contextmanager
    def viewer_slot(self, viewer: Hashable = None) -> Iterator[None]:
        """Occupy a viewer slot within the block.

        Args:
            viewer: identity of a viewer with several requests, which together occupy one slot. The slot is kept for
                LEASE_S after the last of them. None is a viewer with this request only.

        Raises:
            ViewerLimitReached: all slots are occupied by other viewers.
        """
        key = object() if viewer is None else viewer
        self._expire_slots()
        if key not in self._slots and len(self._slots) >= self.max_viewers:
            raise ViewerLimitReached
        slot = self._slots.setdefault(key, ViewerSlot())
        slot.requests, self._requests = slot.requests + 1, self._requests + 1
        try:
            yield
        finally:
            slot.requests, self._requests = slot.requests - 1, self._requests - 1
            slot.expires_s = 0.0 if viewer is None or slot.has_left else self._loop.time() + LEASE_S
            self._expire_slots()

    def release(self, viewer: Hashable) -> None:
        """Free the slot of a viewer that has left; a request in progress keeps it."""
        if viewer in self._slots:
            slot = self._slots[viewer]
            slot.expires_s, slot.has_left = 0.0, True
            self._expire_slots()

    def _expire_slots(self) -> None:
        now_s = self._loop.time()
        for key in [key for key, slot in self._slots.items() if not slot.requests and slot.expires_s <= now_s]:
            del self._slots[key]

    async def next_after(self, previous: EncodedFrame | int | None, *, timeout_s: float) -> EncodedFrame | None:
        """Wait for a frame other than ``previous`` and return it.

        Args:
            previous: the last frame that the viewer received, or its number; None for any frame.
            timeout_s: maximum wait.

        Returns:
            The newest frame; None on timeout or after close().
        """
        deadline_s = self._loop.time() + timeout_s
        while not self.closing:
            new_frame, newest = self._new_frame, self._newest
            if newest is not None and newest is not previous and newest.result.number != previous:
                return newest
            try:
                await asyncio.wait_for(new_frame.wait(), deadline_s - self._loop.time())
            except asyncio.TimeoutError:
                return None
        return None

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._notify)

    def _notify(self) -> None:
        new_frame, self._new_frame = self._new_frame, asyncio.Event()
        new_frame.set()

    def _encode(self, result: FrameResult, annotate: bool) -> asyncio.Future[bytes]:
        return self._loop.run_in_executor(self._encoder, encode_jpeg, result, annotate and not self.annotated)


def encode_jpeg(result: FrameResult, annotate: bool) -> bytes:
    """Encode the image as JPEG; ``annotate`` draws boxes and labels."""
    image = result.image
    if annotate:
        image = draw_boxes(image, [(face.box, face.caption) for face in result.faces])
    return bytes(cv2.imencode(".jpg", image, JPEG_PARAMETERS)[1])
