from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.errors import DataError, DeviceUnreachable, IncompatibleError
from edgefer.live.camera import CapturedFrame, Source
from edgefer.live.frame_grabber import Frame, FrameGrabber

IMAGE = np.zeros((48, 64, 3), np.uint8)


def unplugged() -> Exception:
    return DeviceUnreachable("no frame from camera 0", why="it was unplugged")


@dataclass
class FakeCamera:
    """Camera with a frame every ``interval_s`` that raises ``error`` after ``fails_after`` frames."""

    interval_s: float = 0.02
    fails_after: int = 10**9
    fps: float | None = None
    closed: bool = False
    error: Exception = field(default_factory=unplugged)
    close_error: Exception | None = None

    def read(self) -> CapturedFrame:
        assert not self.closed
        if self.fails_after <= 0:
            raise self.error
        self.fails_after -= 1
        time.sleep(self.interval_s)
        return CapturedFrame(IMAGE, time.monotonic_ns(), 1000)

    def close(self) -> None:
        self.closed = True
        if self.close_error is not None:
            raise self.close_error


@dataclass
class FakeSource:
    """Source that opens its ``cameras`` one after the other; None or an exception is a failed attempt."""

    cameras: list[FakeCamera | Exception | None]
    live: bool = True
    opened: list[FakeCamera] = field(default_factory=list)
    attempts: list[float] = field(default_factory=list)

    def open(self) -> FakeCamera:
        self.attempts.append(time.monotonic())
        camera = self.cameras.pop(0)
        if camera is None:
            raise DeviceUnreachable("no camera at /dev/video0")
        if isinstance(camera, Exception):
            raise camera
        self.opened.append(camera)
        return camera

    def __str__(self) -> str:
        return "v4l2 0"


def read_frames(grabber: FrameGrabber, count: int) -> list[Frame]:
    return [frame for _ in range(count) if (frame := grabber.next_frame()) is not None]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("processing_s", [0.0, 0.005, 0.025, 0.15])
def test_frames_are_younger_than_two_frame_times_at_any_processing_time(processing_s: float) -> None:
    age_ratios = []
    with FrameGrabber(FakeSource([FakeCamera(0.02)])) as grabber:
        read_frames(grabber, 4)
        done, end = time.monotonic(), time.monotonic() + 0.7
        while done < end:
            frame = grabber.next_frame()
            assert frame is not None
            time.sleep(processing_s)
            previous, done = done, time.monotonic()
            # A frame takes as long as the slower of camera and processing.
            frame_time_s = max(grabber.interval_s or 0.0, done - previous)
            age_ratios.append((done - frame.captured.captured_ns / 1e9) / frame_time_s)
    assert max(age_ratios) < 2
    if processing_s > 0.1:
        assert grabber.dropped > 3 * len(age_ratios)


def test_a_frame_that_waited_through_a_pause_of_the_camera_is_dropped() -> None:
    camera = FakeCamera(0.02)
    with FrameGrabber(FakeSource([camera])) as grabber:
        read_frames(grabber, 4)
        camera.interval_s = 0.5
        time.sleep(0.3)
        requested_ns = time.monotonic_ns()
        frame = grabber.next_frame()
        assert frame is not None
        assert frame.captured.captured_ns > requested_ns


def test_frame_numbers_count_dropped_frames() -> None:
    with FrameGrabber(FakeSource([FakeCamera(0.01)])) as grabber:
        first = grabber.next_frame()
        time.sleep(0.1)
        second = grabber.next_frame()
        assert first is not None
        assert second is not None
        assert second.number - first.number - 1 == grabber.dropped >= 1


def test_a_disconnected_camera_is_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefer.live.frame_grabber.FIRST_PAUSE_S", 0.02)
    messages: list[str] = []
    source = FakeSource([FakeCamera(0.005, fails_after=5), None, None, FakeCamera(0.005)])
    with FrameGrabber(source, log=messages.append) as grabber:
        frames = read_frames(grabber, 12)
    assert len(frames) == 12
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert (len(source.attempts), grabber.disconnects) == (4, 1)
    assert [camera.closed for camera in source.opened] == [True, True]
    assert messages == ["v4l2 0 disconnected (it was unplugged); reconnecting", "v4l2 0 reconnected"]


def test_a_camera_whose_driver_fails_is_reopened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefer.live.frame_grabber.FIRST_PAUSE_S", 0.02)
    messages: list[str] = []
    failing = FakeCamera(0.005, fails_after=3, error=TimeoutError("no frame in 5 s"), close_error=OSError("gone"))
    source = FakeSource([failing, OSError("device busy"), FakeCamera(0.005)])
    with FrameGrabber(source, log=messages.append) as grabber:
        assert len(read_frames(grabber, 8)) == 8
    assert messages[0] == "v4l2 0 disconnected (TimeoutError: no frame in 5 s); reconnecting"
    assert (len(source.attempts), grabber.disconnects) == (3, 1)


