"""Playback of files whose rates and timestamps cannot be true."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgefer.live.camera import Source
from edgefer.live.frame_grabber import FrameGrabber
from edgefer.live.playback import DEFAULT_FPS, PlaybackSchedule, plausible_fps

IMAGE = np.full((48, 64, 3), 90, np.uint8)


def due_times(schedule: PlaybackSchedule, positions_s: list[float | None]) -> list[float]:
    """Return the due times of frames that are read when the previous one was due."""
    due: list[float] = []
    for position_s in positions_s:
        due.append(schedule.next_due_s(position_s, now_s=due[-1] if due else 100.0))
    return [due_s - due[0] for due_s in due]


@pytest.mark.parametrize("fps", [0.0, -25.0, 1000.0, 90000.0, 1e6, 0.001, math.nan, math.inf, -math.inf])
def test_an_implausible_rate_is_unknown(fps: float) -> None:
    assert plausible_fps(fps) is None


@pytest.mark.parametrize("fps", [1.0, 12.5, 29.97, 120.0, 240.0])
def test_a_plausible_rate_is_kept(fps: float) -> None:
    assert plausible_fps(fps) == fps


@pytest.mark.parametrize("step_s", [0.0, 1 / 90000, 1 / 1000, -0.04, 30.0, math.nan, math.inf, None])
@pytest.mark.parametrize(("fps", "expected"), [(None, DEFAULT_FPS), (10.0, 10.0)])
def test_implausible_timestamps_play_at_the_rate(step_s: float | None, fps: float | None, expected: float) -> None:
    positions_s = [None if step_s is None else number * step_s for number in range(60)]
    assert due_times(PlaybackSchedule(fps=fps), positions_s)[-1] == pytest.approx(59 / expected)


def test_plausible_timestamps_decide_over_the_rate() -> None:
    positions_s: list[float | None] = [0.0, 0.1, 0.2, 0.2, 0.201, 0.5, 0.6, 0.7]
    assert due_times(PlaybackSchedule(fps=30), positions_s) == pytest.approx([*positions_s])


def test_a_long_gap_is_shortened() -> None:
    positions_s: list[float | None] = [0.0, 0.1, 0.2, 60.0, 60.1]
    assert due_times(PlaybackSchedule(fps=None), positions_s)[-1] < 3


def test_a_delay_is_made_up_for_unless_it_is_long() -> None:
    schedule = PlaybackSchedule(fps=10)
    assert schedule.next_due_s(None, now_s=0.0) == 0.0
    assert schedule.next_due_s(None, now_s=0.5) == pytest.approx(0.1)
    assert schedule.next_due_s(None, now_s=60.0) == 60.0
    assert schedule.next_due_s(None, now_s=60.0) == pytest.approx(60.1)


@pytest.mark.parametrize(
    ("rate", "scale"), [(30, 1), (90000, 1), (1000, 1), (0, 1), (0, 0), (30, 0), (2**32 - 30, 1), (1, 30), (1, 1000)]
)
def test_a_file_with_any_stated_rate_plays_in_about_real_time(
    tmp_path: Path, film: Callable[..., Path], rate: int, scale: int
) -> None:
    path = film(tmp_path / "clip.avi", [IMAGE] * 30, fps=30)
    content = bytearray(path.read_bytes())
    # dwScale and dwRate of the stream header, and dwMicroSecPerFrame of the main header.
    struct.pack_into("<II", content, content.index(b"strh") + 28, scale, rate)
    struct.pack_into("<I", content, content.index(b"avih") + 8, 1)
    path.write_bytes(content)
    begin = time.monotonic()
    with FrameGrabber(Source("video", str(path))) as grabber:
        frames = 0
        while grabber.next_frame() is not None:
            frames += 1
    # One second at 30 frames per second; some demuxers assume 25. A busy machine may take longer.
    assert 0.9 < time.monotonic() - begin < 6
    assert frames + grabber.dropped == 30
