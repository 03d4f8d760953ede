"""Recognize expressions in live video: capture frames, track faces, and classify them with smoothed labels.

    source = find_source(video="clip.mp4")          # or camera="0", stream="rtsp://..."
    with Live(Pipeline.open(SHIPPED, longest_side=320), source) as live:
        for result in live:                         # FrameResult of the newest frame
            result.faces, result.age_ms, result.timing.sentence()

Leaving the loop, calling stop() from another thread, or the end of the video ends the session. Processing runs in the
iterating thread, and a second thread reads the camera.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import prepare, to_gray
from edgefer.errors import UsageError
from edgefer.inference.output import draw_boxes
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import Source
from edgefer.live.frame_grabber import Frame, FrameGrabber
from edgefer.live.frame_result import UNSURE, FrameResult, FrameTiming, Health, LiveFace
from edgefer.live.profiling import DeviceMonitor, StageProfiler
from edgefer.live.smoothing import LogitSmoother
from edgefer.live.tracking import Track, Tracker

__all__ = ["Live"]


class Live:
    """Live expression recognition on one source; iterate to get a FrameResult per frame.

    Attributes:
        classifier: classifies the face crops.
        tracker: detects and tracks the faces.
        every_frame: True if no frame is dropped.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        *,
        detect_every: int = 5,
        time_constant_s: float = 0.5,
        min_confidence: float = 0.5,
        every_frame: bool = False,
        draw: bool = False,
        log: Callable[[str], None] = lambda message: None,
    ) -> None:
        """Configure the session; entering the context opens the source.

        Args:
            pipeline: classifier and face detector; both are required.
            source: the camera, video or stream to read.
            detect_every: run face detection on every n-th frame, and track faces in between.
            time_constant_s: time constant of the logit smoothing, seconds; 0 disables it.
            min_confidence: label a face "unsure" if its highest probability is lower; in 0..1.
            every_frame: process every frame of a video, as fast as possible, instead of playing it at its own rate.
            draw: draw boxes and labels into the images.
            log: receives a message when the camera disconnects or reconnects, from the grabber thread.

        Raises:
            UsageError: the pipeline has no detector, or a value is out of range.
        """
        if pipeline.detector is None:
            why = "faces in a camera image are not cropped"
            raise UsageError("live video without a detector", why=why, hint="Pipeline(classifier, FaceDetector.open())")
        if detect_every < 1:
            what = f"detection every {detect_every} frames"
            raise UsageError(what, why="expected 1 or more", hint="--detect-every 5")
        if not 0 <= min_confidence <= 1:
            what = f"minimum confidence of {min_confidence:g}"
            raise UsageError(what, why="expected 0 to 1", hint="--min-confidence 0.5")
        self.classifier, self.every_frame = pipeline.classifier, every_frame
        self.tracker = Tracker(pipeline.detector, detect_every=detect_every)
        self._detector = pipeline.detector
        self._grabber = FrameGrabber(source, every_frame=every_frame, log=log)
        self._smoother = LogitSmoother(time_constant_s=time_constant_s)
        self._profiler, self._monitor = StageProfiler(), DeviceMonitor()
        self._min_confidence, self._draw = min_confidence, draw
        self._background = contextlib.ExitStack()
        self._stopping = False

    def __enter__(self) -> Live:
        self._background.enter_context(self._grabber)
        self._background.enter_context(self._monitor)
        return self

    def __exit__(self, *exception: Any) -> None:
        self._background.close()

    @property
    def timing(self) -> FrameTiming:
        """Time per stage up to now; FrameResult.timing is up to a quarter of a second older."""
        return self._profiler.compute(dropped=self._grabber.dropped)

    @property
    def health(self) -> Health:
        """Latest temperature and throttling of the device."""
        return self._monitor.health

    @property
    def dropped(self) -> int:
        """Number of frames skipped for a newer one."""
        return self._grabber.dropped

    @property
    def disconnects(self) -> int:
        """Number of times the camera was lost."""
        return self._grabber.disconnects

    @property
    def frame_interval_s(self) -> float | None:
        """Median time between two captured frames, seconds; None before the second frame."""
        return self._grabber.interval_s

    def stop(self) -> None:
        """End the iteration; safe to call from any thread or signal handler."""
        self._stopping = True
        self._grabber.stop()

    def __iter__(self) -> Iterator[FrameResult]:
        """Yield the result of the newest frame until stop() or the end of the video.

        Raises:
            EdgeferError: the source failed and cannot be reopened.
        """
        while not self._stopping and (frame := self._grabber.next_frame()) is not None:
            result = self._process(frame)
            begin = time.perf_counter_ns()
            yield result
            self._profiler.add("publish", time.perf_counter_ns() - begin)
            self._profiler.end_frame(dropped=self._grabber.dropped)

    def _process(self, frame: Frame) -> FrameResult:
        captured, profiler = frame.captured, self._profiler
        profiler.add("grab", captured.grab_ns)
        with profiler.measure("detect"):
            gray = to_gray(captured.image)
            tracks = self.tracker.update(captured.image, gray, timestamp_ns=frame.timestamp_ns)
        is_gray = self.classifier.artifact.input_spec.channels == "gray"
        source = gray if is_gray else captured.image
        faces = self._classify(tracks, source, frame.timestamp_ns) if tracks else ()
        self._smoother.retain(track.track_id for track in tracks)
        image = captured.image
        if self._draw:
            with profiler.measure("draw"):
                image = draw_boxes(image, [(face.box, face.caption) for face in faces])
        return FrameResult(
            number=frame.number,
            captured_ns=captured.captured_ns,
            age_ms=(time.monotonic_ns() - captured.captured_ns) / 1e6,
            image=image,
            faces=faces,
            labels=self.classifier.artifact.labels,
            timing=profiler.timing,
            health=self._monitor.health,
        )

    def _classify(
        self, tracks: Sequence[Track], image: npt.NDArray[np.uint8], timestamp_ns: int
    ) -> tuple[LiveFace, ...]:
        artifact = self.classifier.artifact
        with self._profiler.measure("preprocess"):
            crops = np.stack([prepare(self._detector.crop(image, track.box), artifact.input_spec) for track in tracks])
        with self._profiler.measure("invoke"):
            logits = self.classifier.logits(crops)
        smoothed = np.stack([
            self._smoother.smooth(track.track_id, row, timestamp_ns=timestamp_ns) for track, row in zip(tracks, logits)
        ])  # fmt: skip
        return tuple(map(self._label, tracks, artifact.probabilities(smoothed)))

    def _label(self, track: Track, probabilities: npt.NDArray[np.float32]) -> LiveFace:
        best = int(probabilities.argmax())
        probability = float(probabilities[best])
        label = self.classifier.artifact.labels[best] if probability >= self._min_confidence else UNSURE
        return LiveFace(track.track_id, track.box, label, probability, tuple(probabilities.tolist()))
