"""Where frames come from; the network here is a real one, on this machine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgefer.errors import DataError, DeviceUnreachable, IncompatibleError, UsageError
from edgefer.live.camera import Source, find_source

FRAMES = [np.full((48, 64, 3), level, np.uint8) for level in (20, 90, 160, 230)]


@pytest.mark.parametrize(
    ("named", "kind", "where", "live"),
    [
        ({}, "v4l2", "0", True),
        ({"camera": "1"}, "v4l2", "1", True),
        ({"camera": "/dev/video2"}, "v4l2", "/dev/video2", True),
        ({"camera": "picamera2"}, "picamera2", "", True),
        ({"camera": "picamera2:1"}, "picamera2", "1", True),
        ({"video": "clip.mp4"}, "video", "clip.mp4", False),
        ({"stream": "rtsp://host/path"}, "stream", "rtsp://host/path", True),
    ],
)
def test_what_a_user_names_is_a_kind_of_camera_and_which_of_them(
    named: dict[str, str], kind: str, where: str, live: bool
) -> None:
    source = find_source(**named, size=(320, 240))
    assert (source.kind, source.where, source.size, source.live) == (kind, where, (320, 240), live)


def test_slips() -> None:
    with pytest.raises(UsageError, match="--camera together with --video"):
        find_source(camera="0", video="clip.mp4")
    with pytest.raises(UsageError, match="picamera2"):
        find_source(camera="picamera")
    with pytest.raises(UsageError, match="an address was expected"):
        find_source(stream="clip.mp4").open()


def test_a_password_in_an_address_is_shown_to_nobody() -> None:
    source = find_source(stream="rtsp://me:secret@127.0.0.1:1/path")
    assert str(source) == "stream rtsp://127.0.0.1:1/path"
    with pytest.raises(DeviceUnreachable) as caught:
        source.open()
    assert "secret" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_a_video_gives_its_frames_and_ends(tmp_path: Path, film: Callable[..., Path]) -> None:
    camera = Source("video", str(film(tmp_path / "clip.avi", FRAMES, fps=12))).open()
    assert camera.fps == pytest.approx(12)
    shots = [camera.read() for _ in FRAMES]
    assert [round(float(shot.image.mean()), -1) for shot in shots if shot] == [20, 90, 160, 230]
    assert all(shot and shot.grab_ns > 0 for shot in shots)
    times = [shot.captured_ns for shot in shots if shot]
    assert times == sorted(times)
    assert camera.read() is None
    camera.close()


@pytest.mark.parametrize("content", [None, b"", b"no video"])
def test_a_file_that_is_no_video_is_named_and_opencv_is_quiet(
    tmp_path: Path, content: bytes | None, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"clip\.mp4"):
        Source("video", str(path)).open()
    assert capfd.readouterr().err == ""


def test_a_camera_that_is_not_there_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(DeviceUnreachable, match="/dev/video97"):
        Source("v4l2", "97").open()
    assert capfd.readouterr().err == ""


def test_the_camera_of_a_pi_wants_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(IncompatibleError, match="python3-picamera2"):
        Source("picamera2", "").open()


def test_the_camera_of_a_pi_is_asked_for_bgr_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here has that camera: this holds what is asked of its library, as its manual describes it."""
    asked: list[object] = []

    class Request:
        def make_array(self, name: str) -> np.ndarray:
            asked.append(name)
            return FRAMES[0]

        def release(self) -> None:
            asked.append("released")

    class Picamera2:
        def __init__(self, number: int) -> None:
            if number > 0:
                raise IndexError("list index out of range")

        def create_video_configuration(self, **options: object) -> dict[str, object]:
            return options

        def configure(self, options: dict[str, object]) -> None:
            asked.append(options)

        def start(self) -> None:
            asked.append("started")

        def capture_request(self) -> Request:
            return Request()

        def close(self) -> None:
            asked.append("closed")

    module = ModuleType("picamera2")
    module.Picamera2 = Picamera2  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "picamera2", module)
    camera = Source("picamera2", "").open()
    shot = camera.read()
    camera.close()
    assert shot is not None
    np.testing.assert_array_equal(shot.image, FRAMES[0])
    main = {"size": (640, 480), "format": "RGB888"}
    assert asked == [{"main": main, "queue": False}, "started", "main", "released", "closed"]
    with pytest.raises(DeviceUnreachable, match="camera 1"):
        Source("picamera2", "1").open()
