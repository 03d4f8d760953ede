"""Faces from frame to frame: searched for now and then, and followed by optical flow in between.

    tracker = Tracker(finder, detect_every=5)
    for track in tracker.update(image, grey, at_ns=now):     # Track(number, box)
        ...

Following is Kalal's median flow ("Forward-Backward Error: Automatic Detection of Tracking Failures", ICPR 2010): points
in the face are tracked to the new frame and back, those that do not come back to where they were are left out, and the
medians of the others move and scale the box. benchmarks/live.py has it beside what OpenCV ships.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.inference.face_detection import FaceBox, FaceDetector

__all__ = ["Track", "Tracker", "overlap"]

# Flow is looked for in a copy whose longer side has so many pixels.
FLOW_SIDE = 320
POINTS = 8
# The corners of a box are not of the face.
INSIDE = (0.15, 0.85)
WINDOW, LEVELS = 15, 3
# How far a point may come back from where it was, pixels of that copy, and how many points have to. In a face that
# moves, turns or blurs nearly all do; where it has left or was cut away, none.
MOST_STRAYED, LEAST_POINTS = 1.0, POINTS**2 // 2
LEAST_OVERLAP = 0.3
# How many searches in a row may miss a face that flow still follows.
MOST_MISSES = 2
# After such a gap whoever is there is somebody new.
LONGEST_GAP_NS = 1_000_000_000

Place = tuple[float, float, float, float]


@dataclass(frozen=True)
class Track:
    """A face that is followed.

    Attributes:
        number: its own, never given twice.
        found: the box that the last search gave it.
        place: (left, top, width, height) now, in fractions of pixels: whole ones would add up to a drift.
        misses: how many searches in a row have not found it.
    """

    number: int
    found: FaceBox
    place: Place
    misses: int = 0

    @classmethod
    def at(cls, number: int, box: FaceBox) -> Track:
        """A face that a search has just found."""
        return cls(number, box, (box.x, box.y, box.width, box.height))

    @property
    def box(self) -> FaceBox:
        """Where it is now, in whole pixels."""
        left, top, width, height = (round(value) for value in self.place)
        return FaceBox(left, top, max(1, width), max(1, height), self.found.score)


class Tracker:
    """Finds and follows; it belongs to one thread.

    Attributes:
        tracks: the faces in the last frame, in the order in which they came.
    """

    def __init__(self, finder: FaceDetector, *, detect_every: int = 5) -> None:
        """``detect_every``: of how many frames one is searched, 1 for each."""
        self.finder, self.detect_every = finder, detect_every
        self.tracks: tuple[Track, ...] = ()
        # Those that flow has lost since the last search; the next one may find them where they were.
        self._lost: tuple[Track, ...] = ()
        self._numbers = self._frames = 0
        self._before: npt.NDArray[np.uint8] | None = None
        self._before_ns = 0

    def update(
        self, image: npt.NDArray[np.uint8], grey: npt.NDArray[np.uint8], *, at_ns: int
    ) -> tuple[Track, ...]:
        """The faces of the next frame: uint8 BGR (h, w, 3), and the same in grey (h, w), of the time ``at_ns``."""
        small, scale = _shrunk(grey)
        if self._before is None or self._before.shape != small.shape or at_ns - self._before_ns > LONGEST_GAP_NS:
            self.tracks = self._lost = ()
        elif self.tracks:
            followed = self._followed(self._before, small, scale, grey.shape)
            numbers = {track.number for track in followed}
            self._lost += tuple(track for track in self.tracks if track.number not in numbers)
            self.tracks = followed
        if self._frames % self.detect_every == 0:
            self.tracks = self._matched(self.finder.find(image if self.finder.in_colour else grey))
        self._frames += 1
        self._before, self._before_ns = small, at_ns
        return self.tracks

    def _followed(
        self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], scale: float, shape: Sequence[int]
    ) -> tuple[Track, ...]:
        """The tracks that flow finds, where it finds them."""
        grids = [_grid(track.place) * scale for track in self.tracks]
        points = np.concatenate(grids).astype(np.float32)
        moved, there = _flow(before, after, points)
        back, here = _flow(after, before, moved)
        strayed = np.linalg.norm(back - points, axis=1)
        kept = []
        for index, track in enumerate(self.tracks):
            own = slice(index * POINTS**2, (index + 1) * POINTS**2)
            good = there[own] & here[own] & (strayed[own] <= MOST_STRAYED)
            place = _moved(track.place, points[own][good] / scale, moved[own][good] / scale)
            if place is not None and _is_seen(place, shape):
                kept.append(replace(track, place=place))
        return tuple(kept)

    def _matched(self, found: Sequence[FaceBox]) -> tuple[Track, ...]:
        """The tracks with the boxes that were found; the best overlaps first."""
        known = sorted((*self.tracks, *self._lost), key=lambda track: track.number)
        lost, self._lost = {track.number for track in self._lost}, ()
        pairs = sorted(
            ((overlap(track.box, box), index, other)
             for index, track in enumerate(known) for other, box in enumerate(found)),
            reverse=True,
        )  # fmt: skip
        boxes: dict[int, FaceBox] = {}
        taken: set[int] = set()
        for share, index, other in pairs:
            if share >= LEAST_OVERLAP and index not in boxes and other not in taken:
                boxes[index] = found[other]
                taken.add(other)
        kept = []
        for index, track in enumerate(known):
            if index in boxes:
                kept.append(Track.at(track.number, boxes[index]))
            elif track.number not in lost and track.misses < MOST_MISSES:
                kept.append(replace(track, misses=track.misses + 1))
        new = [box for other, box in enumerate(found) if other not in taken]
        first, self._numbers = self._numbers, self._numbers + len(new)
        return (*kept, *(Track.at(first + count, box) for count, box in enumerate(new)))


def overlap(one: FaceBox, other: FaceBox) -> float:
    """Area of the intersection over that of the union, in 0..1."""
    width = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
    height = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (one.width * one.height + other.width * other.height - both)


def _shrunk(grey: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], float]:
    height, width = grey.shape
    scale = min(1.0, FLOW_SIDE / max(height, width))
    if scale == 1:
        return grey, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _grid(place: Place) -> npt.NDArray[np.float64]:
    """Points within ``place``, (POINTS squared, 2)."""
    left, top, width, height = place
    across, down = (np.linspace(*INSIDE, POINTS) * side for side in (width, height))
    return np.stack(np.meshgrid(left + across, top + down), axis=-1).reshape(-1, 2)


def _flow(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], points: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Where ``points``, float32 (n, 2), of one picture are in another, and which of them were found."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, None, winSize=(WINDOW, WINDOW), maxLevel=LEVELS  # type: ignore[call-overload]
    )
    return moved, found.ravel() == 1


def _moved(place: Place, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> Place | None:
    """``place`` as its points (n, 2) have moved; None where too few are left to tell."""
    if len(before) < LEAST_POINTS:
        return None
    shift = np.median(after - before, axis=0)
    # Distances of each point to the one that is half the list away: long ones, which tell a change of scale best.
    was, now = (np.linalg.norm(each - np.roll(each, len(each) // 2, axis=0), axis=1) for each in (before, after))
    growth = float(np.median(now / was))
    left, top, width, height = place
    return (
        left + float(shift[0]) - (growth - 1) * width / 2,
        top + float(shift[1]) - (growth - 1) * height / 2,
        growth * width,
        growth * height,
    )


def _is_seen(place: Place, shape: Sequence[int]) -> bool:
    """Whether the middle of ``place`` is still in a picture of ``shape``."""
    left, top, width, height = place
    return 0 <= left + width / 2 < shape[1] and 0 <= top + height / 2 < shape[0]
