"""Live video end to end on a board: a portrait that moves, the cascade, flow, the model that ships."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.device.sysfs import rss_bytes
from edgefer.errors import UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import Source
from edgefer.live.frame_result import FrameResult
from edgefer.live.runner import run_live
from edgefer.live.session import Live
from edgefer.models import SHIPPED

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"
COUNT = 60


def portraits(count: int = COUNT) -> Iterator[np.ndarray]:
    """A smiling face that moves, and is there for twenty frames of sixty."""
    cut_out = cv2.imread(str(PORTRAIT))[0:260, 90:350]
    backdrop = cv2.GaussianBlur(np.random.default_rng(0).integers(60, 160, (480, 640, 3), np.uint8), (0, 0), 5)
    for step in range(count):
        image = backdrop.copy()
        if 20 <= step % COUNT < 40:
            left = 100 + 3 * (step % COUNT)
            image[100 : 100 + 260, left : left + 260] = cut_out
        yield image


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, film: Callable[..., Path]) -> Source:
    return Source("video", str(film(tmp_path_factory.mktemp("films") / "clip.avi", portraits())))


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.open(SHIPPED, longest_side=320)


def test_a_face_comes_is_named_under_one_number_and_goes(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True) as live:
        scenes = [*live]
    assert [scene.number for scene in scenes] == [*range(COUNT)]
    there = [scene for scene in scenes if scene.faces]
    # It is searched for in every fifth frame.
    assert [scene.number for scene in there] == [*range(20, 40)]
    for scene in there:
        (face,) = scene.faces
        assert (face.track, face.label) == (0, "happy")
        assert face.probability == max(face.probabilities) > 0.5
        assert sum(face.probabilities) == pytest.approx(1, abs=1e-5)
        middle = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
        assert middle == pytest.approx((100 + 3 * scene.number + 127, 100 + 114), abs=12)
    assert scenes[0].labels == LABELS


def test_a_face_is_what_the_classifier_says_of_its_crop(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True, time_constant_s=0) as live:
        scene = next(scene for scene in live if scene.faces)
    (face,) = scene.faces
    assert pipeline.finder is not None
    prediction = Classifier.open(SHIPPED).predict(pipeline.finder.crop(scene.image, face.box))
    np.testing.assert_array_equal(np.float32(face.probabilities), prediction.probabilities)
    assert face.label == prediction.label


def test_labels_are_smoothed_over_the_time_of_the_film(clip: Source, pipeline: Pipeline) -> None:
    def spread(time_constant_s: float) -> float:
        with Live(pipeline, clip, every_frame=True, time_constant_s=time_constant_s) as live:
            shares = np.array([scene.faces[0].probabilities for scene in live if scene.faces])
        return float(np.abs(np.diff(shares, axis=0)).mean())

    assert spread(30.0) < 0.2 * spread(0.0)


def test_nothing_is_named_that_is_not_probable_enough(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True, unsure_below=1.0) as live:
        faces = [face for scene in live for face in scene.faces]
    assert {face.label for face in faces} == {"unsure"}
    assert all(face.probability > 0.5 for face in faces)


def test_boxes_are_drawn_where_somebody_looks(clip: Source, pipeline: Pipeline) -> None:
    def pictures(draw: bool) -> list[np.ndarray]:
        with Live(pipeline, clip, every_frame=True, draw=draw) as live:
            return [scene.image for scene in live]

    drawn, plain = pictures(True), pictures(False)
    changed = [bool((one != other).any()) for one, other in zip(drawn, plain)]
    assert changed == [20 <= number < 40 for number in range(COUNT)]


def test_the_budget_adds_up(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True) as live:
        shown = run_live(live, [])
    budget = shown.budget
    stages = (budget.grab, budget.detect, budget.preprocess, budget.invoke, budget.draw)
    assert sum(stage.share for stage in stages if stage) == pytest.approx(1)
    assert budget.detect is not None
    assert budget.detect.p90_ms > 2 * budget.detect.p50_ms
    assert "the classifier is" in budget.sentence()
    assert (shown.frames, shown.with_faces, shown.tracks, shown.losses) == (COUNT, 20, 1, 0)
    assert shown.fps is not None
    assert shown.ages_ms is not None


class Slow:
    """Somebody who takes his time with each scene."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def publish(self, scene: FrameResult) -> None:
        self.numbers.append(scene.number)
        time.sleep(0.08)

    def close(self) -> None:
        self.numbers.append(-1)


def test_at_its_own_rate_a_slow_reader_sees_frames_that_are_less_than_two_frame_times_old(
    clip: Source, pipeline: Pipeline
) -> None:
    slow = Slow()
    with Live(pipeline, clip) as live:
        shown = run_live(live, [slow])
        dropped = live.grabber.dropped
    assert shown.oldest_frame_times is not None
    assert 0 < shown.oldest_frame_times < 2
    assert shown.ages_ms is not None
    assert shown.ages_ms[0] > 80
    assert dropped > COUNT / 3
    assert slow.numbers.pop() == -1
    assert slow.numbers == sorted(set(slow.numbers))
    assert len(slow.numbers) + dropped == COUNT


def test_limits_and_stop_end_it(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True) as live:
        assert run_live(live, [], frames=7).frames == 7
    begin = time.monotonic()
    with Live(pipeline, clip) as live:
        shown = run_live(live, [], seconds=0.3)
    assert 0 < shown.frames < COUNT
    assert time.monotonic() - begin < 2
    with Live(pipeline, clip) as live:
        live.stop()
        assert [*live] == []


def test_slips(clip: Source, pipeline: Pipeline) -> None:
    with pytest.raises(UsageError, match="without a detector"):
        Live(Pipeline(pipeline.classifier, None), clip)
    with pytest.raises(UsageError, match="a search every 0 frames"):
        Live(pipeline, clip, detect_every=0)
    with pytest.raises(UsageError, match="unsure below 2"):
        Live(pipeline, clip, unsure_below=2)


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path, pipeline: Pipeline, film: Callable[..., Path]) -> None:
    """A short form of benchmarks/live_soak.py, whose result is in benchmarks/results/live-soak.json."""
    path = film(tmp_path / "long.avi", portraits(2500))
    sizes = []
    with Live(pipeline, Source("video", str(path)), every_frame=True, detect_every=25) as live:
        for scene in live:
            if scene.number % 100 == 0 and scene.number >= 1000:
                sizes.append(rss_bytes())
    assert len(sizes) == 15
    assert max(sizes) < 1.05 * min(sizes)
