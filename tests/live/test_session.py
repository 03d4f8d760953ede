"""Live video end to end: a moving portrait, the Haar cascade, optical flow and the shipped model."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.device.sysfs import rss_bytes
from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import CapturedFrame, Source
from edgefer.live.frame_result import FrameResult
from edgefer.live.runner import run_live
from edgefer.live.session import Live
from edgefer.models import SHIPPED

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"
COUNT = 60


def portraits(count: int = COUNT) -> Iterator[np.ndarray]:
    """Yield frames with a moving, smiling face that is visible in twenty frames out of sixty."""
    portrait = cv2.imread(str(PORTRAIT))[0:260, 90:350]
    background = cv2.GaussianBlur(np.random.default_rng(0).integers(60, 160, (480, 640, 3), np.uint8), (0, 0), 5)
    for step in range(count):
        image = background.copy()
        if 20 <= step % COUNT < 40:
            left = 100 + 3 * (step % COUNT)
            image[100 : 100 + 260, left : left + 260] = portrait
        yield image


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, film: Callable[..., Path]) -> Source:
    return Source("video", str(film(tmp_path_factory.mktemp("films") / "clip.avi", portraits())))


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline.open(SHIPPED, longest_side=320)


def test_a_face_is_labeled_and_tracked_while_it_is_visible(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True) as live:
        results = [*live]
    assert [result.number for result in results] == [*range(COUNT)]
    with_face = [result for result in results if result.faces]
    # Detection runs on every fifth frame, and frame 20 is one of them.
    assert [result.number for result in with_face] == [*range(20, 40)]
    for result in with_face:
        (face,) = result.faces
        assert (face.track, face.label) == (0, "happy")
        assert face.probability == max(face.probabilities) > 0.5
        assert sum(face.probabilities) == pytest.approx(1, abs=1e-5)
        center = face.box.x + face.box.width / 2, face.box.y + face.box.height / 2
        assert center == pytest.approx((100 + 3 * result.number + 127, 100 + 114), abs=12)
    assert results[0].labels == LABELS


def test_probabilities_equal_those_of_the_classifier_on_the_crop(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True, time_constant_s=0) as live:
        result = next(result for result in live if result.faces)
    (face,) = result.faces
    assert pipeline.detector is not None
    prediction = Classifier.open(SHIPPED).predict(pipeline.detector.crop(result.image, face.box))
    np.testing.assert_array_equal(np.float32(face.probabilities), prediction.probabilities)
    assert face.label == prediction.label


def test_smoothing_uses_the_time_of_the_video(clip: Source, pipeline: Pipeline) -> None:
    def mean_change(time_constant_s: float) -> float:
        with Live(pipeline, clip, every_frame=True, time_constant_s=time_constant_s) as live:
            probabilities = np.array([result.faces[0].probabilities for result in live if result.faces])
        return float(np.abs(np.diff(probabilities, axis=0)).mean())

    assert mean_change(30.0) < 0.2 * mean_change(0.0)


def test_faces_below_the_minimum_confidence_are_unsure(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True, min_confidence=1.0) as live:
        faces = [face for result in live for face in result.faces]
    assert {face.label for face in faces} == {"unsure"}
    assert all(face.probability > 0.5 for face in faces)


def test_draw_annotates_the_frames_with_a_face(clip: Source, pipeline: Pipeline) -> None:
    def images(draw: bool) -> list[np.ndarray]:
        with Live(pipeline, clip, every_frame=True, draw=draw) as live:
            yielded = [result.image for result in live]
            assert (live.timing.draw is not None) == draw
        return yielded

    annotated, plain = images(True), images(False)
    is_changed = [bool((first != second).any()) for first, second in zip(annotated, plain)]
    assert is_changed == [20 <= number < 40 for number in range(COUNT)]


def test_stage_shares_sum_to_one(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True) as live:
        summary = run_live(live, [])
    timing = summary.timing
    stages = (timing.grab, timing.detect, timing.preprocess, timing.invoke, timing.draw, timing.publish)
    assert sum(stage.share for stage in stages if stage) == pytest.approx(1)
    assert timing.detect is not None
    assert timing.detect.p90_ms > 2 * timing.detect.p50_ms
    assert "the classifier takes" in timing.sentence()
    assert (summary.frames, summary.frames_with_faces, summary.tracks, summary.disconnects) == (COUNT, 20, 1, 0)
    assert summary.fps is not None
    assert summary.age_ms is not None


class SlowSink:
    """Sink that takes 80 ms per frame."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.is_closed = False

    def publish(self, result: FrameResult) -> None:
        self.numbers.append(result.number)
        time.sleep(0.08)

    def close(self) -> None:
        self.is_closed = True


