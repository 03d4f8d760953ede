"""Find images and videos in files, folders and patterns, and read them or report an error of their own."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.inference.images import expand_paths, iter_sources
from edgefer.processes import allow_output_suppression

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)


def read(path: Path) -> np.ndarray:
    (picture,) = iter_sources([str(path)])
    assert picture.name == str(path)
    return picture.read()


def written(path: Path, image: np.ndarray = IMAGE) -> Path:
    assert cv2.imwrite(str(path), image)
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "webp", "jpg"])
def test_images_of_common_formats_are_read(tmp_path: Path, suffix: str) -> None:
    image = read(written(tmp_path / f"image.{suffix}"))
    assert image.shape == IMAGE.shape
    if suffix not in ("jpg", "webp"):
        np.testing.assert_array_equal(image, IMAGE)


def test_16_bit_alpha_and_gray_images_become_8_bit_bgr(tmp_path: Path) -> None:
    deep = read(written(tmp_path / "deep.png", IMAGE.astype(np.uint16) * 257))
    np.testing.assert_array_equal(deep, IMAGE)
    alpha = np.dstack([IMAGE, np.full(IMAGE.shape[:2], 128, np.uint8)])
    np.testing.assert_array_equal(read(written(tmp_path / "alpha.png", alpha)), IMAGE)
    gray = read(written(tmp_path / "gray.png", IMAGE[..., 0]))
    np.testing.assert_array_equal(gray, np.repeat(IMAGE[..., :1], 3, axis=2))


def test_cmyk_is_converted_to_bgr(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    flat = np.full((32, 32, 3), (200, 40, 60), np.uint8)
    image_module.fromarray(flat).convert("CMYK").save(tmp_path / "print.jpg", quality=95)
    np.testing.assert_allclose(read(tmp_path / "print.jpg")[16, 16, ::-1], [200, 40, 60], atol=12)


def test_a_photo_is_rotated_by_its_exif_orientation(tmp_path: Path) -> None:
    path = written(tmp_path / "turned.jpg", np.hstack([np.zeros((20, 30, 3), np.uint8), np.full((20, 30, 3), 255)]))
    content = path.read_bytes()
    # Orientation 6 means a clockwise rotation by 90 degrees.
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01" + struct.pack(">HHIHH", 0x0112, 3, 1, 6, 0) + bytes(4)
    exif = b"Exif\x00\x00" + tiff
    path.write_bytes(content[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + content[2:])
    image = read(path)
    assert image.shape == (60, 20, 3)
    assert image[:25].mean() < 20
    assert image[35:].mean() > 235


def test_the_first_frame_of_an_animation_is_read(tmp_path: Path) -> None:
    image_module = pytest.importorskip("PIL.Image")
    frames = [image_module.fromarray(np.full((16, 16, 3), level, np.uint8)) for level in (40, 200)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert abs(float(read(tmp_path / "moving.gif").mean()) - 40) < 8


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_half_a_picture_is_rejected(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"image.{suffix}", np.random.default_rng(1).integers(0, 256, (200, 60, 3), np.uint8))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match="cut short"):
        read(path)


def png_header(width: int, height: int) -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IEND", b"")


def with_size(content: bytes, width: int, height: int) -> bytes:
    """Return a JPEG whose header declares another size."""
    place = next(content.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in content) + 5
    return content[:place] + struct.pack(">HH", height, width) + content[place + 4 :]


def test_an_image_above_the_memory_limit_is_rejected_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(20_000, 20_000))
    with pytest.raises(DataError, match="too large") as caught:
        read(tmp_path / "huge.png")
    assert "20,000 x 20,000" in caught.value.why
    plain, progressive = (
        cv2.imencode(".jpg", IMAGE, [cv2.IMWRITE_JPEG_PROGRESSIVE, each])[1].tobytes() for each in (0, 1)
    )
    for content, side in ((progressive, 20_000), (plain, 60_000)):
        (tmp_path / "huge.jpg").write_bytes(with_size(content, side, side))
        with pytest.raises(DataError, match="too large"):
            read(tmp_path / "huge.jpg")


DECODE = """
import sys
from edgefer.inference.images import iter_sources
from edgefer.device.sysfs import peak_rss_bytes
before = peak_rss_bytes()
(picture,) = iter_sources([sys.argv[1]])
decoded = picture.decode()
print(*decoded.image.shape, decoded.reduction, int(decoded.image[2500, 3750].mean()), peak_rss_bytes() - before)
"""


@pytest.mark.slow
def test_a_jpeg_of_20_000_by_20_000_pixels_is_reduced_while_it_is_decoded(tmp_path: Path) -> None:
    image = np.full((20_000, 20_000), 40, np.uint8)
    image[8_000:12_000, 14_000:16_000] = 200
    path = tmp_path / "huge.jpg"
    cv2.imwrite(str(path), image)
    command = [sys.executable, "-c", DECODE, str(path)]
    printed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()
    height, width, channels, reduction, level, grown = map(int, printed)
    assert (height, width, channels, reduction) == (5_000, 5_000, 3, 4)
    assert abs(level - 200) <= 2
    # At full size it would take 2,400 MB.
    assert grown < 300e6


@pytest.mark.parametrize(
    ("content", "named"), [(b"", "empty"), (b"not a picture", "damaged"), (b"\xff\xd8", "cut short")]
)
def test_a_file_that_is_not_an_image_is_named(tmp_path: Path, content: bytes, named: str) -> None:
    (tmp_path / "odd.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"odd\.jpg") as caught:
        read(tmp_path / "odd.jpg")
    assert named in str(caught.value)


@pytest.mark.parametrize(
    ("name", "image", "named"),
    [
        ("depth.tiff", np.ones((48, 48), np.float32), "depth.tiff: the TIFF image has 32-bit float samples"),
        ("dark.png", np.full((48, 48), 255, np.uint16), "dark.png: the image has 8-bit values in 16-bit samples"),
    ],
)
def test_a_file_of_other_samples_is_named(tmp_path: Path, name: str, image: np.ndarray, named: str) -> None:
    (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
    with pytest.raises(DataError, match=named):
        read(tmp_path / name)


def test_files_of_folders_and_patterns_are_sorted_and_unique(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    files = [written(tmp_path / name) for name in ("b/2.png", "a.JPG.png", "c.png")]
    (tmp_path / "notes.txt").write_text("not a picture")
    paths = expand_paths([str(tmp_path)])
    assert paths == tuple(sorted(map(str, files)))
    assert expand_paths([str(tmp_path / "*.png")]) == (str(files[1]), str(files[2]))
    assert expand_paths([str(files[2]), str(tmp_path / "*.png"), "-"]) == (str(files[2]), str(files[1]), "-")
    with pytest.raises(DataError, match="has no pictures"):
        expand_paths([str(tmp_path / "*.jpg")])


def test_two_stars_in_a_pattern_match_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub/sub").mkdir(parents=True)
    for name in ("a.png", "sub/b.png", "sub/sub/c.png"):
        written(tmp_path / name)
    assert expand_paths(["**.png"]) == ("a.png",)
    assert expand_paths(["sub/**"]) == ("sub/b.png", "sub/sub/c.png")
    assert expand_paths([f"{tmp_path}/s***/*.png"]) == (f"{tmp_path}/sub/b.png",)
    assert expand_paths(["*/"]) == ("sub/b.png", "sub/sub/c.png")


def test_a_name_that_is_too_long_is_an_error_of_its_own(tmp_path: Path) -> None:
    name = f"{'a' * 300}.png"
    assert expand_paths([name, str(written(tmp_path / "a.png"))]) == (name, str(tmp_path / "a.png"))
    (source,) = iter_sources([name])
    with pytest.raises(DataError, match="File name too long"):
        source.read()


def test_a_device_is_not_read() -> None:
    (source,) = iter_sources(["/dev/zero"])
    with pytest.raises(DataError, match="/dev/zero: it is a device") as caught:
        source.read()
    assert caught.value.hint == "edgefer live --camera /dev/zero"


def test_a_closed_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    (source,) = iter_sources(["-"])
    with pytest.raises(DataError, match="standard input is closed"):
        source.read()


def test_an_image_on_standard_input_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    content = cv2.imencode(".png", IMAGE)[1].tobytes()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    (picture,) = iter_sources(["-"])
    np.testing.assert_array_equal(picture.read(), IMAGE)


def test_a_hint_quotes_the_name_of_the_video(tmp_path: Path) -> None:
    (tmp_path / "my clip.mp4").write_bytes(b"no video")
    (source,) = iter_sources([f"{tmp_path}/my clip.mp4"])
    with pytest.raises(DataError) as caught:
        source.read()
    assert caught.value.hint == f"ffmpeg -i '{tmp_path}/my clip.mp4' converted.mp4"


def test_a_damaged_video_gives_one_error(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_text("not a video")
    (picture,) = iter_sources([str(tmp_path / "clip.mp4")])
    with pytest.raises(DataError, match="not a video"):
        picture.read()


def test_bytes_of_a_damaged_video_do_not_reach_the_terminal(
    tmp_path: Path, film: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    video = film(tmp_path / "clip.avi", [np.zeros((48, 64, 3), np.uint8)])
    video.write_bytes(video.read_bytes().replace(b"LIST", b"\x07\x1b\x9b\xff", 1))
    with allow_output_suppression():
        (picture,) = iter_sources([str(video)])
        with pytest.raises(DataError, match="not a video that OpenCV can read"):
            picture.read()
    assert capfd.readouterr() == ("", "")


def test_the_name_of_a_video_need_not_be_utf8(tmp_path):
    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.full((48, 64, 3), 128, np.uint8))
    writer.release()
    renamed = video.rename(tmp_path / "caf\udce9.avi")
    (frame,) = iter_sources([str(renamed)], every=1)
    assert frame.name == f"{renamed}#0"


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200)


def names(folder: Path, paths: tuple[str, ...]) -> list[str]:
    return [Path(path).relative_to(folder).as_posix() for path in paths]


def test_a_folder_gives_every_file_with_the_content_of_an_image_or_a_video(
    tmp_path: Path, film: Callable[..., Path]
) -> None:
    content = cv2.imencode(".jpg", IMAGE)[1].tobytes()
    for name in ("IMG_0001", "photo.jfif", "photo.JPG_large", "photo.bak"):
        (tmp_path / name).write_bytes(content)
    for name in ("camera.ts", "phone.3gp"):
        writer = cv2.VideoWriter(str(tmp_path / name), cv2.VideoWriter.fourcc(*"mp4v"), 10, (240, 240))
        for _ in range(5):
            writer.write(np.full((240, 240, 3), 90, np.uint8))
        writer.release()
    (tmp_path / "IMG_0002.HEIC").write_bytes(HEIC)
    (tmp_path / "IMG_0003.dng").write_bytes(b"II*\0" + bytes(100))
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    others = {
        "notes.txt": b"a text",
        "main.ts": b"export {}",
        "BMW.csv": b"BMW,1",
        "P5 notes": b"P5 \nnotes",
        "empty": b"",
    }
    for name, text in others.items():
        (tmp_path / name).write_bytes(text)
    left_out: list[Path] = []
    paths = expand_paths([str(tmp_path)], on_other_file=left_out.append)
    assert names(tmp_path, paths) == [
        "IMG_0001", "IMG_0002.HEIC", "IMG_0003.dng", "camera.ts", "gone.jpg", "phone.3gp", "photo.JPG_large",
        "photo.bak", "photo.jfif",
    ]  # fmt: skip
    assert sorted(path.name for path in left_out) == sorted(others)
    sources = [source.name.rpartition("/")[2] for source in iter_sources(paths)]
    assert [name for name in sources if "#" in name] == [
        f"{name}#{number}" for name in ("camera.ts", "phone.3gp") for number in range(5)
    ]


@pytest.mark.parametrize("brand", [b"heic", b"heix", b"mif1", b"msf1"])
def test_an_image_of_a_phone_that_opencv_cannot_decode_is_named_with_its_format(tmp_path: Path, brand: bytes) -> None:
    (tmp_path / "IMG.HEIC").write_bytes(HEIC.replace(b"heic", brand, 1))
    (source,) = iter_sources([str(tmp_path / "IMG.HEIC")])
    with pytest.raises(DataError, match=r"IMG\.HEIC") as caught:
        source.read()
    assert "HEIC" in caught.value.why
    assert "convert" in caught.value.hint


def test_the_thumbnail_of_a_camera_raw_file_is_not_taken_for_its_image(tmp_path: Path) -> None:
    content = cv2.imencode(".tiff", IMAGE, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()
    (directory,) = struct.unpack("<I", content[4:8])
    (count,) = struct.unpack("<H", content[directory : directory + 2])
    entries = content[directory + 2 : directory + 2 + 12 * count]
    version = struct.pack("<HHI4B", 50706, 1, 4, 1, 4, 0, 0)
    rewritten = struct.pack("<H", count + 1) + entries + version + bytes(4)
    (tmp_path / "IMG.dng").write_bytes(content[:4] + struct.pack("<I", len(content)) + content[8:] + rewritten)
    (source,) = iter_sources([str(tmp_path / "IMG.dng")])
    with pytest.raises(DataError, match="camera raw"):
        source.read()


@pytest.mark.parametrize("word", [".", "*", "**/*", "*.jpg"])
def test_system_files_are_not_read_as_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    monkeypatch.chdir(tmp_path)
    leftovers = (
        "@eaDir/a.jpg/SYNOFILE_THUMB_M.jpg", ".Trash-1000/files/b.jpg", "__MACOSX/c.jpg", "._a.jpg", ".hidden.jpg",
        ".ipynb_checkpoints/a-checkpoint.jpg", "$RECYCLE.BIN/d.jpg", "lost+found/e.jpg",
    )  # fmt: skip
    for name in ("a.jpg", *leftovers):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        written(Path(name))
    Path("Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    left_out: list[Path] = []
    assert expand_paths([word], on_other_file=left_out.append) == ("a.jpg",)
    assert left_out == []
    # A leftover that is named itself is read.
    assert expand_paths([".Trash-1000"]) == (".Trash-1000/files/b.jpg",)
    assert expand_paths(["$RECYCLE.BIN/*"]) == ("$RECYCLE.BIN/d.jpg",)


def test_a_folder_may_have_the_name_of_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").mkdir()
    written(tmp_path / "a.jpg" / "b.png")
    assert names(tmp_path, expand_paths([str(tmp_path)])) == ["a.jpg/b.png"]


def test_a_folder_that_cannot_be_listed_is_a_separate_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("locked", "open"):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "a.png")
    listed = Path.iterdir

    def iterdir(path: Path) -> Iterator[Path]:
        # File modes do not stop the superuser, as whom containers run.
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    paths = expand_paths([str(tmp_path)])
    assert names(tmp_path, paths) == ["locked", "open/a.png"]
    locked, image = iter_sources(paths)
    with pytest.raises(DataError, match="locked.*Permission denied"):
        locked.read()
    assert image.read().shape == IMAGE.shape


def test_a_picture_is_read_once_by_any_spelling_of_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "a.png")
    assert expand_paths([".", "./a.png", ".//a.png", "a.png"]) == ("a.png",)
    assert expand_paths(["-", "./-", "-"]) == ("-", "./-")


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    content = cv2.imencode(".png", IMAGE)[1].tobytes()
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(content,))
    writer.start()
    (source,) = iter_sources(expand_paths([str(tmp_path / "pipe")]))
    np.testing.assert_array_equal(source.read(), IMAGE)
    writer.join()


def test_a_pipe_in_a_folder_is_left_out(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    written(tmp_path / "a.png")
    left_out: list[Path] = []
    assert names(tmp_path, expand_paths([str(tmp_path)], on_other_file=left_out.append)) == ["a.png"]
    assert left_out == [tmp_path / "pipe"]


def test_a_source_declares_the_memory_of_its_image(tmp_path: Path) -> None:
    small, large = written(tmp_path / "small.png"), tmp_path / "large.png"
    large.write_bytes(png_header(10_000, 10_000))
    sources = [*iter_sources([str(small), str(large), str(tmp_path / "missing.png")])]
    assert 0 < sources[0].memory_bytes < 100_000
    assert 300_000_000 < sources[1].memory_bytes < 1_200_000_000
    assert sources[2].memory_bytes == 0


def test_frames_of_a_video_keep_their_numbers(tmp_path: Path, film: Callable[..., Path]) -> None:
    frames = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(10)]
    path = film(tmp_path / "clip.avi", frames)
    sources = [*iter_sources([str(path)], every=3)]
    assert [source.name for source in sources] == [f"{path}#{number}" for number in (0, 3, 6, 9)]
    assert [round(float(source.read().mean()) / 20) for source in sources] == [0, 3, 6, 9]


@pytest.mark.parametrize("name", ["clip", "clip.jpg", "clip.data"])
def test_a_video_is_recognized_under_any_name(tmp_path: Path, film: Callable[..., Path], name: str) -> None:
    film(tmp_path / "clip.avi", [np.zeros((48, 64, 3), np.uint8)] * 2).rename(tmp_path / name)
    assert [source.name for source in iter_sources([str(tmp_path / name)])] == [
        f"{tmp_path / name}#{n}" for n in (0, 1)
    ]


@pytest.mark.parametrize("fps", [0.5, 1000, 90_000])
def test_frame_numbers_do_not_depend_on_the_frame_rate(tmp_path: Path, film: Callable[..., Path], fps: float) -> None:
    frames = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(6)]
    path = film(tmp_path / "clip.avi", frames, fps=fps)
    assert [round(float(source.read().mean()) / 20) for source in iter_sources([str(path)])] == [0, 1, 2, 3, 4, 5]


def test_a_motion_jpeg_stream_without_a_frame_rate_gives_every_frame(tmp_path: Path) -> None:
    frames = [cv2.imencode(".jpg", np.full((48, 64, 3), 40 * n, np.uint8))[1].tobytes() for n in range(5)]
    (tmp_path / "camera.mjpeg").write_bytes(b"".join(frames))
    sources = [*iter_sources([str(tmp_path / "camera.mjpeg")])]
    assert [source.name.rpartition("#")[2] for source in sources] == ["0", "1", "2", "3", "4"]
    assert [round(float(source.read().mean()) / 40) for source in sources] == [0, 1, 2, 3, 4]
