from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgefer.inference.face_detection import FaceBox
from edgefer.live.frame_result import STAGES, UNSURE, FrameResult, FrameTiming, Health, LiveFace, StageTiming

FACE = LiveFace(3, FaceBox(10, 20, 30, 40), UNSURE, 0.4, (0.4, 0.35, 0.25))


def test_a_result_becomes_json_values_without_its_image() -> None:
    timing = FrameTiming(
        grab=StageTiming(1.0, 2.0, 0.5), invoke=StageTiming(0.12345678, 0.2, 0.04), fps=29.9751, dropped=2
    )
    image = np.zeros((48, 64, 3), np.uint8)
    result = FrameResult(7, 123, 12.3456, image, (FACE,), ("a", "b", "c"), timing, Health(51.5, ()))
    record = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert (record["kind"], record["schema_version"], record["number"]) == ("scene", 1, 7)
    assert record["size"] == [64, 48]
    assert record["faces"] == [
        {"track": 3, "box": [10, 20, 30, 40], "label": "unsure", "probability": 0.4,
         "probabilities": {"a": 0.4, "b": 0.35, "c": 0.25}},
    ]  # fmt: skip
    assert list(record["budget"]) == [*STAGES, "fps", "dropped", "sentence"]
    assert record["budget"]["invoke"] == {"p50_ms": 0.1235, "p90_ms": 0.2, "share": 0.04}
    assert record["budget"]["draw"] is None
    assert record["health"] == {"temperature_c": 51.5, "throttled": []}
    assert Health().to_json() == {"temperature_c": None, "throttled": None}


def test_a_caption_shows_the_percentage_of_a_label_but_not_of_unsure() -> None:
    assert replace(FACE, label="happy", probability=0.914).caption == "happy 91%"
    assert FACE.caption == "unsure"


@pytest.mark.parametrize(
    ("timing", "sentence"),
    [
        (FrameTiming(), "no face has been classified yet"),
        (FrameTiming(invoke=StageTiming(1, 1, 0.042)), "the classifier takes 4 % of the frame time"),
        (
            FrameTiming(invoke=StageTiming(1, 1, 0.004), detect=StageTiming(1, 1, 0.9)),
            "the classifier takes less than 1 % of the frame time, face detection 90 %",
        ),
    ],
)
def test_the_sentence_states_the_share_of_the_classifier(timing: FrameTiming, sentence: str) -> None:
    assert timing.sentence() == sentence
