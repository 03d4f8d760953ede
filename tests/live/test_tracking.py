"""Faces that are followed: a portrait that moves over a background, found by the cascade and led by flow."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.preprocessing import to_grey
from edgefer.inference.face_detection import FaceBox, FaceDetector
from edgefer.live.tracking import Track, Tracker, overlap

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"
FRAME_NS = 33_333_333
# Where the cascade sees the face in the cut-out below, at full size.
FACE = FaceBox(71, 59, 111, 111)


@pytest.fixture(scope="module")
def cut_out() -> np.ndarray:
    return cv2.imread(str(PORTRAIT))[0:260, 90:350]


@pytest.fixture(scope="module")
def backdrop() -> np.ndarray:
    noise = np.random.default_rng(0).integers(60, 160, (480, 640, 3), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 5)


@pytest.fixture
def tracker() -> Tracker:
    return Tracker(FaceDetector.open(longest_side=320), detect_every=5)


def scene(backdrop: np.ndarray, *placed: tuple[np.ndarray, int, int]) -> np.ndarray:
    """The backdrop with pictures in it, each with its upper left corner."""
    image = backdrop.copy()
    for picture, x, y in placed:
        image[y : y + len(picture), x : x + picture.shape[1]] = picture
    return image


def fed(tracker: Tracker, images: list[np.ndarray], *, first_ns: int = 0) -> list[tuple[Track, ...]]:
    return [
        tracker.update(image, to_grey(image), at_ns=first_ns + count * FRAME_NS) for count, image in enumerate(images)
    ]


def at(x: int, y: int, scale: float = 1.0) -> FaceBox:
    """The face of a cut-out that was scaled and placed at (x, y)."""
    side = round(FACE.width * scale)
    return FaceBox(round(x + FACE.x * scale), round(y + FACE.y * scale), side, side)


def test_a_moving_face_keeps_its_number_and_its_box(
    tracker: Tracker, backdrop: np.ndarray, cut_out: np.ndarray
) -> None:
    places = [(20 + 5 * step, 40 + 3 * step) for step in range(40)]
    images = [scene(backdrop, (cut_out, x, y)) for x, y in places]
    for tracks, (x, y) in zip(fed(tracker, images), places):
        assert [track.number for track in tracks] == [0]
        assert overlap(tracks[0].box, at(x, y)) > 0.75


@pytest.mark.parametrize("frames", [20, 60])
def test_a_face_that_comes_nearer_grows_between_two_searches(
    backdrop: np.ndarray, cut_out: np.ndarray, frames: int
) -> None:
    tracker = Tracker(FaceDetector.open(longest_side=320), detect_every=1000)
    scales = np.linspace(0.8, 1.4, frames)
    images = [scene(backdrop, (cv2.resize(cut_out, None, fx=scale, fy=scale), 100, 50)) for scale in scales]
    seen = fed(tracker, images)
    first, last, growth = seen[0][0].box, seen[-1][0].box, 1.4 / 0.8
    assert last.width == pytest.approx(growth * first.width, rel=0.05)
    assert last.x == pytest.approx(100 + growth * (first.x - 100), abs=6)
    assert last.y == pytest.approx(50 + growth * (first.y - 50), abs=6)


def test_two_faces_are_two_and_who_leaves_is_gone(
    tracker: Tracker, backdrop: np.ndarray, cut_out: np.ndarray
) -> None:
    small = cv2.resize(cut_out, None, fx=0.8, fy=0.8)
    both = [scene(backdrop, (cut_out, 10, 20 + step), (small, 400, 200 - step)) for step in range(20)]
    alone = [scene(backdrop, (small, 400, 180)) for _ in range(10)]
    seen = fed(tracker, both + alone)
    assert {tuple(track.number for track in tracks) for tracks in seen[:20]} == {(0, 1)}
    left, right = seen[19]
    assert overlap(left.box, at(10, 39)) > 0.7
    assert overlap(right.box, at(400, 181, 0.8)) > 0.7
    # It vanishes at once, and flow does not lead its box to whatever is there now.
    assert {tuple(track.number for track in tracks) for tracks in seen[20:]} == {(1,)}


def test_a_face_that_comes_back_is_a_new_one(tracker: Tracker, backdrop: np.ndarray, cut_out: np.ndarray) -> None:
    there, empty = scene(backdrop, (cut_out, 200, 100)), scene(backdrop)
    seen = fed(tracker, [there] * 6 + [empty] * 10 + [there] * 10)
    assert [tuple(track.number for track in tracks) for tracks in (seen[5], seen[12], seen[-1])] == [(0,), (), (1,)]


def test_after_a_gap_whoever_is_there_is_new(tracker: Tracker, backdrop: np.ndarray, cut_out: np.ndarray) -> None:
    there = scene(backdrop, (cut_out, 200, 100))
    before = fed(tracker, [there] * 5)
    after = fed(tracker, [there] * 5, first_ns=3_000_000_000)
    assert (before[-1][0].number, after[0][0].number) == (0, 1)


@pytest.mark.parametrize(("in_colour", "dimensions"), [(False, 2), (True, 3)])
def test_only_every_so_many_frames_are_searched_in_the_colours_that_the_detector_looks_at(
    backdrop: np.ndarray, in_colour: bool, dimensions: int
) -> None:
    searched: list[int] = []

    class Counting:
        def find(self, image: np.ndarray) -> list[FaceBox]:
            searched.append(image.ndim)
            return []

    fed(Tracker(FaceDetector(Counting(), in_colour=in_colour), detect_every=4), [backdrop] * 12)
    assert searched == [dimensions] * 3


def test_a_search_that_misses_a_face_does_not_end_it_but_three_do(backdrop: np.ndarray, cut_out: np.ndarray) -> None:
    answers = [[FACE], [], [], [], []]

    class Forgetful:
        def find(self, image: np.ndarray) -> list[FaceBox]:
            return answers.pop(0)

    image = scene(backdrop, (cut_out, 0, 0))
    tracker = Tracker(FaceDetector(Forgetful(), longest_side=640), detect_every=2)
    assert [len(tracks) for tracks in fed(tracker, [image] * 9)] == [1, 1, 1, 1, 1, 1, 0, 0, 0]


def test_a_face_that_flow_has_lost_is_found_again_under_its_number(
    tracker: Tracker, backdrop: np.ndarray, cut_out: np.ndarray
) -> None:
    there = scene(backdrop, (cut_out, 200, 100))
    hidden = scene(backdrop, (np.full((140, 140, 3), 30, np.uint8), 255, 145))
    seen = fed(tracker, [there] * 6 + [hidden] + [there] * 6)
    assert seen[6] == ()
    assert [track.number for track in seen[-1]] == [0]


def test_a_change_of_size_starts_again(tracker: Tracker, backdrop: np.ndarray, cut_out: np.ndarray) -> None:
    there = scene(backdrop, (cut_out, 200, 100))
    fed(tracker, [there] * 3)
    assert fed(tracker, [np.ascontiguousarray(there[:300])], first_ns=4 * FRAME_NS) == [()]


def test_overlaps() -> None:
    box = FaceBox(10, 10, 20, 10)
    assert overlap(box, box) == 1
    assert overlap(box, FaceBox(20, 10, 20, 10)) == pytest.approx(1 / 3)
    assert overlap(box, FaceBox(30, 10, 20, 10)) == 0
