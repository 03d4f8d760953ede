"""``edgefer live`` on a video of synthetic faces with known expressions, Haar cascade and shipped model."""

import contextlib
import io
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.cli import main
from edgefer.contract.labels import LABELS
from edgefer.data.synthetic import golden_faces
from edgefer.inference.face_detection import FaceBox
from edgefer.live.tracking import iou
from edgefer.models import SHIPPED

FRAMES, FPS, SIDE = 150, 30, 144
ROOT = Path(__file__).parents[3]


def synthetic_face(label):
    """Return an unaugmented synthetic face with that expression."""
    face = golden_faces(len(LABELS))[LABELS.index(label)]
    return cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


# Label, frames, first position in pixels, and motion in pixels per frame of each face.
CAST = (
    ("happy", range(10, 110), (20, 60), (3.0, 0.5)),
    ("surprise", range(50, 150), (440, 40), (0.0, 1.5)),
    ("neutral", range(115, 150), (60, 300), (1.0, 0.0)),
)


def position(entry, number):
    _, when, (x, y), (right, down) = entry
    step = number - when.start
    return round(x + right * step), round(y + down * step)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("videos") / "drawn.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    faces = {label: synthetic_face(label) for label, *_ in CAST}
    for number in range(FRAMES):
        frame = np.full((480, 640, 3), 110, np.uint8)
        for entry in CAST:
            if number in entry[1]:
                x, y = position(entry, number)
                frame[y : y + SIDE, x : x + SIDE] = faces[entry[0]][..., None]
        writer.write(frame)
    writer.release()
    return path


def lines(outcome):
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_faces_are_detected_classified_and_tracked_until_they_leave(edgefer, video):
    scenes = lines(edgefer("live", "--video", video, "--every-frame", "--model", SHIPPED, "--jsonl"))
    assert [scene["number"] for scene in scenes] == [*range(FRAMES)]
    numbers = {}
    for entry in CAST:
        label, when = entry[:2]
        found, named = [], []
        for scene in scenes:
            truth = FaceBox(*position(entry, scene["number"]), SIDE, SIDE)
            close = [face for face in scene["faces"] if iou(FaceBox(*face["box"]), truth) > 0.6]
            if scene["number"] not in when:
                continue
            found += [scene["number"]] * bool(close)
            named += [face["label"] for face in close]
            numbers.setdefault(label, set()).update(face["track"] for face in close)
        # Detection runs on every fifth frame. After the first detection a face is never lost.
        assert found == [*range(found[0], when.stop)]
        assert found[0] <= when.start + 5
        assert set(named) == {label}
    # Each face keeps one track, and there are no other tracks.
    assert sorted(map(sorted, numbers.values())) == [[0], [1], [2]]
    expected = [sum(scene["number"] in entry[1] for entry in CAST) for scene in scenes]
    assert all(len(scene["faces"]) <= count for scene, count in zip(scenes, expected))
    assert scenes[-1]["budget"]["sentence"].startswith("the classifier takes ")


def test_the_summary_has_the_time_of_each_stage(edgefer, video):
    outcome = edgefer("live", "--video", video, "--every-frame", "--model", SHIPPED, "--no-window", "--frames", 40)
    assert outcome.code == 0, outcome.err
    for word in ("fps", "grab", "detect", "preprocess", "invoke", "draw", "the classifier takes"):
        assert word in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    record = edgefer("live", "--video", video, "--every-frame", "--model", SHIPPED, "--no-window", "--json").record
    assert (record["kind"], record["schema_version"]) == ("live", 1)
    assert (record["frames"], record["tracks"], record["losses"]) == (FRAMES, 3, 0)
    assert 0.8 * 140 < record["frames_with_faces"] <= 140
    assert record["fps"] > 0
    assert record["age_p90_ms"] >= record["age_p50_ms"] > 0
    assert record["oldest_frame_times"] is None


