from __future__ import annotations

import time
from typing import Any

import pytest

from edgefer.live.frame_result import Health
from edgefer.live.profiling import HISTORY_FRAMES, DeviceMonitor, StageProfiler


def test_percentiles_are_over_frames_that_ran_the_stage_and_shares_over_all_stages() -> None:
    profiler = StageProfiler()
    for frame in range(10):
        profiler.add("grab", 1_000_000)
        profiler.add("detect", 20_000_000 if frame % 5 == 0 else 1_000_000)
        if frame < 2:
            profiler.add("invoke", 3_000_000)
            profiler.add("invoke", 2_000_000)
        profiler.end_frame(dropped=7)
    timing = profiler.compute(dropped=7)
    assert timing.grab is not None
    assert timing.detect is not None
    assert timing.invoke is not None
    assert (timing.detect.p50_ms, timing.detect.p90_ms) == (1, 20)
    assert timing.invoke.p50_ms == 5
    total_ms = 10 + 48 + 10
    assert timing.detect.share == pytest.approx(48 / total_ms)
    assert timing.invoke.share == pytest.approx(10 / total_ms)
    assert (timing.draw, timing.publish, timing.preprocess, timing.dropped) == (None, None, None, 7)
    assert timing.sentence() == "the classifier takes 15 % of the frame time, face detection 71 %"


def test_the_frame_rate_is_that_of_the_last_frames() -> None:
    profiler = StageProfiler()
    profiler.end_frame(dropped=0)
    assert profiler.compute(dropped=0).fps is None
    begin = time.perf_counter()
    for _ in range(5):
        time.sleep(0.02)
        profiler.end_frame(dropped=0)
    measured_fps = 5 / (time.perf_counter() - begin)
    fps = profiler.compute(dropped=0).fps
    assert fps is not None
    assert fps <= 50
    assert fps == pytest.approx(measured_fps, rel=0.3)


def test_a_measured_stage_contains_its_block() -> None:
    profiler = StageProfiler()
    begin = time.perf_counter()
    with profiler.measure("draw"):
        time.sleep(0.01)
    elapsed_ms = 1000 * (time.perf_counter() - begin)
    profiler.end_frame(dropped=0)
    draw = profiler.compute(dropped=0).draw
    assert draw is not None
    assert 10 <= draw.p50_ms <= elapsed_ms


def test_old_frames_leave_the_history() -> None:
    profiler = StageProfiler()
    for _ in range(2000):
        profiler.add("detect", 9_000_000)
        profiler.end_frame(dropped=0)
    for _ in range(HISTORY_FRAMES):
        profiler.add("grab", 1_000_000)
        profiler.end_frame(dropped=0)
    timing = profiler.compute(dropped=0)
    assert timing.detect is None
    assert timing.grab is not None
    assert timing.grab.share == 1


def test_health_follows_the_device_state_and_missing_sensors_are_none() -> None:
    states: list[dict[str, Any]] = [{}, {"temperature_c": 51.0}, {"temperature_c": 81.0, "throttled": ("throttled",)}]
    samples: list[Health] = []

    def read_state() -> dict[str, Any]:
        samples.append(monitor.health)
        return states.pop(0) if len(states) > 1 else states[0]

    monitor = DeviceMonitor(interval_s=0.01, read_state=read_state)
    with monitor:
        while len(samples) < 5:
            time.sleep(0.01)
    assert samples[1:4] == [Health(None, None), Health(51.0, None), Health(81.0, ("throttled",))]


def test_leaving_the_monitor_does_not_wait_for_the_next_sample() -> None:
    begin = time.monotonic()
    with DeviceMonitor(interval_s=60) as monitor:
        pass
    assert time.monotonic() - begin < 30
    assert isinstance(monitor.health, Health)
