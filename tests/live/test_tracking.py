"""Tracking of a moving portrait, detected by the Haar cascade and followed by optical flow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.preprocessing import to_gray
from edgefer.inference.face_detection import FaceBox, FaceDetector
from edgefer.live.tracking import Track, Tracker, iou

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"
FRAME_NS = 33_333_333
# Box that the cascade detects in the cropped portrait below.
FACE = FaceBox(71, 59, 111, 111)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return cv2.imread(str(PORTRAIT))[0:260, 90:350]


@pytest.fixture(scope="module")
def background() -> np.ndarray:
    noise = np.random.default_rng(0).integers(60, 160, (480, 640, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 5)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(FaceDetector.open(longest_side=320), detect_every=5)


def compose(background: np.ndarray, *patches: tuple[np.ndarray, int, int]) -> np.ndarray:
    """Return the background with patches, each at (x, y) of its upper left corner."""
    image = background.copy()
    for patch, x, y in patches:
        image[y : y + len(patch), x : x + patch.shape[1]] = patch
    return image


def track_all(tracker: Tracker, images: list[np.ndarray], *, first_ns: int = 0) -> list[tuple[Track, ...]]:
    return [
        tracker.update(image, to_gray(image), timestamp_ns=first_ns + index * FRAME_NS)
        for index, image in enumerate(images)
    ]


def true_box(x: int, y: int, scale: float = 1.0) -> FaceBox:
    """Return the face box of a scaled portrait at (x, y)."""
    side = round(FACE.width * scale)
    return FaceBox(round(x + FACE.x * scale), round(y + FACE.y * scale), side, side)


def track_ids(tracks: tuple[Track, ...]) -> tuple[int, ...]:
    return tuple(track.track_id for track in tracks)


def test_a_moving_face_keeps_its_id_and_its_box(
    tracker: Tracker, background: np.ndarray, portrait: np.ndarray
) -> None:
    positions = [(20 + 5 * step, 40 + 3 * step) for step in range(40)]
    images = [compose(background, (portrait, x, y)) for x, y in positions]
    for tracks, (x, y) in zip(track_all(tracker, images), positions):
        assert track_ids(tracks) == (0,)
        assert iou(tracks[0].box, true_box(x, y)) > 0.75


@pytest.mark.parametrize("frames", [20, 60])
def test_the_box_of_an_approaching_face_grows_between_detections(
    background: np.ndarray, portrait: np.ndarray, frames: int
) -> None:
    tracker = Tracker(FaceDetector.open(longest_side=320), detect_every=1000)
    scales = np.linspace(0.8, 1.4, frames)
    images = [compose(background, (cv2.resize(portrait, None, fx=scale, fy=scale), 100, 50)) for scale in scales]
    history = track_all(tracker, images)
    first, last, growth = history[0][0].box, history[-1][0].box, 1.4 / 0.8
    assert last.width == pytest.approx(growth * first.width, rel=0.05)
    assert last.x == pytest.approx(100 + growth * (first.x - 100), abs=6)
    assert last.y == pytest.approx(50 + growth * (first.y - 50), abs=6)


def test_two_faces_have_two_tracks_and_a_face_that_leaves_loses_its_track(
    tracker: Tracker, background: np.ndarray, portrait: np.ndarray
) -> None:
    small = cv2.resize(portrait, None, fx=0.8, fy=0.8)
    both = [compose(background, (portrait, 10, 20 + step), (small, 400, 200 - step)) for step in range(20)]
    alone = [compose(background, (small, 400, 180)) for _ in range(10)]
    history = track_all(tracker, both + alone)
    assert {track_ids(tracks) for tracks in history[:20]} == {(0, 1)}
    left, right = history[19]
    assert iou(left.box, true_box(10, 39)) > 0.7
    assert iou(right.box, true_box(400, 181, 0.8)) > 0.7
    # The track ends with the first frame without the face, and does not attach to the background.
    assert {track_ids(tracks) for tracks in history[20:]} == {(1,)}


def test_a_face_that_returns_gets_a_new_id(tracker: Tracker, background: np.ndarray, portrait: np.ndarray) -> None:
    visible, empty = compose(background, (portrait, 200, 100)), compose(background)
    history = track_all(tracker, [visible] * 6 + [empty] * 10 + [visible] * 10)
    assert [track_ids(tracks) for tracks in (history[5], history[12], history[-1])] == [(0,), (), (1,)]


def test_after_a_time_gap_a_face_gets_a_new_id(tracker: Tracker, background: np.ndarray, portrait: np.ndarray) -> None:
    image = compose(background, (portrait, 200, 100))
    before = track_all(tracker, [image] * 5)
    after = track_all(tracker, [image] * 5, first_ns=3_000_000_000)
    assert (track_ids(before[-1]), track_ids(after[0])) == ((0,), (1,))


@pytest.mark.parametrize(("uses_color", "dimensions"), [(False, 2), (True, 3)])
def test_detection_runs_on_every_nth_frame_in_the_channels_of_the_detector(
    background: np.ndarray, uses_color: bool, dimensions: int
) -> None:
    calls: list[int] = []

    class CountingDetector:
        def detect(self, image: np.ndarray) -> list[FaceBox]:
            calls.append(image.ndim)
            return []

    track_all(Tracker(FaceDetector(CountingDetector(), uses_color=uses_color), detect_every=4), [background] * 12)
    assert calls == [dimensions] * 3


def test_a_track_survives_two_missed_detections_but_not_three(background: np.ndarray, portrait: np.ndarray) -> None:
    detections = [[FACE], [], [], [], []]

    class ForgetfulDetector:
        def detect(self, image: np.ndarray) -> list[FaceBox]:
            return detections.pop(0)

    image = compose(background, (portrait, 0, 0))
    tracker = Tracker(FaceDetector(ForgetfulDetector(), longest_side=640), detect_every=2)
    assert [len(tracks) for tracks in track_all(tracker, [image] * 9)] == [1, 1, 1, 1, 1, 1, 0, 0, 0]


def test_a_detection_recovers_a_track_that_optical_flow_lost(
    tracker: Tracker, background: np.ndarray, portrait: np.ndarray
) -> None:
    visible = compose(background, (portrait, 200, 100))
    occluded = compose(background, (np.full((140, 140, 3), 30, np.uint8), 255, 145))
    history = track_all(tracker, [visible] * 6 + [occluded] + [visible] * 6)
    assert history[6] == ()
    assert track_ids(history[-1]) == (0,)


def test_frames_that_are_far_apart_are_all_searched_for_faces(
    tracker: Tracker, background: np.ndarray, portrait: np.ndarray
) -> None:
    image = compose(background, (portrait, 200, 100))
    history = [tracker.update(image, image[..., 0], timestamp_ns=number * 2_000_000_000) for number in range(6)]
    assert [track_ids(tracks) for tracks in history] == [(number,) for number in range(6)]


def test_a_change_of_frame_size_ends_all_tracks(
    tracker: Tracker, background: np.ndarray, portrait: np.ndarray
) -> None:
    image = compose(background, (portrait, 200, 100))
    track_all(tracker, [image] * 3)
    (tracks,) = track_all(tracker, [np.ascontiguousarray(image[:300])], first_ns=4 * FRAME_NS)
    assert track_ids(tracks) == (1,)


def test_intersection_over_union() -> None:
    box = FaceBox(10, 10, 20, 10)
    assert iou(box, box) == 1
    assert iou(box, FaceBox(20, 10, 20, 10)) == pytest.approx(1 / 3)
    assert iou(box, FaceBox(30, 10, 20, 10)) == 0
