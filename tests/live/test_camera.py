from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from edgefer.errors import DataError, DeviceUnreachable, IncompatibleError, UsageError
from edgefer.live.camera import Source, find_source

OPEN_SOURCE = """
import sys
from edgefer.errors import EdgeferError
from edgefer.processes import allow_output_suppression
with allow_output_suppression():                # as in a command
    from edgefer.live.camera import Source
    try:
        Source(sys.argv[1], sys.argv[2]).open()
    except EdgeferError as error:
        print(str(error))
"""
BY_PATH = "/dev/v4l/by-path/platform-fd500000.pcie-pci-0000:01:00.0-usb-0:1.3:1.0-video-index0"
IMAGES = [np.full((48, 64, 3), level, np.uint8) for level in (20, 90, 160, 230)]


@pytest.mark.parametrize(
    ("arguments", "kind", "location", "live"),
    [
        ({}, "v4l2", "0", True),
        ({"camera": "1"}, "v4l2", "1", True),
        ({"camera": "/dev/video2"}, "v4l2", "/dev/video2", True),
        ({"camera": BY_PATH}, "v4l2", BY_PATH, True),
        ({"camera": "picamera2"}, "picamera2", "", True),
        ({"camera": "picamera2:1"}, "picamera2", "1", True),
        ({"video": "clip.mp4"}, "video", "clip.mp4", False),
        ({"stream": "rtsp://host/path"}, "stream", "rtsp://host/path", True),
    ],
)
def test_an_argument_selects_kind_and_location(
    arguments: dict[str, str], kind: str, location: str, live: bool
) -> None:
    source = find_source(**arguments, size=(320, 240))
    assert (source.kind, source.location, source.size, source.live) == (kind, location, (320, 240), live)


def test_invalid_arguments_raise_usage_errors() -> None:
    with pytest.raises(UsageError, match="--camera together with --video"):
        find_source(camera="0", video="clip.mp4")
    with pytest.raises(UsageError, match="picamera2"):
        find_source(camera="picamera")
    with pytest.raises(UsageError, match="expected a URL"):
        find_source(stream="clip.mp4").open()
    for camera in ("-1", "1:2", "clip.mp4"):
        with pytest.raises(UsageError, match=f"--camera {camera}: expected a number"):
            find_source(camera=camera)
    for kind in ("video", "stream"):
        with pytest.raises(UsageError, match=f"--camera {kind} without"):
            find_source(camera=kind).open()


def test_a_number_is_a_camera_and_a_path_is_a_video() -> None:
    assert find_source(camera=0) == find_source(camera="0") == find_source()
    assert find_source(video=Path("clip.mp4")) == find_source(video="clip.mp4")


@pytest.mark.parametrize("option", ["camera", "video", "stream"])
def test_an_empty_value_is_not_the_default_camera(option: str) -> None:
    with pytest.raises(UsageError, match=f"--{option} without a value"):
        find_source(**{option: ""})


def test_a_kind_without_a_number_is_the_first_camera() -> None:
    with pytest.raises(DeviceUnreachable, match="/dev/video0"):
        find_source(camera="v4l2").open()


