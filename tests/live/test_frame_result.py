from __future__ import annotations

import json

import numpy as np
import pytest

from edgefer.inference.face_detection import FaceBox
from edgefer.live.frame_result import UNSURE, FrameResult, FrameTiming, Health, LiveFace, Stage


def test_a_scene_is_plain_values_without_its_image() -> None:
    face = LiveFace(3, FaceBox(10, 20, 30, 40), UNSURE, 0.4, (0.4, 0.35, 0.25))
    budget = FrameTiming(grab=Stage(1.0, 2.0, 0.5), invoke=Stage(0.12345678, 0.2, 0.04), fps=29.9751, dropped=2)
    image = np.zeros((48, 64, 3), np.uint8)
    scene = FrameResult(7, 123, 12.3456, image, (face,), ("a", "b", "c"), budget, Health(51.5, ()))
    record = json.loads(json.dumps(scene.to_json(), allow_nan=False))
    assert (record["kind"], record["schema_version"], record["number"]) == ("scene", 1, 7)
    assert record["size"] == [64, 48]
    assert record["faces"] == [
        {"track": 3, "box": [10, 20, 30, 40], "label": "unsure", "probability": 0.4,
         "probabilities": {"a": 0.4, "b": 0.35, "c": 0.25}},
    ]  # fmt: skip
    assert record["budget"]["invoke"] == {"p50_ms": 0.1235, "p90_ms": 0.2, "share": 0.04}
    assert record["budget"]["draw"] is None
    assert record["health"] == {"temperature_c": 51.5, "throttled": []}
    assert Health().to_json() == {"temperature_c": None, "throttled": None}


@pytest.mark.parametrize(
    ("budget", "sentence"),
    [
        (FrameTiming(), "no face has been classified yet"),
        (FrameTiming(invoke=Stage(1, 1, 0.042)), "the classifier is 4 % of your frame"),
        (
            FrameTiming(invoke=Stage(1, 1, 0.004), detect=Stage(1, 1, 0.9)),
            "the classifier is less than 1 % of your frame, finding faces 90 %",
        ),
    ],
)
def test_the_sentence_says_what_the_classifier_is_of_the_whole(budget: FrameTiming, sentence: str) -> None:
    assert budget.sentence() == sentence
