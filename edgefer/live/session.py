"""Expressions in live video: frames as they come, faces that are followed, labels that do not flicker.

    source = find_source(video="clip.mp4")          # or camera="0", stream="rtsp://..."
    with Live(Pipeline.open(SHIPPED, longest_side=320), source) as live:
        for scene in live:                          # Scene, of the newest frame each time
            scene.faces, scene.age_ms, scene.budget.sentence()

Leaving the loop, stop() from another thread and the end of a video end it. It works in the thread that iterates; a
second one reads the camera.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.preprocessing import prepare, to_grey
from edgefer.errors import UsageError
from edgefer.inference.output import mark
from edgefer.inference.pipeline import Pipeline
from edgefer.live.camera import Source
from edgefer.live.frame_grabber import Frame, Grabber
from edgefer.live.frame_result import UNSURE, FrameResult, FrameTiming, Health, LiveFace
from edgefer.live.profiling import DeviceMonitor, StageProfiler
from edgefer.live.smoothing import LogitSmoother
from edgefer.live.tracking import Track, Tracker

__all__ = ["Live"]


class Live:
    """A camera, and what is seen through it.

    Attributes:
        grabber: knows how many frames were passed over, and how often the camera was gone.
        tracker: knows the faces.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        source: Source,
        *,
        detect_every: int = 5,
        time_constant_s: float = 0.5,
        unsure_below: float = 0.5,
        every_frame: bool = False,
        draw: bool = False,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> None:
        """Nothing is opened before the ``with``.

        Args:
            pipeline: the classifier, and the finder, which it must have.
            source: where frames come from.
            detect_every: of how many frames one is searched for faces; in the others they are followed.
            time_constant_s: of the smoothing of each face's logits, seconds.
            unsure_below: a face whose best probability is less has the label "unsure".
            every_frame: pass over no frame of a video, and do not wait for its own rate.
            draw: draw boxes and labels into the images.
            tell: is told when the camera is gone, and when it is back.

        Raises:
            UsageError: a pipeline without a finder, or a value out of its range.
        """
        if pipeline.finder is None:
            why = "nobody has cropped its faces"
            raise UsageError("live video without a detector", why=why, hint="Pipeline(classifier, FaceDetector.open())")
        if detect_every < 1 or not 0 <= unsure_below <= 1:
            what = f"a search every {detect_every} frames, unsure below {unsure_below:g}"
            why = "1 or more, and 0 to 1, were expected"
            raise UsageError(what, why=why, hint="--detect-every 5 --min-confidence 0.5")
        self.classifier, self.finder = pipeline.classifier, pipeline.finder
        self.grabber = Grabber(source, every_frame=every_frame, tell=tell)
        self.tracker = Tracker(pipeline.finder, detect_every=detect_every)
        self._steady, self._watch, self._watchman = LogitSmoother(time_constant_s=time_constant_s), StageProfiler(), DeviceMonitor()
        self._unsure_below, self._draw = unsure_below, draw
        self._stopping = False

    def __enter__(self) -> Live:
        self.grabber.start()
        self._watchman.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.grabber.close()
        self._watchman.__exit__()

    @property
    def budget(self) -> FrameTiming:
        """Where the time of the last frames went; that of a scene is up to a quarter of a second older."""
        return self._watch.refreshed(dropped=self.grabber.dropped)

    @property
    def health(self) -> Health:
        """How the device is."""
        return self._watchman.health

    def stop(self) -> None:
        """End the iteration; from any thread, or a signal's handler."""
        self._stopping = True
        self.grabber.stop()

    def __iter__(self) -> Iterator[FrameResult]:
        """A Scene of the newest frame, again and again, until stop() or the end of a video.

        Raises:
            EdgeferError: the source broke and is none that comes back.
        """
        while not self._stopping and (frame := self.grabber.take()) is not None:
            scene = self._look(frame)
            begin = time.perf_counter_ns()
            yield scene
            # What is done with a scene is a part of what a frame costs.
            self._watch.add("draw", time.perf_counter_ns() - begin)
            self._watch.frame(dropped=self.grabber.dropped)

    def _look(self, frame: Frame) -> FrameResult:
        shot, watch = frame.shot, self._watch
        watch.add("grab", shot.grab_ns)
        with watch.stage("detect"):
            grey = to_grey(shot.image)
            tracks = self.tracker.update(shot.image, grey, at_ns=shot.captured_ns)
        faces = self._faces(tracks, grey, shot.captured_ns) if tracks else ()
        self._steady.keep(track.number for track in tracks)
        with watch.stage("draw"):
            image = mark(shot.image, [(face.box, _caption(face)) for face in faces]) if self._draw else shot.image
        return FrameResult(
            number=frame.number,
            captured_ns=shot.captured_ns,
            age_ms=(time.monotonic_ns() - shot.captured_ns) / 1e6,
            image=image,
            faces=faces,
            labels=self.classifier.artifact.labels,
            budget=watch.budget,
            health=self._watchman.health,
        )

    def _faces(self, tracks: Sequence[Track], grey: npt.NDArray[np.uint8], at_ns: int) -> tuple[LiveFace, ...]:
        spec = self.classifier.artifact.input_spec
        with self._watch.stage("preprocess"):
            crops = np.stack([prepare(self.finder.crop(grey, track.box), spec) for track in tracks])
        with self._watch.stage("invoke"):
            logits = self.classifier.logits(crops)
        smooth = np.stack([self._steady.smooth(each.number, row, at_ns=at_ns) for each, row in zip(tracks, logits)])
        probabilities = self.classifier.artifact.probabilities(smooth)
        return tuple(self._face(track, shares) for track, shares in zip(tracks, probabilities))

    def _face(self, track: Track, shares: npt.NDArray[np.float32]) -> LiveFace:
        best = int(shares.argmax())
        probability = float(shares[best])
        label = self.classifier.artifact.labels[best] if probability >= self._unsure_below else UNSURE
        return LiveFace(track.number, track.box, label, probability, tuple(shares.tolist()))


def _caption(face: LiveFace) -> str:
    return face.label if face.label == UNSURE else f"{face.label} {face.probability:.0%}"