def test_a_folder_is_not_a_video(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a file"):
        find_source(video=str(tmp_path)).open()


@pytest.mark.parametrize(
    "address", ["rtsp://me:secret@127.0.0.1:1/path", "rtsp://127.0.0.1:1/path?user=me&password=secret"]
)
def test_credentials_of_a_stream_are_hidden(address: str) -> None:
    source = find_source(stream=address)
    assert str(source).startswith("stream rtsp://127.0.0.1:1/path")
    with pytest.raises(DeviceUnreachable) as caught:
        source.open()
    for text in (str(source), repr(source), str(caught.value)):
        assert "secret" not in text
    assert "127.0.0.1" in str(caught.value)


@pytest.mark.parametrize("option", ["stream", "video", "camera"])
def test_an_address_in_the_wrong_place_is_reported_without_its_password(option: str) -> None:
    address = "me:secret@cam/x" if option == "stream" else "rtsp://me:secret@cam/x"
    with pytest.raises(UsageError) as caught:
        find_source(**{option: address}).open()
    assert "secret" not in str(caught.value)
    assert "--stream" in caught.value.hint


def test_a_name_need_not_be_utf8(tmp_path: Path, film: Callable[..., Path]) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/clip\xff.avi")
    film(tmp_path / "clip.avi", IMAGES).rename(name)
    # In a process of its own, because OpenCV could end it.
    child = open_source("video", name)
    assert (child.returncode, child.stdout) == (0, "")
    for kind, location in (("stream", "rtsp://cam/\udcff"), ("v4l2", "/dev/video\udcff")):
        child = open_source(kind, location)
        assert (child.returncode, "expected UTF-8" in child.stdout) == (0, True)


@pytest.mark.parametrize("name", ["2026-11-30T12:30:05.avi", "data:clip.avi"])
def test_the_start_of_a_name_is_not_a_protocol(
    tmp_path: Path, film: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    film(tmp_path / "clip.avi", IMAGES).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    camera = Source("video", name).open()
    assert camera.read() is not None
    camera.close()


def test_a_video_returns_its_frames_then_none(tmp_path: Path, film: Callable[..., Path]) -> None:
    camera = Source("video", str(film(tmp_path / "clip.avi", IMAGES, fps=12))).open()
    assert camera.fps == pytest.approx(12)
    frames = [camera.read() for _ in IMAGES]
    assert [round(float(frame.image.mean()), -1) for frame in frames if frame] == [20, 90, 160, 230]
    assert all(frame and frame.grab_ns > 0 for frame in frames)
    times_ns = [frame.captured_ns for frame in frames if frame]
    assert times_ns == sorted(times_ns)
    assert camera.read() is None
    camera.close()


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_an_unreadable_video_is_an_error_and_opencv_prints_nothing(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    child = open_source("video", str(path))
    assert (child.returncode, "clip.mp4" in child.stdout, child.stderr) == (0, True, "")


def open_source(kind: str, location: str) -> subprocess.CompletedProcess[str]:
    """Open a source in a process of its own; FFmpeg reads its log level once per process."""
    command = [sys.executable, "-c", OPEN_SOURCE, kind, location]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_missing_camera_is_an_error_and_opencv_prints_nothing() -> None:
    child = open_source("v4l2", "97")
    assert (child.returncode, "/dev/video97" in child.stdout, child.stderr) == (0, True, "")


def test_a_camera_does_not_change_the_environment_or_the_log_level_of_a_program() -> None:
    before, get_level = dict(os.environ), getattr(cv2, "getLogLevel", None) or cv2.utils.logging.getLogLevel
    level = get_level()
    with pytest.raises(DeviceUnreachable, match="/dev/video97"):
        Source("v4l2", "97").open()
    assert (dict(os.environ), get_level()) == (before, level)


def test_picamera2_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(IncompatibleError, match="python3-picamera2"):
        Source("picamera2", "").open()


def test_picamera2_captures_bgr_without_queue_and_releases_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the calls against a fake picamera2 that follows its manual, because CI has no such camera."""
    calls: list[object] = []

    class Request:
        def make_array(self, name: str) -> np.ndarray:
            calls.append(name)
            return IMAGES[0]

        def release(self) -> None:
            calls.append("release")

    class Picamera2:
        def __init__(self, number: int) -> None:
            if number > 0:
                raise IndexError("list index out of range")

        def create_video_configuration(self, **options: object) -> dict[str, object]:
            return options

        def configure(self, options: dict[str, object]) -> None:
            calls.append(options)

        def start(self) -> None:
            calls.append("start")

        def capture_request(self) -> Request:
            return Request()

        def close(self) -> None:
            calls.append("close")

    module = ModuleType("picamera2")
    module.Picamera2 = Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    camera = Source("picamera2", "").open()
    frame = camera.read()
    camera.close()
    assert frame is not None
    np.testing.assert_array_equal(frame.image, IMAGES[0])
    main = {"size": (640, 480), "format": "RGB888"}
    assert calls == [{"main": main, "queue": False}, "start", "main", "release", "close"]
    with pytest.raises(DeviceUnreachable, match="camera 1"):
        Source("picamera2", "1").open()
