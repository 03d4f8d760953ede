from __future__ import annotations

import io
import json
import os
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.errors import IncompatibleError
from edgefer.inference.face_detection import FaceBox
from edgefer.live.frame_result import FrameResult, FrameTiming, Health, LiveFace, Stage
from edgefer.live.sinks import Dashboard, Lines, Window, budget_text, require_window

HAS_WINDOWS = "GUI:                           NONE" not in cv2.getBuildInformation()
STAGE = Stage(12.345, 123.456, 0.25)
BUDGET = FrameTiming(STAGE, STAGE, STAGE, STAGE, None, 29.97, 1234)
FACES = tuple(LiveFace(number, FaceBox(8, 8, 30, 30), "surprise", 0.9, (0.1,) * 7) for number in range(100, 112))
SCENE = FrameResult(3, 5, 17.2, np.zeros((48, 64, 3), np.uint8), FACES, LABELS, BUDGET, Health(61.0, ("under-voltage",)))


def test_a_line_is_a_scene() -> None:
    stream = io.StringIO()
    lines = Lines(stream)
    lines.publish(SCENE)
    lines.publish(replace(SCENE, number=4))
    lines.close()
    assert [json.loads(line)["number"] for line in stream.getvalue().splitlines()] == [3, 4]


def test_the_budget_fits_on_80_columns_and_a_stage_that_did_not_run_is_a_dash() -> None:
    text = budget_text(BUDGET)
    assert max(map(len, text.splitlines())) <= 80
    (draw,) = [line for line in text.splitlines() if line.startswith("draw")]
    assert draw.split() == ["draw", "-", "-", "-"]
    assert "the classifier is 25 % of your frame" in text


def test_the_dashboard_shows_what_fits_on_a_terminal_and_nothing_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal, file = Terminal(), io.StringIO()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    for stream in (terminal, file):
        monkeypatch.setattr("sys.stderr", stream)
        dashboard = Dashboard()
        dashboard.publish(SCENE)
        dashboard.close()
    shown = terminal.getvalue()
    facts = ("30.0 fps", "1,234 passed over", "17 ms old", "61 C", "under-voltage", "100: surprise 90%", "and 9 more")
    assert [fact for fact in facts if fact not in shown] == []
    assert file.getvalue() == ""


def test_without_a_display_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(IncompatibleError, match="no display") as caught:
        Window(lambda: None)
    assert "--serve" in caught.value.hint


def test_a_display_that_does_not_answer_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(IncompatibleError) as caught:
        require_window()
    assert ("opencv-python>=4.11" in caught.value.hint) is not HAS_WINDOWS


@pytest.mark.skipif(not (HAS_WINDOWS and os.environ.get("DISPLAY")), reason="no OpenCV with windows, or no display")
def test_a_window_that_is_closed_calls_quit() -> None:
    called: list[int] = []
    window = Window(lambda: called.append(1))
    window.publish(SCENE)
    window.publish(SCENE)
    assert called == []
    cv2.destroyAllWindows()
    window.publish(SCENE)
    assert called == [1]
    window.close()
