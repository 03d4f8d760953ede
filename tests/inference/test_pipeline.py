from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.image_header import MAX_MEMORY_BYTES
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


def test_results_of_several_threads_keep_the_order_and_values_of_one() -> None:
    faces = np.random.default_rng(0).integers(0, 256, (40, 48, 48), np.uint8)
    sources = [ImageSource(str(number), lambda face=face: DecodedImage(face)) for number, face in enumerate(faces)]  # type: ignore[misc]
    sequential = [*predict_batch(sources, without_detector, workers=1)]
    parallel = [*predict_batch(sources, without_detector, workers=3)]
    assert [result.name for result in parallel] == [str(number) for number in range(40)]
    for one, other in zip(sequential, parallel):
        np.testing.assert_array_equal(one.faces[0].prediction.logits, other.faces[0].prediction.logits)


def test_an_unreadable_picture_does_not_affect_the_others() -> None:
    def broken() -> DecodedImage:
        raise DataError("broken")

    fine = np.zeros((48, 48), np.uint8)
    sources = [ImageSource("a", broken), ImageSource("b", lambda: DecodedImage(fine))]
    results = [*predict_batch(sources, without_detector, workers=2, keep_images=True)]
    assert str(results[0].problem) == "broken"
    assert results[0].faces == ()
    assert results[1].problem is None
    assert results[1].image is fine


def test_an_error_of_make_pipeline_is_raised() -> None:
    def fail() -> Pipeline:
        raise IncompatibleError("no runtime")

    with pytest.raises(IncompatibleError, match="no runtime"):
        list(predict_batch([ImageSource("a", lambda: DecodedImage(np.zeros((4, 4), np.uint8)))], fail))


def test_pipelines_are_opened_in_the_consuming_thread() -> None:
    threads: list[int] = []

    def open_pipeline() -> Pipeline:
        threads.append(threading.get_ident())
        return without_detector()

    sources = [ImageSource(str(number), lambda: DecodedImage(np.zeros((48, 48), np.uint8))) for number in range(9)]
    assert len([*predict_batch(sources, open_pipeline, workers=3)]) == 9
    assert threads == [threading.get_ident()] * 3


def test_few_pictures_are_decoded_ahead() -> None:
    read: list[int] = []
    lock = threading.Lock()

    def reading(number: int) -> DecodedImage:
        with lock:
            read.append(number)
        return DecodedImage(np.zeros((48, 48), np.uint8))

    sources = (ImageSource(str(number), lambda number=number: reading(number)) for number in range(1000))  # type: ignore[misc]
    results = predict_batch(sources, without_detector, workers=2)
    for _ in range(5):
        next(results)
    assert len(read) < 20
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("keep_images", [False, True])
@pytest.mark.parametrize("batch", [1, 4])
def test_large_images_of_all_workers_together_stay_within_the_memory_limit(keep_images: bool, batch: int) -> None:
    lock, in_use, peak = threading.Lock(), 0, 0

    def decode() -> DecodedImage:
        nonlocal in_use, peak
        with lock:
            in_use += size
            peak = max(peak, in_use)
        time.sleep(0.02)
        with lock:
            in_use -= size
        return DecodedImage(np.zeros((48, 48), np.uint8))

    size = MAX_MEMORY_BYTES // 2 - 1
    sources = [ImageSource(str(number), decode, memory_bytes=size) for number in range(8)]
    results = [*predict_batch(sources, without_detector, workers=4, batch=batch, keep_images=keep_images)]
    assert [result.name for result in results] == [str(number) for number in range(8)]
    assert size <= peak <= MAX_MEMORY_BYTES


def test_a_pipeline_classifies_a_smile_as_happy() -> None:
    (picture,) = iter_sources([str(PORTRAIT)])
    (face,) = Pipeline.open(SHIPPED)(picture.read())
    assert face.prediction.label == "happy"


@pytest.mark.parametrize("detector", [None, FaceDetector.open()])
def test_what_is_not_an_image_is_an_error(detector: FaceDetector | None) -> None:
    pipeline = Pipeline(Classifier.open(SHIPPED, check=False), detector)
    for image in (cv2.imread("missing.jpg"), np.zeros((0, 3), np.uint8), np.zeros((9, 9, 2), np.uint8)):
        with pytest.raises(DataError, match="the image"):
            pipeline(image)


def test_a_label_at_any_edge_is_drawn_inside_the_image() -> None:
    image = np.full((60, 80, 3), 30, np.uint8)
    prediction = Classifier.open(SHIPPED, check=False).predict(image)
    for box in (FaceBox(0, 0, 20, 20), FaceBox(60, 40, 20, 20), FaceBox(0, 30, 79, 29)):
        drawn = draw_faces(image, [Face(box, prediction)])
        assert drawn.shape == image.shape
        assert (drawn != image).any()
    assert (image == 30).all()


def test_the_default_crop_geometry_is_that_of_the_detector() -> None:
    detector = FaceDetector.open()
    assert (detector.crop_scale, detector.crop_shift) == (1.0, 0.0)


def test_boxes_of_a_reduced_image_are_in_pixels_of_its_file() -> None:
    portrait = cv2.imread(str(PORTRAIT))
    full = ImageSource("full", lambda: DecodedImage(portrait))
    reduced = ImageSource("reduced", lambda: DecodedImage(portrait, 4))
    results = [*predict_batch([full, reduced], lambda: Pipeline.open(SHIPPED))]
    boxes = [to_record(result, LABELS)["faces"][0]["box"] for result in results]
    assert boxes[1] == [4 * side for side in boxes[0]]
    assert [*to_csv_rows(results[1])[0][3:]] == boxes[1]
    assert results[0].faces[0].box == results[1].faces[0].box
