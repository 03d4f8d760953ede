"""Track faces between detections by optical flow.

    tracker = Tracker(detector, detect_every=5)
    for track in tracker.update(image, gray, timestamp_ns=now):
        track.track_id, track.box

The method is median flow (Kalal, Mikolajczyk and Matas, "Forward-Backward Error: Automatic Detection of Tracking
Failures", ICPR 2010). Points inside the face are tracked to the new frame and back, and points that do not return to
their origin are discarded. The medians of the others translate and scale the box. benchmarks/live.py compares it with a
tracker of OpenCV.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.inference.face_detection import FaceBox, FaceDetector

__all__ = ["Track", "Tracker", "iou"]

# Optical flow runs on a copy whose longer side has at most this many pixels.
FLOW_SIDE = 320
GRID_POINTS = 8
# Points are placed in this part of the box, because its corners show the background.
GRID_RANGE = (0.15, 0.85)
FLOW_WINDOW, PYRAMID_LEVELS = 15, 3
# Forward-backward error in pixels of the flow image, and the number of points that must stay below it. Nearly all do
# when a face moves, turns or blurs; none do when it has left or the scene was cut.
MAX_FLOW_ERROR, MIN_POINTS = 1.0, GRID_POINTS**2 // 2
MIN_IOU = 0.3
# A track survives this many consecutive detections that miss it, as long as optical flow follows it.
MAX_MISSES = 2
# After a longer gap between two frames, all faces count as new.
MAX_GAP_NS = 1_000_000_000

Rect = tuple[float, float, float, float]


@dataclass(frozen=True)
class Track:
    """A tracked face.

    Attributes:
        track_id: number of the track, never reused.
        detection: box from the last detection.
        rect: current (left, top, width, height) in fractional pixels; rounding at every frame would add up to a drift.
        misses: number of consecutive detections that missed the face.
    """

    track_id: int
    detection: FaceBox
    rect: Rect
    misses: int = 0

    @classmethod
    def from_detection(cls, track_id: int, box: FaceBox) -> Track:
        """Create a track at a detected box."""
        return cls(track_id, box, (box.x, box.y, box.width, box.height))

    @property
    def box(self) -> FaceBox:
        """Current position, rounded to pixels."""
        left, top, width, height = (round(value) for value in self.rect)
        return FaceBox(left, top, max(1, width), max(1, height), self.detection.score)


class Tracker:
    """Face tracker for a single thread.

    Attributes:
        detector: the face detector.
        detect_every: detection interval, frames.
        tracks: faces in the last frame, oldest track first.
    """

    def __init__(self, detector: FaceDetector, *, detect_every: int = 5) -> None:
        """Create a tracker that runs ``detector`` on every ``detect_every``-th frame."""
        self.detector, self.detect_every = detector, detect_every
        self.tracks: tuple[Track, ...] = ()
        # Tracks lost by optical flow since the last detection; the next one may recover them.
        self._lost: tuple[Track, ...] = ()
        self._next_id = self._frame_count = 0
        self._previous: npt.NDArray[np.uint8] | None = None
        self._previous_ns = 0

    def update(
        self, image: npt.NDArray[np.uint8], gray: npt.NDArray[np.uint8], *, timestamp_ns: int
    ) -> tuple[Track, ...]:
        """Process the next frame and return its tracks.

        Args:
            image: uint8 BGR (h, w, 3).
            gray: uint8 (h, w), the same image in grayscale.
            timestamp_ns: capture time, nanoseconds.
        """
        flow_image, scale = _shrink(gray)
        is_gap = timestamp_ns - self._previous_ns > MAX_GAP_NS
        if self._previous is None or self._previous.shape != flow_image.shape or is_gap:
            # Nothing can be followed, so this frame counts as the first and is searched for faces.
            self.tracks, self._lost, self._frame_count = (), (), 0
        elif self.tracks:
            followed = self._follow(self._previous, flow_image, scale, gray.shape)
            followed_ids = {track.track_id for track in followed}
            self._lost += tuple(track for track in self.tracks if track.track_id not in followed_ids)
            self.tracks = followed
        if self._frame_count % self.detect_every == 0:
            self.tracks = self._match(self.detector.detect(image if self.detector.uses_color else gray))
        self._frame_count += 1
        self._previous, self._previous_ns = flow_image, timestamp_ns
        return self.tracks

    def _follow(
        self, before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], scale: float, shape: Sequence[int]
    ) -> tuple[Track, ...]:
        """Move the tracks by optical flow; drop those that it loses."""
        grids = [_point_grid(track.rect) * scale for track in self.tracks]
        points = np.concatenate(grids).astype(np.float32)
        forward, is_forward = _optical_flow(before, after, points)
        backward, is_backward = _optical_flow(after, before, forward)
        is_reliable = is_forward & is_backward & (np.linalg.norm(backward - points, axis=1) <= MAX_FLOW_ERROR)
        followed = []
        for index, track in enumerate(self.tracks):
            selection = slice(index * GRID_POINTS**2, (index + 1) * GRID_POINTS**2)
            mask = is_reliable[selection]
            rect = _move(track.rect, points[selection][mask] / scale, forward[selection][mask] / scale)
            if rect is not None and _is_visible(rect, shape):
                followed.append(replace(track, rect=rect))
        return tuple(followed)

    def _match(self, detections: Sequence[FaceBox]) -> tuple[Track, ...]:
        """Assign detections to tracks greedily, highest overlap first; start tracks for the others."""
        candidates = sorted((*self.tracks, *self._lost), key=lambda track: track.track_id)
        lost_ids, self._lost = {track.track_id for track in self._lost}, ()
        pairs = sorted(
            ((iou(track.box, box), candidate, detection)
             for candidate, track in enumerate(candidates) for detection, box in enumerate(detections)),
            reverse=True,
        )  # fmt: skip
        matches: dict[int, FaceBox] = {}
        matched: set[int] = set()
        for overlap, candidate, detection in pairs:
            if overlap >= MIN_IOU and candidate not in matches and detection not in matched:
                matches[candidate] = detections[detection]
                matched.add(detection)
        tracks = []
        for candidate, track in enumerate(candidates):
            if candidate in matches:
                tracks.append(Track.from_detection(track.track_id, matches[candidate]))
            elif track.track_id not in lost_ids and track.misses < MAX_MISSES:
                tracks.append(replace(track, misses=track.misses + 1))
        new_boxes = [box for detection, box in enumerate(detections) if detection not in matched]
        first_id, self._next_id = self._next_id, self._next_id + len(new_boxes)
        return (*tracks, *(Track.from_detection(track_id, box) for track_id, box in enumerate(new_boxes, first_id)))


def iou(first: FaceBox, second: FaceBox) -> float:
    """Compute the intersection over union of two boxes, in 0..1."""
    width = min(first.x + first.width, second.x + second.width) - max(first.x, second.x)
    height = min(first.y + first.height, second.y + second.height) - max(first.y, second.y)
    if width <= 0 or height <= 0:
        return 0.0
    intersection = width * height
    return intersection / (first.width * first.height + second.width * second.height - intersection)


def _shrink(gray: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], float]:
    """Return the image for optical flow, and its scale relative to ``gray``."""
    height, width = gray.shape
    scale = min(1.0, FLOW_SIDE / max(height, width))
    if scale == 1:
        return gray, scale
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8), scale


def _point_grid(rect: Rect) -> npt.NDArray[np.float64]:
    """Return a grid of points within ``rect``, (GRID_POINTS squared, 2)."""
    left, top, width, height = rect
    columns, rows = (np.linspace(*GRID_RANGE, GRID_POINTS) * side for side in (width, height))
    return np.stack(np.meshgrid(left + columns, top + rows), axis=-1).reshape(-1, 2)


def _optical_flow(
    before: npt.NDArray[np.uint8], after: npt.NDArray[np.uint8], points: npt.NDArray[Any]
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Track ``points``, float32 (n, 2), from one image to another; return positions and a mask of the tracked ones."""
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, None, winSize=(FLOW_WINDOW, FLOW_WINDOW), maxLevel=PYRAMID_LEVELS  # type: ignore[call-overload]
    )
    return moved, status.ravel() == 1


def _move(rect: Rect, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> Rect | None:
    """Translate and scale ``rect`` as its points (n, 2) moved; return None if there are too few points."""
    if len(before) < MIN_POINTS:
        return None
    shift = np.median(after - before, axis=0)
    # Pair each point with the one half the list away: long distances estimate the change of scale best.
    distances_before, distances_after = (
        np.linalg.norm(points - np.roll(points, len(points) // 2, axis=0), axis=1) for points in (before, after)
    )
    growth = float(np.median(distances_after / distances_before))
    left, top, width, height = rect
    return (
        left + float(shift[0]) - (growth - 1) * width / 2,
        top + float(shift[1]) - (growth - 1) * height / 2,
        growth * width,
        growth * height,
    )


def _is_visible(rect: Rect, shape: Sequence[int]) -> bool:
    """Return True if the center of ``rect`` is inside an image of ``shape``."""
    left, top, width, height = rect
    return 0 <= left + width / 2 < shape[1] and 0 <= top + height / 2 < shape[0]
