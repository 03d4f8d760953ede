"""What a service tells, as it arrives at a real socket."""

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
from edgefer.live.systemd_notify import Heartbeat, notify

FACE = LiveFace(0, FaceBox(0, 0, 8, 8), "happy", 0.9, (0.1,) * 7)
SCENE = FrameResult(0, 0, 1.0, np.zeros((8, 8, 3), np.uint8), (FACE,), LABELS, FrameTiming(fps=14.96), Health())


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket at which systemd listens."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@edgefer-{tmp_path}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(name.replace("@", "\0"))
        listener.settimeout(5)
        yield listener


def told(manager: socket.socket) -> list[str]:
    return manager.recv(4096).decode().splitlines()


def nothing(manager: socket.socket, seconds: float) -> bool:
    manager.settimeout(seconds)
    with pytest.raises(TimeoutError):
        manager.recv(4096)
    manager.settimeout(5)
    return True


def test_it_is_ready_with_the_first_scene_and_tells_its_end(manager: socket.socket) -> None:
    heartbeat = Heartbeat()
    assert nothing(manager, 0.1)
    heartbeat.publish(SCENE)
    heartbeat.publish(replace(SCENE, number=1))
    heartbeat.close()
    assert told(manager) == ["READY=1", "STATUS=15.0 fps, 1 face"]
    assert told(manager) == ["STOPPING=1"]
    assert nothing(manager, 0.1)


def test_it_beats_four_times_in_the_time_of_the_watchdog_while_scenes_come(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "800000")
    heartbeat, begin, beats = Heartbeat(), time.monotonic(), 0
    manager.settimeout(0.02)
    while time.monotonic() - begin < 1.6:
        heartbeat.publish(replace(SCENE, faces=()))
        try:
            beats += told(manager) == ["WATCHDOG=1", "STATUS=15.0 fps, 0 faces"]
        except TimeoutError:
            continue
    assert 5 <= beats <= 8
    # A loop that hangs gives no scenes.
    time.sleep(0.3)
    manager.setblocking(False)
    while True:
        try:
            told(manager)
        except BlockingIOError:
            break
    assert nothing(manager, 0.6)
    heartbeat.close()
    assert told(manager) == ["STOPPING=1"]


def test_it_beats_on_while_a_camera_is_waited_for(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "200000")
    losses = [2]
    heartbeat = Heartbeat(losses=lambda: losses[0])
    heartbeat.publish(SCENE)
    assert told(manager)[0] == "READY=1"
    assert told(manager)[0] == "WATCHDOG=1"
    assert nothing(manager, 0.2)
    losses[0] = 3
    for _ in range(3):
        assert told(manager) == ["WATCHDOG=1", "STATUS=the camera is gone; trying to open it again"]
    heartbeat.publish(SCENE)
    heartbeat.close()


def test_where_systemd_has_not_started_it_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    monkeypatch.setenv("WATCHDOG_USEC", "1000")
    before = threading.active_count()
    heartbeat = Heartbeat()
    heartbeat.publish(SCENE)
    assert threading.active_count() == before
    heartbeat.close()
    assert not notify("READY=1")


def test_a_manager_that_is_gone_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    assert notify("READY=1")
