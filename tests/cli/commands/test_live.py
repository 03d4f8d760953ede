"""``edgefer live`` on a film of drawn faces whose expressions are known: the cascade finds, what ships names them."""

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.synthetic import golden_faces
from edgefer.inference.face_detection import FaceBox
from edgefer.live.tracking import overlap
from edgefer.models import SHIPPED

FRAMES, FPS, SIDE = 150, 30, 144
ROOT = Path(__file__).parents[3]


def drawn(label):
    """A plain face with that expression."""
    face = golden_faces(len(LABELS))[LABELS.index(label)]
    return cv2.resize(face, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)


# Who is there in which frames, and where they begin and go, in pixels a frame.
CAST = (
    ("happy", range(10, 110), (20, 60), (3.0, 0.5)),
    ("surprise", range(50, 150), (440, 40), (0.0, 1.5)),
    ("neutral", range(115, 150), (60, 300), (1.0, 0.0)),
)


def place(entry, number):
    _, when, (x, y), (right, down) = entry
    step = number - when.start
    return round(x + right * step), round(y + down * step)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    path = tmp_path_factory.mktemp("films") / "drawn.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (640, 480))
    faces = {label: drawn(label) for label, *_ in CAST}
    for number in range(FRAMES):
        frame = np.full((480, 640, 3), 110, np.uint8)
        for entry in CAST:
            if number in entry[1]:
                x, y = place(entry, number)
                frame[y : y + SIDE, x : x + SIDE] = faces[entry[0]][..., None]
        writer.write(frame)
    writer.release()
    return path


def lines(outcome):
    assert outcome.code == 0, outcome.err
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_drawn_faces_come_are_named_followed_and_go(edgefer, film):
    scenes = lines(edgefer("live", "--video", film, "--every-frame", "--model", SHIPPED, "--jsonl"))
    assert [scene["number"] for scene in scenes] == [*range(FRAMES)]
    numbers = {}
    for entry in CAST:
        label, when = entry[:2]
        found, named = [], []
        for scene in scenes:
            truth = FaceBox(*place(entry, scene["number"]), SIDE, SIDE)
            close = [face for face in scene["faces"] if overlap(FaceBox(*face["box"]), truth) > 0.6]
            if scene["number"] not in when:
                continue
            found += [scene["number"]] * bool(close)
            named += [face["label"] for face in close]
            numbers.setdefault(label, set()).update(face["track"] for face in close)
        # The search is in every fifth frame; from the first one on that sees it, a face is not lost again.
        assert found == [*range(found[0], when.stop)]
        assert found[0] <= when.start + 5
        assert set(named) == {label}
    # Each was one face throughout, and there were no others.
    assert sorted(map(sorted, numbers.values())) == [[0], [1], [2]]
    expected = [sum(scene["number"] in entry[1] for entry in CAST) for scene in scenes]
    assert all(len(scene["faces"]) <= count for scene, count in zip(scenes, expected))
    assert scenes[-1]["budget"]["sentence"].startswith("the classifier is ")


def test_the_end_tells_where_the_time_went(edgefer, film):
    outcome = edgefer("live", "--video", film, "--every-frame", "--model", SHIPPED, "--no-window", "--frames", 40)
    assert outcome.code == 0, outcome.err
    for word in ("fps", "grab", "detect", "preprocess", "invoke", "draw", "the classifier is"):
        assert word in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    record = edgefer("live", "--video", film, "--every-frame", "--model", SHIPPED, "--no-window", "--json").record
    assert (record["kind"], record["schema_version"]) == ("live", 1)
    assert (record["frames"], record["tracks"], record["losses"]) == (FRAMES, 3, 0)
    assert 0.8 * 140 < record["frames_with_faces"] <= 140
    assert record["fps"] > 0
    assert record["age_p90_ms"] >= record["age_p50_ms"] > 0
    assert record["oldest_frame_times"] is None


def test_at_its_own_rate_a_video_takes_its_own_time(edgefer, film, tmp_path):
    begin = time.monotonic()
    outcome = edgefer("live", "--video", film, "--model", SHIPPED, "--jsonl", "--seconds", 1, "--out", "live.json")
    scenes = lines(outcome)
    assert 0.9 < time.monotonic() - begin < 5
    assert 0 < json.loads((tmp_path / "live.json").read_text())["oldest_frame_times"] < 2
    assert len(scenes) <= FPS + 2
    # Two frame times at 30 a second; a search on a busy machine is itself a frame's time.
    assert np.median([scene["age_ms"] for scene in scenes]) < 2000 / FPS


def test_without_a_display_it_says_so_and_goes_on(edgefer, film, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    outcome = edgefer("live", "--video", film, "--every-frame", "--model", SHIPPED, "--frames", 3)
    assert outcome.code == 0
    assert "no window: there is no display" in outcome.err
    assert "--serve" in outcome.err


def test_an_opencv_without_windows_is_told_with_what_mends_it(refused, film, monkeypatch):
    if "GUI:                           NONE" not in cv2.getBuildInformation():
        pytest.skip("this OpenCV has windows")
    monkeypatch.setenv("DISPLAY", ":97")
    error = refused("live", "--video", film, "--model", SHIPPED, "--window", code=5)
    assert "this OpenCV has no windows" in error
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
        (["--size", "large"], 2, "--size 640x480"),
        (["--detector", "yunet"], 2, "--detector-model"),
        (["--window"], 5, "no display"),
        (["--serve", "4912"], 2, "--serve :4912"),
        (["--token", "secret"], 2, "--token without --serve"),
    ],
)
def test_slips(refused, arguments, code, named, monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert named in refused("live", "--model", SHIPPED, *arguments, code=code)


def started(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "80"}
    command = [sys.executable, "-m", "edgefer", "live", "--model", str(SHIPPED), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, **options)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_with_its_summary(film, number):
    process = started("--video", film, "--jsonl", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    process.send_signal(number)
    rest, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert json.loads(first)["number"] >= 0
    assert all(json.loads(line) for line in rest.splitlines())
    assert "the classifier is" in error or "no face has been classified" in error
    assert "Traceback" not in error


def test_a_page_shows_what_is_seen_while_it_runs(film):
    pytest.importorskip("starlette")
    process = started("--video", film, "--serve", ":0", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    url = next(line for line in process.stderr if line.startswith("page: ")).split()[1]
    answer, deadline = None, time.monotonic() + 10
    while answer is None and time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.HTTPError):  # there is no picture yet
            answer = urllib.request.urlopen(f"{url}snapshot.jpg", timeout=10).read()
    image = cv2.imdecode(np.frombuffer(answer, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (480, 640, 3)
    process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=20)
    assert process.returncode == 0, error
    assert "followed" in out


def test_a_reader_that_leaves_ends_it_quietly(film):
    process = started("--video", film, "--jsonl", stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read()
    process.stderr.close()
    assert process.wait(20) == 1
    assert "Traceback" not in error


def test_a_terminal_of_80_columns_shows_the_budget_while_it_runs(film):
    ours, theirs = pty.openpty()
    process = started("--video", film, "--every-frame", "--no-window", stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        shown += read
    os.close(ours)
    assert process.wait(20) == 0
    text = shown.decode()
    for word in ("fps", "detect", "the classifier is", "happy"):
        assert word in text
