"""Error messages, folders of images and the decoder recognize the same formats."""

import io

import cv2
import numpy as np
import pytest

from edgefer.contract.image_header import read_header
from edgefer.file_kinds import command_for, describe_kind
from edgefer.inference.media_type import MediaType, media_type
from edgefer.media_signatures import image_format, unsupported_image, video_format

FORMATS = {
    ".jpg": "jpeg", ".png": "png", ".bmp": "bmp", ".tiff": "tiff", ".webp": "webp", ".pgm": "pnm", ".pbm": "pnm",
    ".pam": "pam", ".hdr": "hdr", ".sr": "sun",
}  # fmt: skip
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0heicmif1"
TRANSPORT_STREAM = (b"G" + bytes(187)) * 3


@pytest.mark.parametrize("suffix", FORMATS)
def test_an_image_of_opencv_is_an_image_everywhere(tmp_path, suffix):
    image = np.zeros((8, 8, 3), np.uint8)
    if suffix in (".pgm", ".pbm"):
        image = image[:, :, 0]
    content = cv2.imencode(suffix, image.astype(np.float32) if suffix == ".hdr" else image)[1].tobytes()
    path = tmp_path / "unnamed"
    path.write_bytes(content)
    assert image_format(content) == FORMATS[suffix]
    header = read_header(io.BytesIO(content))
    assert (header.width, header.height) == (8, 8)
    assert media_type(path) == MediaType("image", header.format)
    assert describe_kind(path) == "an image"
    assert command_for(path) == f"edgefer predict {path}"


@pytest.mark.parametrize(
    ("content", "kind", "described"),
    [
        (HEIC, "unsupported", "an image"),
        (b"qoif" + bytes(10), "unsupported", "an image"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "video", "a video"),
        (b"\x1aE\xdf\xa3" + bytes(10), "video", "a video"),
        (TRANSPORT_STREAM, "video", "a video"),
    ],
)
def test_other_media_are_described_alike(tmp_path, content, kind, described):
    path = tmp_path / "unnamed"
    path.write_bytes(content)
    assert media_type(path).kind == kind
    assert describe_kind(path) == described


@pytest.mark.parametrize("content", [b"BMW and other cars\n", b"P5,P6\n1,2\n", b"GIF8 is no image\n", b"II* of text\n"])
def test_text_that_starts_like_an_image_is_text(tmp_path, content):
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    assert describe_kind(path) == "text"
    assert media_type(path) is None


@pytest.mark.parametrize("content", [b"", b"\0", b"BM", b"\0\0\0\x18ftyp", b"RIFF"])
def test_content_of_a_few_bytes_has_no_format(content):
    assert image_format(content) is None
    assert unsupported_image(content) is None
    assert video_format(content) is None
