"""The newest frame, never an old one, from a camera that may go away."""

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

from edgefer.errors import DataError, DeviceUnreachable
from edgefer.live.camera import CapturedFrame, Source
from edgefer.live.frame_grabber import Frame, Grabber

IMAGE = np.zeros((48, 64, 3), np.uint8)


@dataclass
class Ticking:
    """A camera that gives a frame every ``interval_s``; after ``fails_after`` frames it is gone."""

    interval_s: float = 0.02
    fails_after: int = 10**9
    fps: float | None = None
    closed: bool = False

    def read(self) -> CapturedFrame:
        assert not self.closed
        if self.fails_after <= 0:
            raise DeviceUnreachable("the camera gives no frame", why="it was unplugged")
        self.fails_after -= 1
        time.sleep(self.interval_s)
        return CapturedFrame(IMAGE, time.monotonic_ns(), 1000)

    def close(self) -> None:
        self.closed = True


@dataclass
class Bench:
    """A source that opens its ``cameras`` one after the other; None is a try that fails."""

    cameras: list[Ticking | None]
    live: bool = True
    opened: list[Ticking] = field(default_factory=list)
    tries: int = 0

    def open(self) -> Ticking:
        self.tries += 1
        camera = self.cameras.pop(0)
        if camera is None:
            raise DeviceUnreachable("no camera at /dev/video0")
        self.opened.append(camera)
        return camera

    def __str__(self) -> str:
        return "v4l2 0"


def seen(grabber: Grabber, count: int) -> list[Frame]:
    return [frame for _ in range(count) if (frame := grabber.take()) is not None]


@pytest.mark.parametrize("work_s", [0.0, 0.005, 0.025, 0.15])
def test_a_frame_is_never_older_than_two_frame_times_whatever_the_work_takes(work_s: float) -> None:
    ratios = []
    with Grabber(Bench([Ticking(0.02)])) as grabber:
        seen(grabber, 4)
        done, end = time.monotonic(), time.monotonic() + 0.7
        while done < end:
            frame = grabber.take()
            assert frame is not None
            time.sleep(work_s)
            before, done = done, time.monotonic()
            # The slower of the camera and the work is what a frame takes.
            frame_time_s = max(grabber.interval_s or 0.0, done - before)
            ratios.append((done - frame.shot.captured_ns / 1e9) / frame_time_s)
    assert max(ratios) < 2
    if work_s > 0.1:
        # Who is slow is given fewer frames.
        assert grabber.dropped > 3 * len(ratios)


def test_after_a_pause_of_the_camera_no_old_frame_is_given() -> None:
    camera = Ticking(0.02)
    with Grabber(Bench([camera])) as grabber:
        seen(grabber, 4)
        camera.interval_s = 0.5  # one frame comes, then none for half a second
        time.sleep(0.3)
        frame = grabber.take()
        assert frame is not None
        assert time.monotonic_ns() - frame.shot.captured_ns < 0.1e9


def test_numbers_tell_what_was_passed_over() -> None:
    with Grabber(Bench([Ticking(0.01)])) as grabber:
        first = grabber.take()
        time.sleep(0.1)
        second = grabber.take()
        assert first is not None
        assert second is not None
        assert second.number - first.number - 1 == grabber.dropped >= 5
        assert grabber.interval_s == pytest.approx(0.01, rel=0.5)


def test_a_camera_that_is_unplugged_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefer.live.frame_grabber.FIRST_PAUSE_S", 0.02)
    told: list[str] = []
    bench = Bench([Ticking(0.005, fails_after=5), None, None, Ticking(0.005)])
    with Grabber(bench, tell=told.append) as grabber:
        frames = seen(grabber, 12)
    assert len(frames) == 12
    numbers = [frame.number for frame in frames]
    assert numbers == sorted(set(numbers))
    assert (bench.tries, grabber.losses) == (4, 1)
    assert [camera.closed for camera in bench.opened] == [True, True]
    assert told == ["v4l2 0 is gone (it was unplugged); trying to open it again", "v4l2 0 is back"]


def test_pauses_between_tries_grow() -> None:
    bench = Bench([Ticking(0.005, fails_after=2), *[None] * 50])
    with Grabber(bench):
        time.sleep(1.2)
        # After 0.25 s, and 0.5 s after that; the next would be a second later.
        assert bench.tries == 3
    assert bench.opened[0].closed


def test_what_is_not_there_at_the_start_is_an_error_at_once() -> None:
    with pytest.raises(DeviceUnreachable, match="no camera"):
        Grabber(Bench([None])).start()


def test_closing_ends_a_wait_and_lets_the_camera_go() -> None:
    bench = Bench([Ticking(0.2)])
    grabber = Grabber(bench)
    grabber.start()
    threading.Timer(0.05, grabber.stop).start()
    begin = time.monotonic()
    assert grabber.take() is None
    assert time.monotonic() - begin < 0.15
    grabber.close()
    assert bench.opened[0].closed


def test_of_every_frame_none_is_passed_over(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 40)
    with Grabber(Source("video", str(path)), every_frame=True) as grabber:
        numbers = []
        while (frame := grabber.take()) is not None:
            numbers.append(frame.number)
            time.sleep(0.001 * (frame.number % 5))
        assert numbers == list(range(40))
        assert grabber.dropped == 0


def test_a_video_is_played_at_its_own_rate(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 25, fps=50)
    begin = time.monotonic()
    with Grabber(Source("video", str(path))) as grabber:
        frames = 0
        while grabber.take() is not None:
            frames += 1
        assert grabber.interval_s == pytest.approx(0.02, rel=0.3)
    assert 0.45 < time.monotonic() - begin < 1.5
    assert frames + grabber.dropped == 25


def test_a_file_without_a_frame_is_an_error(tmp_path: Path, film: Callable[..., Path]) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 3)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"movi") + 4])
    with pytest.raises(DataError), Grabber(Source("video", str(path))) as grabber:
        seen(grabber, 5)


class Mjpeg(http.server.BaseHTTPRequestHandler):
    """A network camera that breaks off after some frames."""

    frames = 15
    visits = 0

    def do_GET(self) -> None:
        type(self).visits += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        content = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        for _ in range(self.frames):
            self.wfile.write(head + content + b"\r\n")
            time.sleep(0.02)

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def network_camera() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mjpeg)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/video.mjpeg"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_stream_that_breaks_off_is_gone_to_again(network_camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgefer.live.frame_grabber.FIRST_PAUSE_S", 0.05)
    Mjpeg.visits = 0
    with Grabber(Source("stream", network_camera)) as grabber:
        frames = seen(grabber, 20)
        assert grabber.losses >= 1
    assert len(frames) == 20
    assert abs(float(frames[-1].shot.image.mean()) - 90) < 5
    assert Mjpeg.visits >= 2