def test_a_slow_sink_drops_frames_and_keeps_their_age_below_two_frame_times(clip: Source, pipeline: Pipeline) -> None:
    sink = SlowSink()
    with Live(pipeline, clip) as live:
        summary = run_live(live, [sink])
        dropped = live.dropped
    assert summary.max_age_in_frames is not None
    assert 0 < summary.max_age_in_frames < 2
    assert summary.age_ms is not None
    assert summary.age_ms[0] > 80
    assert dropped > COUNT / 3
    assert sink.is_closed
    assert sink.numbers == sorted(set(sink.numbers))
    assert len(sink.numbers) + dropped == COUNT


def test_the_time_of_a_sink_is_its_own_stage(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True, draw=True) as live:
        timing = run_live(live, [SlowSink()], frames=5).timing
    assert timing.publish is not None
    assert timing.draw is not None
    assert timing.publish.p50_ms >= 80
    assert timing.draw.p50_ms < timing.publish.p50_ms / 2


def test_limits_and_stop_end_the_run(clip: Source, pipeline: Pipeline) -> None:
    with Live(pipeline, clip, every_frame=True) as live:
        assert run_live(live, [], frames=7).frames == 7
    with Live(pipeline, clip) as live:
        summary = run_live(live, [], seconds=0.3)
    assert 0 < summary.frames + summary.timing.dropped < COUNT
    with Live(pipeline, clip) as live:
        live.stop()
        assert [*live] == []


class LostCamera:
    """Source and camera that is lost after some frames and cannot be reopened."""

    live, fps = True, None

    def __init__(self, frames: int) -> None:
        self.images, self.is_open = iter([*portraits(frames)]), False

    def open(self) -> LostCamera:
        if self.is_open:
            raise DeviceUnreachable("no camera at /dev/video0")
        self.is_open = True
        return self

    def read(self) -> CapturedFrame:
        for image in self.images:
            return CapturedFrame(image, time.monotonic_ns(), 1000)
        raise DeviceUnreachable("no frame from camera 0", why="it was unplugged")

    def close(self) -> None:
        """Release nothing."""


@pytest.mark.parametrize(("frames", "first_frame_s"), [(0, 0.2), (3, 60.0)])
def test_a_limit_ends_a_session_whose_camera_was_lost(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch, frames: int, first_frame_s: float
) -> None:
    monkeypatch.setattr("edgefer.live.runner.FIRST_FRAME_S", first_frame_s)
    with Live(pipeline, LostCamera(frames), every_frame=True) as live:
        summary = run_live(live, [], seconds=0.2)
    assert bool(summary.frames) == bool(frames)
    assert summary.disconnects == 1


def test_invalid_arguments_raise_usage_errors(clip: Source, pipeline: Pipeline) -> None:
    with pytest.raises(UsageError, match="without a detector"):
        Live(Pipeline(pipeline.classifier, None), clip)
    with pytest.raises(UsageError, match="detection every 0 frames"):
        Live(pipeline, clip, detect_every=0)
    with pytest.raises(UsageError, match="minimum confidence of 2"):
        Live(pipeline, clip, min_confidence=2)


@pytest.mark.slow
def test_memory_does_not_grow(tmp_path: Path, pipeline: Pipeline, film: Callable[..., Path]) -> None:
    """Run a short version of benchmarks/live_soak.py, whose result is in benchmarks/results/live-soak.json."""
    path = film(tmp_path / "long.avi", portraits(2500))
    sizes = []
    with Live(pipeline, Source("video", str(path)), every_frame=True, detect_every=25) as live:
        for result in live:
            if result.number % 100 == 0 and result.number >= 1000:
                sizes.append(rss_bytes())
    assert len(sizes) == 15
    assert max(sizes) < 1.05 * min(sizes)
