"""Result of processing one frame of live video: faces with smoothed labels, stage times and device health.

    result.faces[0].label                           # "happy", or "unsure"
    result.timing.sentence()                        # "the classifier takes 4 % of the frame time"
    result.to_json()                                # JSON values, without the image
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.inference.face_detection import FaceBox
from edgefer.inference.output import caption
from edgefer.results import schema

__all__ = ["STAGES", "UNSURE", "FrameResult", "FrameTiming", "Health", "LiveFace", "StageTiming"]

UNSURE = "unsure"
STAGES = ("grab", "detect", "preprocess", "invoke", "draw", "publish")


@dataclass(frozen=True)
class LiveFace:
    """A tracked face.

    Attributes:
        track: number of the face; constant while it is tracked, and never reused.
        box: position in the frame, pixels.
        label: one of the model's labels, or UNSURE below the minimum confidence.
        probability: probability of the most likely label, in 0..1, for UNSURE too.
        probabilities: temporally smoothed probability of each label, in label order; they sum to one.
    """

    track: int
    box: FaceBox
    label: str
    probability: float
    probabilities: tuple[float, ...]

    @property
    def caption(self) -> str:
        """Text for the face's box, such as "happy 91%"; UNSURE is shown without a percentage."""
        return caption(self.label, None if self.label == UNSURE else self.probability)

    def to_json(self, labels: tuple[str, ...]) -> dict[str, Any]:
        """Return JSON values with the names of the ``labels``; the box is [x, y, width, height] in pixels."""
        return {
            "track": self.track,
            "box": [self.box.x, self.box.y, self.box.width, self.box.height],
            "label": self.label,
            "probability": round(self.probability, 4),
            "probabilities": {label: round(value, 4) for label, value in zip(labels, self.probabilities)},
        }


@dataclass(frozen=True)
class StageTiming:
    """Time that one stage takes, over recent frames.

    Attributes:
        p50_ms, p90_ms: percentiles over the frames that ran the stage, milliseconds.
        share: fraction of the time of all stages, in 0..1.
    """

    p50_ms: float
    p90_ms: float
    share: float


@dataclass(frozen=True)
class FrameTiming:
    """Time per stage over recent frames; a stage that has not run is None.

    Attributes:
        grab: decoding the frame, without the wait for it.
        detect: face detection, or tracking on the frames in between.
        preprocess: cropping and resizing all faces of a frame to the model's input.
        invoke: running the model on all faces of a frame.
        draw: drawing boxes and labels into the image.
        publish: the consumer of the frame, which is all sinks together.
        fps: processed frames per second; None before the second frame.
        dropped: frames skipped for a newer one since the start.
    """

    grab: StageTiming | None = None
    detect: StageTiming | None = None
    preprocess: StageTiming | None = None
    invoke: StageTiming | None = None
    draw: StageTiming | None = None
    publish: StageTiming | None = None
    fps: float | None = None
    dropped: int = 0

    def sentence(self) -> str:
        """Summarize the classifier's share: "the classifier takes 4 % of the frame time, face detection 81 %"."""
        if self.invoke is None:
            return "no face has been classified yet"
        detection = "" if self.detect is None else f", face detection {_percent(self.detect.share)}"
        return f"the classifier takes {_percent(self.invoke.share)} of the frame time{detection}"

    def to_json(self) -> dict[str, Any]:
        """Return JSON values; each stage is an object or null."""
        stages = {name: getattr(self, name) for name in STAGES}
        rounded = {
            name: stage and {field: round(value, 4) for field, value in vars(stage).items()}
            for name, stage in stages.items()
        }
        fps = None if self.fps is None else round(self.fps, 2)
        return {**rounded, "fps": fps, "dropped": self.dropped, "sentence": self.sentence()}


@dataclass(frozen=True)
class Health:
    """Temperature and throttling of the device; a value without a sensor is None.

    Attributes:
        temperature_c: processor temperature, degrees Celsius.
        throttled: active throttling reasons, such as "under-voltage"; empty if there are none.
    """

    temperature_c: float | None = None
    throttled: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "temperature_c": self.temperature_c,
            "throttled": None if self.throttled is None else list(self.throttled),
        }


@dataclass(frozen=True, eq=False)
class FrameResult:
    """A processed frame.

    Attributes:
        number: index of the frame in the source, from 0; dropped frames leave gaps.
        captured_ns: capture time on the clock of time.monotonic_ns().
        age_ms: age of the frame when its processing ended, milliseconds.
        image: uint8 BGR (h, w, 3), annotated if the session draws; read-only by convention.
        faces: tracked faces, oldest track first.
        labels: names of the faces' probabilities.
        timing: time per stage.
        health: temperature and throttling.
    """

    number: int
    captured_ns: int
    age_ms: float
    image: npt.NDArray[np.uint8]
    faces: tuple[LiveFace, ...]
    labels: tuple[str, ...]
    timing: FrameTiming
    health: Health

    def to_json(self) -> dict[str, Any]:
        """Return JSON values without the image; boxes are [x, y, width, height] in pixels."""
        height, width = self.image.shape[:2]
        return {
            **schema.header("scene", 1),
            "number": self.number,
            "captured_ns": self.captured_ns,
            "age_ms": round(self.age_ms, 3),
            "size": [width, height],
            "faces": [face.to_json(self.labels) for face in self.faces],
            "budget": self.timing.to_json(),
            "health": self.health.to_json(),
        }


def _percent(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
