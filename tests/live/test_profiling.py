from __future__ import annotations

import time
from typing import Any

import pytest

from edgefer.live.frame_result import Health
from edgefer.live.profiling import DeviceMonitor, StageProfiler


def test_stages_are_told_by_percentiles_of_the_frames_in_which_they_ran_and_by_their_share_of_all() -> None:
    watch = StageProfiler()
    for frame in range(10):
        watch.add("grab", 1_000_000)
        watch.add("detect", 20_000_000 if frame % 5 == 0 else 1_000_000)
        if frame < 2:
            watch.add("invoke", 3_000_000)
            watch.add("invoke", 2_000_000)
        watch.frame(dropped=7)
    budget = watch.refreshed(dropped=7)
    assert budget.grab is not None
    assert budget.detect is not None
    assert budget.invoke is not None
    assert (budget.detect.p50_ms, budget.detect.p90_ms) == (1, 20)
    assert budget.invoke.p50_ms == 5
    whole = 10 + 48 + 10
    assert budget.detect.share == pytest.approx(48 / whole)
    assert budget.invoke.share == pytest.approx(10 / whole)
    assert (budget.draw, budget.preprocess, budget.dropped) == (None, None, 7)
    assert budget.sentence() == "the classifier is 15 % of your frame, finding faces 71 %"


def test_frames_a_second_are_those_of_the_last_frames() -> None:
    watch = StageProfiler()
    watch.frame(dropped=0)
    assert watch.refreshed(dropped=0).fps is None
    for _ in range(5):
        time.sleep(0.02)
        watch.frame(dropped=0)
    assert watch.refreshed(dropped=0).fps is not None
    assert 20 < watch.refreshed(dropped=0).fps <= 50


def test_a_stage_is_timed() -> None:
    watch = StageProfiler()
    with watch.stage("draw"):
        time.sleep(0.01)
    watch.frame(dropped=0)
    assert watch.refreshed(dropped=0).draw is not None
    assert 10 <= watch.refreshed(dropped=0).draw.p50_ms < 100


def test_a_night_takes_no_more_memory_than_a_minute() -> None:
    watch = StageProfiler()
    for _ in range(2000):
        watch.add("grab", 1)
        watch.frame(dropped=0)
    assert len(watch._past) == len(watch._ends) == 150


def test_what_no_sensor_tells_is_not_known_and_what_one_tells_is_kept_up_to_date() -> None:
    answers: list[dict[str, Any]] = [{}, {"temperature_c": 51.0}, {"temperature_c": 81.0, "throttled": ("throttled",)}]
    seen: list[Health] = []

    def told() -> dict[str, Any]:
        seen.append(watchman.health)
        return answers.pop(0) if len(answers) > 1 else answers[0]

    watchman = DeviceMonitor(every_s=0.01, told=told)
    with watchman:
        while len(seen) < 5:
            time.sleep(0.01)
    assert seen[1:4] == [Health(None, None), Health(51.0, None), Health(81.0, ("throttled",))]


def test_it_does_not_hold_up_the_end() -> None:
    begin = time.monotonic()
    with DeviceMonitor(every_s=60) as watchman:
        pass
    assert time.monotonic() - begin < 2
    assert isinstance(watchman.health, Health)
