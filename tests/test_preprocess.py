import cv2
import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.preprocess import Clahe, InputSpec, prepare, prepare_all, read_image

SPEC = InputSpec()


def pattern(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def test_a_grey_face_of_the_right_size_keeps_its_bytes():
    face = pattern(48, 48)
    assert np.array_equal(prepare(face, SPEC), face)


@pytest.mark.parametrize(
    "shape", [(48, 48, 1), (1, 1), (1, 1, 3), (7, 131), (200, 3, 3), (97, 61, 4), (47, 49, 3), (480, 640, 3)]
)
def test_any_picture_becomes_one_face(shape):
    face = prepare(pattern(*shape), SPEC)
    assert face.shape == (48, 48)
    assert face.dtype == np.uint8
    assert face.flags.c_contiguous


def test_grey_in_three_channels_is_the_same_grey():
    grey = pattern(48, 48)
    assert np.array_equal(prepare(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), SPEC), grey)
    assert np.array_equal(prepare(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGRA), SPEC), grey)


def test_a_single_pixel_fills_the_face():
    assert (prepare(np.full((1, 1), 77, np.uint8), SPEC) == 77).all()


def test_shrinking_averages_and_does_not_alias():
    stripes = np.tile(np.uint8([[0, 255]]), (96, 48))
    assert np.ptp(prepare(stripes, SPEC)) <= 1


def test_colour_is_read_as_bgr():
    blue = np.zeros((48, 48, 3), np.uint8)
    blue[..., 0] = 255
    assert prepare(blue, SPEC)[0, 0] == 29


def test_clahe_is_part_of_the_spec_and_raises_contrast():
    flat = (pattern(48, 48) // 16 + 100).astype(np.uint8)
    assert prepare(flat, InputSpec(clahe=Clahe())).std() > 1.5 * flat.std()


def test_many_are_prepared_as_one_by_one():
    images = pattern(5, 64, 40)
    assert np.array_equal(prepare_all(images, SPEC), np.stack([prepare(image, SPEC) for image in images]))


@pytest.mark.parametrize("spec", [InputSpec(), InputSpec(64, 32), InputSpec(clahe=Clahe(3.0, 4))])
def test_a_spec_survives_json(spec):
    assert InputSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "image", [pattern(4, 4).astype(np.float32), pattern(4), pattern(4, 4, 2), np.empty((0, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(image):
    with pytest.raises(DataError, match="image of"):
        prepare(image, SPEC)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_picture_are_refused(content):
    with pytest.raises(DataError, match="not a picture"):
        read_image(content)


def test_a_grey_png_is_read_with_its_own_bytes():
    grey = pattern(48, 48)
    _, encoded = cv2.imencode(".png", grey)
    assert np.array_equal(prepare(read_image(encoded.tobytes()), SPEC), grey)
