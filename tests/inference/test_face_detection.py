from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.errors import DataError, UsageError
from edgefer.inference.face_detection import FaceBox, FaceDetector
from edgefer.inference.pipeline import Pipeline
from edgefer.models import SHIPPED

PORTRAIT = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    return cv2.imread(str(PORTRAIT))


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector.open()


def center(box: FaceBox) -> tuple[float, float]:
    return box.x + box.width / 2, box.y + box.height / 2


def test_a_face_is_detected_in_gray_and_in_color(detector: FaceDetector, portrait: np.ndarray) -> None:
    (box,) = detector.detect(portrait)
    assert center(box) == pytest.approx((224, 113), abs=12)
    gray = np.ascontiguousarray(portrait[..., 1])
    assert center(detector.detect(gray)[0]) == pytest.approx(center(box), abs=6)


def test_boxes_of_a_large_image_are_in_its_own_pixels(detector: FaceDetector, portrait: np.ndarray) -> None:
    large = cv2.resize(portrait, None, fx=4, fy=4)
    small, big = detector.detect(portrait)[0], detector.detect(large)[0]
    assert center(big) == pytest.approx([4 * value for value in center(small)], abs=30)
    assert big.width == pytest.approx(4 * small.width, rel=0.15)


def test_the_largest_face_comes_first(detector: FaceDetector, portrait: np.ndarray) -> None:
    whole = portrait[:260, 60:380]
    smaller = cv2.resize(whole, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    canvas = np.full((260, 630, 3), 128, np.uint8)
    canvas[:, 310:] = whole
    canvas[20 : 20 + len(smaller), 20 : 20 + smaller.shape[1]] = smaller
    boxes = detector.detect(canvas)
    assert len(boxes) == 2
    assert boxes[0].width > boxes[1].width
    assert boxes[0].x > 300 > boxes[1].x


def test_an_image_without_a_face_gives_no_box(detector: FaceDetector) -> None:
    assert detector.detect(np.full((100, 100, 3), 80, np.uint8)) == ()
    assert detector.detect(np.zeros((1, 1), np.uint8)) == ()


def test_a_crop_is_square_and_repeats_the_edge_of_the_image() -> None:
    image = np.arange(100, dtype=np.uint8).reshape(10, 10)
    detector = FaceDetector(None)  # type: ignore[arg-type]
    np.testing.assert_array_equal(detector.crop(image, FaceBox(2, 3, 4, 4)), image[3:7, 2:6])
    over = detector.crop(image, FaceBox(8, 8, 4, 4))
    assert over.shape == (4, 4)
    assert over[0].tolist() == [88, 89, 89, 89]
    assert over[3].tolist() == [98, 99, 99, 99]
    oblong = detector.crop(image, FaceBox(2, 2, 3, 5))
    assert oblong.shape == (5, 5)
    color = detector.crop(np.repeat(image[..., None], 3, axis=2), FaceBox(-1, 0, 4, 4))
    assert color.shape == (4, 4, 3)
    assert color[0, :, 0].tolist() == [0, 0, 1, 2]
    with pytest.raises(DataError, match="outside"):
        detector.crop(image, FaceBox(20, 20, 4, 4))


def test_crop_scale_and_crop_shift_move_the_crop() -> None:
    image = np.zeros((40, 40), np.uint8)
    image[10:20, 10:20] = 200
    wide = FaceDetector(None, crop_scale=2.0).crop(image, FaceBox(10, 10, 10, 10))  # type: ignore[arg-type]
    assert wide.shape == (20, 20)
    assert (wide[5:15, 5:15] == 200).all()
    assert wide.mean() == pytest.approx(50)
    lower = FaceDetector(None, crop_shift=0.5).crop(image, FaceBox(10, 10, 10, 10))  # type: ignore[arg-type]
    assert (lower[:5] == 200).all()
    assert not lower[5:].any()


def test_invalid_arguments_are_rejected() -> None:
    with pytest.raises(UsageError, match="longest side"):
        FaceDetector.open(longest_side=0)
    with pytest.raises(DataError, match="dtype"):
        FaceDetector.open().detect(np.zeros((5, 5), np.float32))  # type: ignore[arg-type]


def test_a_file_that_is_not_a_yunet_model_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("not a model")
    for path in (tmp_path / "model.onnx", str(tmp_path / "model.onnx")):
        with pytest.raises(DataError, match="not a YuNet model"):
            FaceDetector.open("yunet", model=path)
        with pytest.raises(DataError, match="not a YuNet model"):
            Pipeline.open(SHIPPED, detector="yunet", detector_model=path)


@pytest.mark.parametrize(("uses_color", "channels"), [(False, ()), (True, (3,))])
@pytest.mark.parametrize("shape", [(50, 80), (50, 80, 1), (50, 80, 3), (50, 80, 4), (100, 160, 3)])
def test_a_detector_gets_a_shrunken_image_with_the_channels_that_it_uses(
    uses_color: bool, channels: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    shapes: list[tuple[int, ...]] = []

    class RecordingDetector:
        def detect(self, image: np.ndarray) -> list[FaceBox]:
            shapes.append(image.shape)
            return [FaceBox(10, 10, 20, 20)]

    detector = FaceDetector(RecordingDetector(), uses_color=uses_color, longest_side=80)
    (box,) = detector.detect(np.zeros(shape, np.uint8))
    assert shapes == [(50, 80, *channels)]
    assert box.x == 10 * shape[0] // 50


@pytest.mark.parametrize("detector", ["haar", "yunet"])
@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"<xml/>", b"<opencv_storage>", b"{}", None])
def test_a_model_file_of_another_kind_is_an_error(tmp_path, detector, content):
    path = tmp_path / "model\udce9.xml"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"model.*\.xml"):
        FaceDetector.open(detector, model=path)
