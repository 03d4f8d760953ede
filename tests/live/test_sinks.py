from __future__ import annotations

import io
import json
import os
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.errors import IncompatibleError
from edgefer.inference.face_detection import FaceBox
from edgefer.live.frame_result import FrameResult, FrameTiming, Health, LiveFace, StageTiming
from edgefer.live.opencv import require_window
from edgefer.live.sinks import DashboardSink, JsonLinesSink, WindowSink, timing_table

HAS_WINDOWS = "GUI:                           NONE" not in cv2.getBuildInformation()
STAGE = StageTiming(12.345, 123.456, 0.25)
TIMING = FrameTiming(grab=STAGE, detect=STAGE, preprocess=STAGE, invoke=STAGE, fps=29.97, dropped=1234)
FACES = tuple(LiveFace(number, FaceBox(8, 8, 30, 30), "surprise", 0.9, (0.1,) * 7) for number in range(100, 112))
IMAGE = np.zeros((48, 64, 3), np.uint8)
RESULT = FrameResult(3, 5, 17.2, IMAGE, FACES, LABELS, TIMING, Health(61.0, ("under-voltage",)))


def test_json_lines_are_one_result_per_line() -> None:
    stream = io.StringIO()
    sink = JsonLinesSink(stream)
    sink.publish(RESULT)
    sink.publish(replace(RESULT, number=4))
    sink.close()
    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == [3, 4]


def test_the_timing_table_fits_80_columns_and_shows_missing_stages_as_dashes() -> None:
    text = timing_table(TIMING)
    assert max(map(len, text.splitlines())) <= 80
    for stage in ("draw", "publish"):
        (line,) = [line for line in text.splitlines() if line.startswith(stage)]
        assert line.split() == [stage, "-", "-", "-"]
    assert "the classifier takes 25 % of the frame time" in text


def test_the_dashboard_appears_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    for stream in (terminal, file):
        monkeypatch.setattr("sys.stderr", stream)
        sink = DashboardSink()
        sink.publish(RESULT)
        sink.close()
    output = terminal.getvalue()
    facts = ("30.0 fps", "1,234 dropped", "latency 17 ms", "61 C", "under-voltage", "100: surprise 90%", "and 9 more")
    assert [fact for fact in facts if fact not in output] == []
    assert file.getvalue() == ""


def test_data_on_stdout_passes_the_dashboard(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    sink = DashboardSink()
    JsonLinesSink(sys.stdout).publish(RESULT)
    sink.close()
    output = capsys.readouterr()
    assert json.loads(output.out)["number"] == RESULT.number
    assert '"number"' not in output.err


def test_a_window_needs_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(IncompatibleError, match="no display") as caught:
        WindowSink(lambda: None)
    assert "--serve" in caught.value.hint


def test_an_unreachable_display_is_an_error_that_leaves_the_process_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(IncompatibleError) as caught:
        require_window()
    assert ("opencv-python>=4.11" in caught.value.hint) is not HAS_WINDOWS


@pytest.mark.skipif(not (HAS_WINDOWS and os.environ.get("DISPLAY")), reason="needs OpenCV with windows and a display")
def test_closing_the_window_calls_on_quit() -> None:
    calls: list[int] = []
    sink = WindowSink(lambda: calls.append(1))
    sink.publish(RESULT)
    sink.publish(RESULT)
    assert calls == []
    cv2.destroyAllWindows()
    sink.publish(RESULT)
    assert calls == [1]
    sink.close()
