from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.classifier import Classifier
from edgefer.inference.face_detection import FaceBox, FaceDetector
from edgefer.inference.images import DecodedImage, ImageSource, iter_sources
from edgefer.inference.output import draw_faces, to_csv_rows, to_record
from edgefer.inference.pipeline import Face, Pipeline, predict_batch
from edgefer.models import SHIPPED

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"


def without_detector() -> Pipeline:
    return Pipeline(Classifier.open(SHIPPED, check=False), None)


def test_looks_come_in_order_and_are_those_of_one_thread() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (40, 48, 48), np.uint8)
    shown = [ImageSource(str(number), lambda face=face: DecodedImage(face)) for number, face in enumerate(faces)]  # type: ignore[misc]
    alone = [*predict_batch(shown, without_detector, workers=1)]
    beside = [*predict_batch(shown, without_detector, workers=3)]
    assert [look.name for look in beside] == [str(number) for number in range(40)]
    for one, other in zip(alone, beside):
        np.testing.assert_array_equal(one.faces[0].prediction.logits, other.faces[0].prediction.logits)


def test_one_that_cannot_be_read_leaves_the_others_alone() -> None:
    def broken() -> DecodedImage:
        raise DataError("broken")

    fine = np.zeros((48, 48), np.uint8)
    shown = [ImageSource("a", broken), ImageSource("b", lambda: DecodedImage(fine))]
    looks = [*predict_batch(shown, without_detector, workers=2, keep_images=True)]
    assert str(looks[0].problem) == "broken"
    assert looks[0].faces == ()
    assert looks[1].problem is None
    assert looks[1].image is fine


def test_what_no_pipeline_can_be_made_of_is_raised() -> None:
    def refuse() -> Pipeline:
        raise IncompatibleError("no runtime")

    with pytest.raises(IncompatibleError, match="no runtime"):
        list(predict_batch([ImageSource("a", lambda: DecodedImage(np.zeros((4, 4), np.uint8)))], refuse))


def test_few_pictures_are_read_ahead() -> None:
    read: list[int] = []
    lock = threading.Lock()

    def reading(number: int) -> DecodedImage:
        with lock:
            read.append(number)
        return DecodedImage(np.zeros((48, 48), np.uint8))

    shown = (ImageSource(str(number), lambda number=number: reading(number)) for number in range(1000))  # type: ignore[misc]
    looks = predict_batch(shown, without_detector, workers=2)
    for _ in range(5):
        next(looks)
    assert len(read) < 20
    looks.close()  # type: ignore[attr-defined]


def test_a_pipeline_finds_and_names_a_smile() -> None:
    (picture,) = iter_sources([str(PORTRAIT)])
    (face,) = Pipeline.open(SHIPPED)(picture.read())
    assert face.prediction.label == "happy"


def test_a_label_stays_within_the_picture() -> None:
    image = np.full((60, 80, 3), 30, np.uint8)
    prediction = Classifier.open(SHIPPED, check=False).predict(image)
    for box in (FaceBox(0, 0, 20, 20), FaceBox(60, 40, 20, 20), FaceBox(0, 30, 79, 29)):
        drawn = draw_faces(image, [Face(box, prediction)])
        assert drawn.shape == image.shape
        assert (drawn != image).any()
    assert (image == 30).all()


def test_the_default_is_the_detectors_own_framing() -> None:
    detector = FaceDetector.open()
    assert (detector.crop_scale, detector.crop_shift) == (1.0, 0.0)


def test_boxes_of_a_picture_that_was_shrunk_are_told_in_pixels_of_its_file() -> None:
    portrait = cv2.imread(str(PORTRAIT))
    whole = ImageSource("whole", lambda: DecodedImage(portrait))
    shrunk = ImageSource("shrunk", lambda: DecodedImage(portrait, 4))
    looks = [*predict_batch([whole, shrunk], lambda: Pipeline.open(SHIPPED))]
    boxes = [to_record(look, LABELS)["faces"][0]["box"] for look in looks]
    assert boxes[1] == [4 * side for side in boxes[0]]
    assert [*to_csv_rows(looks[1])[0][3:]] == boxes[1]
    assert looks[0].faces[0].box == looks[1].faces[0].box
