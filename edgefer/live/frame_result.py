"""What is seen at one moment of live video: the frame, its faces with steady labels, and what looking at it cost.

    scene.faces[0].label                            # "happy", or "unsure"
    scene.budget.sentence()                         # "the classifier is 4 % of your frame"
    scene.to_json()                                 # plain values, without the image
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.inference.face_detection import FaceBox
from edgefer.results import schema

__all__ = ["STAGES", "UNSURE", "FrameResult", "FrameTiming", "Health", "LiveFace", "Stage"]

UNSURE = "unsure"
STAGES = ("grab", "detect", "preprocess", "invoke", "draw")


@dataclass(frozen=True)
class LiveFace:
    """A face that is followed from frame to frame.

    Attributes:
        track: the same number for the same face for as long as it is followed; never given twice.
        box: where it is, in pixels of the frame.
        label: one of the model's labels, or UNSURE.
        probability: of the most probable label, in 0..1, also where that is too little to name it.
        probabilities: of each label, in their order; they sum to one. Smoothed over time, as the label is.
    """

    track: int
    box: FaceBox
    label: str
    probability: float
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class Stage:
    """What one stage costs, over the last frames.

    Attributes:
        p50_ms, p90_ms: of the frames in which it ran.
        share: of the time that all stages took, in 0..1.
    """

    p50_ms: float
    p90_ms: float
    share: float


@dataclass(frozen=True)
class FrameTiming:
    """Where the time of a frame goes; a stage that has not run is None.

    Attributes:
        grab: decoding what the camera or the file gave; waiting for it is not counted.
        detect: finding the faces, or following them between two searches.
        preprocess: from a face's box to what the model takes, all faces of a frame together.
        invoke: the model, all faces of a frame together.
        draw: boxes, labels and handing the frame on.
        fps: frames looked at a second, over the last frames; None before the second one.
        dropped: frames that came and were passed over for a newer one, since the start.
    """

    grab: Stage | None = None
    detect: Stage | None = None
    preprocess: Stage | None = None
    invoke: Stage | None = None
    draw: Stage | None = None
    fps: float | None = None
    dropped: int = 0

    def sentence(self) -> str:
        """What the classifier is of the whole, such as "the classifier is 4 % of your frame, finding faces 81 %"."""
        if self.invoke is None:
            return "no face has been classified yet"
        found = "" if self.detect is None else f", finding faces {_whole(self.detect.share)}"
        return f"the classifier is {_whole(self.invoke.share)} of your frame{found}"

    def to_json(self) -> dict[str, Any]:
        """Plain values: a stage is an object or null."""
        stages = {name: getattr(self, name) for name in STAGES}
        rounded = {
            name: stage and {field: round(value, 4) for field, value in vars(stage).items()}
            for name, stage in stages.items()
        }
        fps = None if self.fps is None else round(self.fps, 2)
        return {**rounded, "fps": fps, "dropped": self.dropped, "sentence": self.sentence()}


@dataclass(frozen=True)
class Health:
    """How the device is; what no sensor tells is None.

    Attributes:
        temperature_c: of the processor, degrees Celsius.
        throttled: what holds it back now, such as "under-voltage"; empty where nothing does.
    """

    temperature_c: float | None = None
    throttled: tuple[str, ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "temperature_c": self.temperature_c,
            "throttled": None if self.throttled is None else list(self.throttled),
        }


@dataclass(frozen=True, eq=False)
class FrameResult:
    """One frame that was looked at.

    Attributes:
        number: of the frame, from 0; numbers of frames that were passed over are missing.
        captured_ns: when it was taken, by time.monotonic_ns().
        age_ms: how old it was when all was done with it, milliseconds.
        image: uint8 BGR (h, w, 3), with boxes and labels drawn in where somebody looks at it; nobody changes it.
        faces: those in it, in the order in which they came.
        labels: what the probabilities of the faces are of.
        budget: where the time goes.
        health: how the device is.
    """

    number: int
    captured_ns: int
    age_ms: float
    image: npt.NDArray[np.uint8]
    faces: tuple[LiveFace, ...]
    labels: tuple[str, ...]
    budget: FrameTiming
    health: Health

    def to_json(self) -> dict[str, Any]:
        """Plain values without the image; boxes are [x, y, width, height] in pixels."""
        height, width = self.image.shape[:2]
        return {
            **schema.header("scene", 1),
            "number": self.number,
            "captured_ns": self.captured_ns,
            "age_ms": round(self.age_ms, 3),
            "size": [width, height],
            "faces": [_face(face, self.labels) for face in self.faces],
            "budget": self.budget.to_json(),
            "health": self.health.to_json(),
        }


def _face(face: LiveFace, labels: tuple[str, ...]) -> dict[str, Any]:
    box = face.box
    return {
        "track": face.track,
        "box": [box.x, box.y, box.width, box.height],
        "label": face.label,
        "probability": round(face.probability, 4),
        "probabilities": {label: round(share, 4) for label, share in zip(labels, face.probabilities)},
    }


def _whole(share: float) -> str:
    return "less than 1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"