@pytest.mark.parametrize("live", [False, True])
def test_an_error_that_ends_reading_is_raised(live: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefer.live.frame_grabber.FIRST_PAUSE_S", 0.02)
    failing = FakeCamera(0.005, fails_after=2, error=ValueError("rtsp://me:hunter2@cam/x"))
    cameras = [failing, IncompatibleError("picamera2 cannot be imported")] if live else [failing]
    expected = IncompatibleError if live else DeviceUnreachable
    message = "picamera2" if live else "no frame from v4l2 0: ValueError: rtsp://cam/x"
    with FrameGrabber(FakeSource(cameras, live=live), every_frame=True) as grabber:
        with pytest.raises(expected, match=message):
            read_frames(grabber, 5)
        assert failing.closed


def test_an_error_outside_the_camera_is_raised() -> None:
    def fail(message: str) -> None:
        raise BrokenPipeError(message)

    grabber = FrameGrabber(FakeSource([FakeCamera(0.005, fails_after=2)]), every_frame=True, log=fail)
    with grabber, pytest.raises(DeviceUnreachable, match="BrokenPipeError"):
        read_frames(grabber, 5)


def test_pauses_between_attempts_to_reopen_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefer.live.frame_grabber.FIRST_PAUSE_S", 0.1)
    source = FakeSource([FakeCamera(0.005, fails_after=2), *[None] * 50])
    with FrameGrabber(source):
        wait_until(lambda: len(source.attempts) == 4)
    pauses_s = np.diff(source.attempts[1:])
    assert pauses_s[0] >= 0.2
    assert pauses_s[1] >= 0.4
    assert source.opened[0].closed


def test_start_raises_if_the_camera_does_not_exist() -> None:
    with pytest.raises(DeviceUnreachable, match="no camera"):
        FrameGrabber(FakeSource([None])).start()


def test_stop_wakes_a_waiting_thread_and_close_releases_the_camera() -> None:
    camera = FakeCamera(1.0)
    grabber = FrameGrabber(FakeSource([camera]))
    grabber.start()
    threading.Timer(0.05, grabber.stop).start()
    begin = time.monotonic()
    assert grabber.next_frame() is None
    # Well before the camera's next frame.
    assert time.monotonic() - begin < 0.5 * camera.interval_s
    grabber.close()
    assert camera.closed


def test_every_frame_drops_none(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 40)
    with FrameGrabber(Source("video", str(path)), every_frame=True) as grabber:
        numbers = []
        while (frame := grabber.next_frame()) is not None:
            numbers.append(frame.number)
            time.sleep(0.001 * (frame.number % 5))
        assert numbers == list(range(40))
        assert grabber.dropped == 0


def test_the_time_of_every_frame_is_its_position_in_the_video(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 10, fps=50)
    with FrameGrabber(Source("video", str(path)), every_frame=True) as grabber:
        frames = read_frames(grabber, 10)
    assert np.diff([frame.timestamp_ns for frame in frames]) == pytest.approx(20_000_000, abs=10)
    with FrameGrabber(Source("video", str(path))) as grabber:
        (frame,) = read_frames(grabber, 1)
    assert frame.timestamp_ns == frame.captured.captured_ns


def test_a_video_plays_at_its_own_rate(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 25, fps=50)
    begin = time.monotonic()
    with FrameGrabber(Source("video", str(path))) as grabber:
        frames = 0
        while grabber.next_frame() is not None:
            frames += 1
        assert grabber.interval_s == pytest.approx(1 / 50, rel=0.5)
    assert time.monotonic() - begin > 0.9 * 24 / 50
    assert frames + grabber.dropped == 25


def test_a_video_without_frames_is_an_error(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 3)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"movi") + 4])
    with pytest.raises(DataError), FrameGrabber(Source("video", str(path))) as grabber:
        read_frames(grabber, 5)


class MjpegHandler(http.server.BaseHTTPRequestHandler):
    """Network camera that closes the connection after some frames."""

    frames = 15
    connections = 0

    def do_GET(self) -> None:
        type(self).connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        content = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        for _ in range(self.frames):
            self.wfile.write(head + content + b"\r\n")
            time.sleep(0.02)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def network_camera() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), MjpegHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/video.mjpeg"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_stream_that_breaks_off_is_reopened(network_camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefer.live.frame_grabber.FIRST_PAUSE_S", 0.05)
    MjpegHandler.connections = 0
    with FrameGrabber(Source("stream", network_camera)) as grabber:
        frames = read_frames(grabber, 20)
        assert grabber.disconnects >= 1
    assert len(frames) == 20
    assert abs(float(frames[-1].captured.image.mean()) - 90) < 5
    assert MjpegHandler.connections >= 2
