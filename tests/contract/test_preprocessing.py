import json
import struct
import zlib

import cv2
import numpy as np
import pytest

from edgefer.contract.image_decoding import read_image
from edgefer.contract.preprocessing import Clahe, InputSpec, prepare, prepare_all
from edgefer.errors import DataError

SPEC = InputSpec()


def pattern(*shape):
    return np.random.default_rng(sum(shape)).integers(0, 256, shape, np.uint8)


def test_gray_face_of_the_right_size_keeps_its_bytes():
    face = pattern(48, 48)
    assert np.array_equal(prepare(face, SPEC), face)


@pytest.mark.parametrize(
    "shape", [(48, 48, 1), (1, 1), (1, 1, 3), (7, 131), (200, 3, 3), (97, 61, 4), (47, 49, 3), (480, 640, 3)]
)
def test_image_of_any_size_becomes_one_face(shape):
    face = prepare(pattern(*shape), SPEC)
    assert face.shape == (48, 48)
    assert face.dtype == np.uint8
    assert face.flags.c_contiguous


def test_gray_in_three_channels_gives_the_same_face():
    gray = pattern(48, 48)
    assert np.array_equal(prepare(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), SPEC), gray)
    assert np.array_equal(prepare(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGRA), SPEC), gray)


def test_single_pixel_fills_the_face():
    assert (prepare(np.full((1, 1), 77, np.uint8), SPEC) == 77).all()


def test_shrinking_averages_pixels():
    stripes = np.tile(np.uint8([[0, 255]]), (96, 48))
    assert np.ptp(prepare(stripes, SPEC)) <= 1


def test_color_channels_are_in_bgr_order():
    blue = np.zeros((48, 48, 3), np.uint8)
    blue[..., 0] = 255
    assert prepare(blue, SPEC)[0, 0] == 29


def test_clahe_increases_the_contrast():
    flat = (pattern(48, 48) // 16 + 100).astype(np.uint8)
    assert prepare(flat, InputSpec(clahe=Clahe())).std() > 1.5 * flat.std()


def test_batch_gives_the_same_faces_as_single_images():
    images = pattern(5, 64, 40)
    assert np.array_equal(prepare_all(images, SPEC), np.stack([prepare(image, SPEC) for image in images]))


@pytest.mark.parametrize(
    "image", [pattern(4, 4).astype(np.float32), pattern(4), pattern(4, 4, 2), np.empty((0, 4), np.uint8)]
)
def test_array_that_is_not_an_image_is_rejected(image):
    with pytest.raises(DataError, match="the image has"):
        prepare(image, SPEC)


@pytest.mark.parametrize("image", ["photo.jpg", [[0, 255]]])
def test_other_types_than_arrays_are_rejected(image):
    with pytest.raises(DataError, match=f"the image is a {type(image).__name__}: expected a numpy array"):
        prepare(image, SPEC)


def test_none_from_imread_is_rejected():
    with pytest.raises(DataError, match="the image is None"):
        prepare(cv2.imread("nowhere.png"), SPEC)


@pytest.mark.parametrize("content", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_not_an_image_are_rejected(content):
    with pytest.raises(DataError, match="OpenCV cannot read the image|cut short"):
        read_image(content)


def test_gray_png_keeps_its_pixels():
    gray = pattern(48, 48)
    _, encoded = cv2.imencode(".png", gray)
    assert np.array_equal(prepare(read_image(encoded.tobytes()), SPEC), gray)


def huge_png(side):
    """Return a gray PNG with a header for ``side`` x ``side`` pixels and little data."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9))) + chunk(b"IEND", b"")


def test_image_above_the_limit_of_opencv_is_rejected():
    with pytest.raises(DataError, match="too large"):
        read_image(huge_png(40_000))


@pytest.mark.parametrize("extension", [".png", ".tiff"])
def test_sixteen_bit_images_are_scaled_to_eight_bits(extension):
    _, encoded = cv2.imencode(extension, pattern(48, 48).astype(np.uint16) * 257)
    assert np.array_equal(prepare(read_image(encoded.tobytes()), SPEC), pattern(48, 48))


def test_photo_is_rotated_by_its_exif_orientation():
    face = np.zeros((48, 48), np.uint8)
    face[:24] = 255
    _, encoded = cv2.imencode(".jpg", np.rot90(face))
    # Orientation 6 means a clockwise rotation by 90 degrees.
    tiff = b"MM\0*\0\0\0\x08\0\x01" + struct.pack(">HHIHH", 0x112, 3, 1, 6, 0) + bytes(4)
    exif = b"Exif\0\0" + tiff
    jpeg = encoded.tobytes()
    tagged = jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + jpeg[2:]
    upright = prepare(read_image(tagged), SPEC).astype(int)
    assert abs(upright - face).max() < 30


def test_color_keeps_its_bytes_in_the_order_of_the_channels():
    image = np.random.default_rng(0).integers(0, 256, (48, 48, 3), dtype=np.uint8)
    assert np.array_equal(prepare(image, InputSpec(channels="bgr")), image)
    assert np.array_equal(prepare(image, InputSpec(channels="rgb")), image[..., ::-1])
    assert np.array_equal(prepare(np.dstack([image, image[..., :1]]), InputSpec(channels="bgr")), image)


def test_gray_image_has_three_equal_channels_in_color():
    prepared = prepare(pattern(20, 30), InputSpec(32, 40, channels="rgb"))
    assert prepared.shape == (32, 40, 3)
    assert np.array_equal(prepared[..., 0], prepared[..., 2])
    assert np.array_equal(prepared[..., 0], prepare(pattern(20, 30), InputSpec(32, 40)))


@pytest.mark.parametrize(("resize", "code"), [("nearest", cv2.INTER_NEAREST_EXACT), ("linear", cv2.INTER_LINEAR)])
def test_interpolation_is_that_of_the_spec(resize, code):
    expected = cv2.resize(pattern(96, 96), (48, 48), interpolation=code)
    assert np.array_equal(prepare(pattern(96, 96), InputSpec(resize=resize)), expected)


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(),
        InputSpec(64, 32, Clahe(3.0, 4)),
        InputSpec(channels="rgb", mean=(1.5, 2.0, 3.0), std=(4.0,), resize="cubic"),
    ],
)
def test_spec_survives_json(spec):
    assert InputSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_spec_of_version_1_has_the_keys_of_version_1():
    assert InputSpec().to_json() == {"height": 48, "width": 48, "clahe": None}


@pytest.mark.parametrize(
    "change",
    [
        {"channels": "cmyk"}, {"channels": ["rgb"]}, {"mean": 0}, {"mean": []}, {"mean": [1, 2]}, {"std": [0]},
        {"std": [True]}, {"std": ["255"]}, {"mean": [float("nan")]}, {"resize": "lanczos"}, {"resize": None},
        {"channels": "rgb", "clahe": {"clip_limit": 2, "tiles": 8}},
    ],
)  # fmt: skip
def test_damaged_spec_is_refused(change):
    with pytest.raises(DataError, match="the input of a model is invalid"):
        InputSpec.from_json(InputSpec().to_json() | change)