def test_a_video_plays_at_its_own_frame_rate(edgefer, video, tmp_path):
    begin = time.monotonic()
    outcome = edgefer("live", "--video", video, "--model", SHIPPED, "--jsonl", "--seconds", 1, "--out", "live.json")
    scenes = lines(outcome)
    assert 0.9 < time.monotonic() - begin < 5
    assert 0 < json.loads((tmp_path / "live.json").read_text())["oldest_frame_times"] < 2
    assert len(scenes) <= FPS + 2
    # Two frame times at 30 frames per second; on a busy machine detection alone takes one.
    assert np.median([scene["age_ms"] for scene in scenes]) < 2000 / FPS


def test_without_a_display_a_notice_replaces_the_window(edgefer, video, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    outcome = edgefer("live", "--video", video, "--every-frame", "--model", SHIPPED, "--frames", 3)
    assert outcome.code == 0
    assert "no window: there is no display" in outcome.err
    assert "--serve" in outcome.err


def test_an_opencv_without_windows_gets_the_command_that_installs_one(refused, video, monkeypatch):
    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV has windows")
    monkeypatch.setenv("DISPLAY", ":97")
    error = refused("live", "--video", video, "--model", SHIPPED, "--window", code=5)
    assert "this OpenCV has no window support" in error
    assert "pip install 'opencv-python>=4.11,<5'" in error


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--camera", "97"], 4, "/dev/video97"),
        (["--camera", "nothing"], 2, "picamera2"),
        (["--camera", "0", "--video", "clip.mp4"], 2, "--camera together with --video"),
        (["--video", "nowhere.mp4"], 1, "nowhere.mp4"),
        (["--stream", "rtsp://127.0.0.1:9/live"], 4, "127.0.0.1:9"),
        (["--camera", "0", "--every-frame"], 2, "--every-frame"),
        (["--video", "nowhere.mp4", "--size", "640x480"], 2, "--size with video nowhere.mp4: only cameras"),
        (["--stream", "rtsp://127.0.0.1:9/live", "--size", "320x240"], 2, "omit --size"),
        (["--size", "large"], 2, "--size 640x480"),
        (["--detector", "yunet"], 2, "--detector-model"),
        (["--window"], 5, "no display"),
        (["--serve", "4912"], 2, "--serve :4912"),
        (["--token", "secret"], 2, "--token without --serve"),
        (["--stream", ""], 2, "--stream without a value"),
        (["--jsonl", "--json"], 2, "only one output format"),
    ],
)
def test_invalid_options_get_a_hint(refused, arguments, code, named, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert named in refused("live", "--model", SHIPPED, *arguments, code=code)


def started(*arguments, variables=None, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80", **(variables or {})}
    command = [sys.executable, "-m", "edgefer", "live", "--model", str(SHIPPED), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **options)


def rest_of(process):
    """Return what remains of the standard output and of the standard error of a process, and wait for its end.

    ``Popen.communicate`` reads the descriptors, without the lines that ``readline`` has read ahead.
    """
    with process:
        return process.stdout.read(), process.stderr.read()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_stop_it_and_print_the_summary(video, number, code):
    process = started("--video", video, "--jsonl", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    process.send_signal(number)
    rest, error = rest_of(process)
    assert process.returncode == code, error
    assert json.loads(first)["number"] >= 0
    assert all(json.loads(line) for line in rest.splitlines())
    assert "the classifier takes" in error or "no face has been classified" in error
    assert "Traceback" not in error


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_frees_the_port_and_leaves_no_files(video, tmp_path, number):
    pytest.importorskip("starlette")
    process = started(
        "--video", video, "--serve", ":0", "--out", tmp_path / "live.json", stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, variables={"TMPDIR": str(tmp_path)},
    )  # fmt: skip
    url = next(line for line in process.stderr if line.startswith("page: ")).split()[1]
    wait_for(url, "picture")
    process.send_signal(number)
    error = process.communicate(timeout=20)[1]
    assert process.returncode == 128 + number, error
    assert json.loads((tmp_path / "live.json").read_text())["frames"] > 0
    assert os.listdir(tmp_path) == ["live.json"]
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", int(re.search(r":(\d+)/", url)[1])))


def test_a_closed_terminal_ends_it_with_the_code_of_its_signal(video, tmp_path):
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(PYTHONPATH=str(ROOT), TMPDIR=str(tmp_path), COLUMNS="80")
        arguments = ["live", "--model", str(SHIPPED), "--video", str(video), "--no-window"]
        os.execv(sys.executable, [sys.executable, "-m", "edgefer", *arguments])
    shown = b""
    while b"grab" not in shown:
        shown += os.read(terminal, 65536)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    assert os.listdir(tmp_path) == []


def test_an_ignored_hangup_stays_ignored(video):
    process = started(
        "--video", video, "--jsonl", "--every-frame", "--frames", 40,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )  # fmt: skip
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    rest, error = rest_of(process)
    assert process.returncode == 0, error
    assert len(rest.splitlines()) == 39


def test_no_output_contains_the_password_of_a_stream(edgefer, refused, tmp_path, monkeypatch):
    for address in ("rtsp://me:s3cret@127.0.0.1:9/x", "http://127.0.0.1:9/v?user=me&password=s3cret"):
        assert "s3cret" not in refused("live", "--model", SHIPPED, "--stream", address, "--no-window", code=4)
        for arguments in (["--camera", address], ["--video", address], [address], ["--size", address]):
            outcome = edgefer("live", "--model", SHIPPED, *arguments)
            assert outcome.code in (1, 2)
            assert "s3cret" not in outcome.out + outcome.err
        monkeypatch.setenv("EDGEFER_STREAM", address)
        error = refused("live", "--model", SHIPPED, "--no-window", code=4)
        assert "127.0.0.1:9" in error
        assert "s3cret" not in error
        assert "/dev/video97" in refused("live", "--model", SHIPPED, "--no-window", "--camera", 97, code=4)
        monkeypatch.delenv("EDGEFER_STREAM")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
def test_other_users_cannot_list_the_token_of_the_page(video):
    pytest.importorskip("starlette")
    process = started(
        "--video", video, "--serve", ":0", "--token", "t0ken-of-the-page", stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    next(line for line in process.stderr if line.startswith("page: "))
    command = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert b"--token" in command
    assert b"t0ken" not in command


def test_modules_of_the_working_folder_are_not_imported(edgefer, video, tmp_path, monkeypatch):
    for module in ("cv2", "numpy"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":97")
    outcome = edgefer("live", "--video", video, "--every-frame", "--model", SHIPPED, "--frames", 2)
    assert outcome.code == 0, outcome.err
    assert "no window" in outcome.err
    assert not (tmp_path / "executed").exists()


def wait_for(url, path):
    """Request ``path`` of the page with the token in ``url`` until there is a frame."""
    base, _, token = url.partition("?")
    deadline = time.monotonic() + 20
    while True:
        with contextlib.suppress(urllib.error.HTTPError):  # no frame yet
            return urllib.request.urlopen(f"{base}{path}?{token}", timeout=10).read()
        assert time.monotonic() < deadline


def test_the_page_shows_the_newest_frame(video):
    pytest.importorskip("starlette")
    process = started("--video", video, "--serve", ":0", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = next(line for line in process.stderr if line.startswith("page: ")).split()[1]
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(url.partition("?")[0], timeout=10)
    image = cv2.imdecode(np.frombuffer(wait_for(url, "snapshot.jpg"), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (480, 640, 3)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert "tracks" in out


def test_a_closed_standard_output_discards_the_lines(video):
    error = io.StringIO()
    with contextlib.redirect_stdout(None), contextlib.redirect_stderr(error):
        code = main.run(["live", "--model", str(SHIPPED), "--video", str(video), "--jsonl", "--frames", "1"])
    assert (code, "faces in" in error.getvalue()) == (0, True), error.getvalue()


def test_a_closed_pipe_stops_it_without_a_traceback(video):
    process = started("--video", video, "--jsonl", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 1
    assert "Traceback" not in error


def test_a_terminal_of_80_columns_shows_the_dashboard(video):
    controller, terminal = pty.openpty()
    process = started("--video", video, "--no-window", stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    shown = b""
    while True:
        try:
            read = os.read(controller, 65536)
        except OSError:  # the program has closed its end
            break
        if not read:
            break
        shown += read
    os.close(controller)
    assert process.wait(20) == 0
    text = shown.decode()
    for word in ("fps", "detect", "the classifier takes", "happy"):
        assert word in text
