"""Every picture that users have is read, or is an error of its own."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.inference.images import expand_paths, iter_sources

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def read(path: Path) -> np.ndarray:
    (picture,) = iter_sources([str(path)])
    assert picture.name == str(path)
    return picture.read()


def written(path: Path, image: np.ndarray = IMAGE) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp", "jpg"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    found = read(written(tmp_path / f"image.{suffix}"))
    assert found.shape == IMAGE.shape
    if suffix not in ("jpg", "webp"):
        np.testing.assert_array_equal(found, IMAGE)


def test_16_bits_alpha_and_grey_become_eight_bits_and_three_channels(tmp_path: Path) -> None:
    deep = read(written(tmp_path / "deep.png", IMAGE.astype(np.uint16) * 257))
    np.testing.assert_array_equal(deep, IMAGE)
    alpha = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 128, np.uint8)])
    np.testing.assert_array_equal(read(written(tmp_path / "alpha.png", alpha)), IMAGE)
    grey = read(written(tmp_path / "grey.png", IMAGE[..., 0]))
    np.testing.assert_array_equal(grey, np.repeat(IMAGE[..., :1], 3, axis=2))


def test_cmyk_is_read_as_colour(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    flat = np.full((32, 32, 3), (200, 40, 60), np.uint8)
    image_module.fromarray(flat).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    np.testing.assert_allclose(read(tmp_path / "print.jpg")[16, 16, ::-1], [200, 40, 60], atol=12)


def test_a_picture_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    path = written(tmp_path / "turned.jpg", np.hstack([np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 255)]))
    content = path.read_bytes()
    # Orientation 6: to be turned by 90 degrees clockwise.
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    exif = b"Exif\x00\x00" + tiff
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    found = read(path)
    assert found.shape == (60, 20, 3)
    assert found[:25].mean() < 20
    assert found[35:].mean() > 235


def test_of_an_animation_the_first_picture_is_taken(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    frames = [image_module.fromarray(np.full((16, 16, 3), level, np.uint8)) for level in (40, 200)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert abs(float(read(tmp_path / "moving.gif").mean()) - 40) < 8


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_what_was_cut_short_is_refused_not_half_read(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"image.{suffix}")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match="cut short"):
        read(path)


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b"")


def claiming(content: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header says another size."""
    place = next(content.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in content) + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def test_what_is_larger_than_the_memory_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(20_000, 20_000))
    with pytest.raises(DataError, match="too large") as caught:
        read(tmp_path / "huge.png")
    assert "20,000 x 20,000" in caught.value.why
    plain, progressive = (
        cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_PROGRESSIVE, each])[1].tobytes() for each in (0, 1)
    )
    for content, side in ((progressive, 20_000), (plain, 60_000)):
        (tmp_path / "huge.jpg").write_bytes(claiming(content, side, side))
        with pytest.raises(DataError, match="too large"):
            read(tmp_path / "huge.jpg")


LOOK_AT_IT = """
import sys
from edgefer.inference.images import iter_sources
from edgefer.device.sysfs import peak_rss_bytes
before = peak_rss_bytes()
(picture,) = iter_sources([sys.argv[1]])
decoded = picture.decode()
print(*decoded.image.shape, decoded.reduction, int(decoded.image[2500, 3750].mean()), peak_rss_bytes() - before)
"""


@pytest.mark.slow
def test_a_jpeg_of_20_000_by_20_000_pixels_is_shrunk_while_it_is_decoded(tmp_path: Path) -> None:
    image = np.full((20_000, 20_000), 40, np.uint8)
    image[8_000:12_000, 14_000:16_000] = 200
    path = tmp_path / "huge.jpg"
    cv2.imwrite(str(path), image)
    command = [sys.executable, "-c", LOOK_AT_IT, str(path)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    height, width, channels, reduction, level, grown = map(int, printed)
    assert (height, width, channels, reduction) == (5_000, 5_000, 3, 4)
    assert abs(level - 200) <= 2
    # Decoded as it is it would be 1,200 MB.
    assert grown < 300e6


@pytest.mark.parametrize(("content", "named"), [(b"", "empty"), (b"no picture", "damaged"), (b"\xff\xd8", "cut short")])
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    (tmp_path / "odd.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.jpg") as caught:
        read(tmp_path / "odd.jpg")
    assert named in str(caught.value)


def test_folders_and_patterns_come_in_order_and_once(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    files = [written(tmp_path / name) for name in ("b/2.png", "a.JPG.png", "c.png")]
    (tmp_path / "notes.txt").write_text("no picture")
    everything = expand_paths([str(tmp_path)])
    assert everything == tuple(sorted(map(str, files)))
    assert expand_paths([str(tmp_path / "*.png")]) == (str(files[1]), str(files[2]))
    assert expand_paths([str(files[2]), str(tmp_path / "*.png"), "-"]) == (str(files[2]), str(files[1]), "-")
    with pytest.raises(DataError, match="has no pictures"):
        expand_paths([str(tmp_path / "*.jpg")])


def test_a_picture_on_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    content = cv2.imencode(".png", IMAGE)[1].tobytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    (picture,) = iter_sources(["-"])
    np.testing.assert_array_equal(picture.read(), IMAGE)


def test_a_video_that_is_none_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("no video")
    (picture,) = iter_sources([str(tmp_path / "clip.mp4")])
    with pytest.raises(DataError, match="not a video"):
        picture.read()


def test_a_video_may_have_a_name_that_is_not_utf8(tmp_path):
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.full((48, 64, 3), 128, np.uint8))
    writer.release()
    renamed = video.rename(tmp_path / "caf\udce9.avi")
    (frame,) = iter_sources([str(renamed)], every=1)
    assert frame.name == f"{renamed}#0"
