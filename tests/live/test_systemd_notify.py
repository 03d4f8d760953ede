"""Messages of the service, received at a real socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.inference.face_detection import FaceBox
from edgefer.live.frame_result import FrameResult, FrameTiming, Health, LiveFace
from edgefer.live.systemd_notify import HeartbeatSink, notify

FACE = LiveFace(0, FaceBox(0, 0, 8, 8), "happy", 0.9, (0.1,) * 7)
RESULT = FrameResult(0, 0, 1.0, np.zeros((8, 8, 3), np.uint8), (FACE,), LABELS, FrameTiming(fps=14.96), Health())


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Return a socket that receives what systemd would."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@edgefer-{tmp_path}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(5)
        yield listener


def receive(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().splitlines()


def drain(systemd: socket.socket) -> None:
    systemd.setblocking(False)
    while True:
        try:
            systemd.recv(4096)
        except BlockingIOError:
            break
    systemd.settimeout(5)


def is_silent(systemd: socket.socket, seconds: float) -> bool:
    systemd.settimeout(seconds)
    with pytest.raises(TimeoutError):
        systemd.recv(4096)
    systemd.settimeout(5)
    return True


def test_the_first_result_reports_readiness_and_close_reports_the_shutdown(systemd: socket.socket) -> None:
    sink = HeartbeatSink()
    assert is_silent(systemd, 0.1)
    sink.publish(RESULT)
    sink.publish(replace(RESULT, number=1))
    sink.close()
    assert receive(systemd) == ["READY=1", "STATUS=15.0 fps, 1 face"]
    assert receive(systemd) == ["STOPPING=1"]
    assert is_silent(systemd, 0.1)


def test_heartbeats_follow_results_and_stop_without_them(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "800000")
    sink, begin, heartbeats = HeartbeatSink(), time.monotonic(), 0
    systemd.settimeout(0.02)
    while time.monotonic() - begin < 1.6:
        sink.publish(replace(RESULT, faces=()))
        try:
            heartbeats += receive(systemd) == ["WATCHDOG=1", "STATUS=15.0 fps, 0 faces"]
        except TimeoutError:
            continue
    # Twice per watchdog period would suffice; four times are intended.
    assert 4 <= heartbeats <= 8
    time.sleep(0.3)
    drain(systemd)
    assert is_silent(systemd, 0.6)
    sink.close()
    assert receive(systemd) == ["STOPPING=1"]


def test_heartbeats_continue_while_a_camera_is_reopened(
    systemd: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    disconnects = [2]
    sink = HeartbeatSink(disconnects=lambda: disconnects[0])
    sink.publish(RESULT)
    assert receive(systemd)[0] == "READY=1"
    assert receive(systemd)[0] == "WATCHDOG=1"
    assert is_silent(systemd, 0.2)
    disconnects[0] = 3
    for _ in range(3):
        assert receive(systemd) == ["WATCHDOG=1", "STATUS=camera disconnected; reconnecting"]
    sink.publish(RESULT)
    sink.close()


def test_outside_a_service_no_thread_starts_and_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    before = threading.active_count()
    sink = HeartbeatSink()
    sink.publish(RESULT)
    assert threading.active_count() == before
    sink.close()
    assert not notify("READY=1")


def test_a_missing_socket_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "missing"))
    assert notify("READY=1")
