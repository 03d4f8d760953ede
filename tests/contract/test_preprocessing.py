import struct
import zlib

import cv2
import numpy as np
import pytest

from edgefer.contract.preprocessing import Clahe, InputSpec, prepare, prepare_all, read_image
from edgefer.errors import DataError

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


def test_the_none_of_imread_is_a_sentence():
    with pytest.raises(DataError, match="None instead of an image"):
        prepare(cv2.imread("nowhere.png"), SPEC)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_picture_are_refused(content):
    with pytest.raises(DataError, match="not a picture"):
        read_image(content)


def test_a_grey_png_is_read_with_its_own_bytes():
    grey = pattern(48, 48)
    _, encoded = cv2.imencode(".png", grey)
    assert np.array_equal(prepare(read_image(encoded.tobytes()), SPEC), grey)


def huge_png(side):
    """A grey PNG of ``side`` x ``side`` pixels in a few KB, as long as nobody decodes it."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def test_a_picture_beyond_the_limit_of_opencv_is_refused():
    with pytest.raises(DataError, match="too large"):
        read_image(huge_png(40_000))


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bits_are_scaled_to_eight(extension):
    _, encoded = cv2.imencode(extension, pattern(48, 48).astype(np.uint16) * 257)
    assert np.array_equal(prepare(read_image(encoded.tobytes()), SPEC), pattern(48, 48))


def test_a_photo_is_turned_upright_by_its_exif_tag():
    face = np.zeros((48, 48), np.uint8)
    face[:24] = 255
    _, encoded = cv2.imencode(".jpg", np.rot90(face))
    # Orientation 6: the camera was held so that the picture has to be turned clockwise.
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    exif = b"Exif\0\0" + tiff
    jpeg = encoded.tobytes()
    tagged = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    upright = prepare(read_image(tagged), SPEC).astype(int)
    assert abs(upright - face).max() < 30
