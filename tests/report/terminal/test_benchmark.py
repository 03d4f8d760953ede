from __future__ import annotations

import numpy as np
import pytest

from edgefer.report.terminal.benchmark import outcomes_text
from edgefer.results.benchmark import BenchmarkResult, SoakInterval, compare_rounds
from edgefer.results.device_state import DeviceState
from edgefer.results.latency import Latency
from edgefer.results.measurement import Measurement


def measured(*rounds_us: int, file: str = "a.tflite", **changes) -> Measurement:
    latency = Latency.from_samples(np.full(2000, 100_000))
    values = {
        "subject": {"file": file, "sha256": file, "scheme": "int8"}, "device": {"cores": 4, "cpu": "Cortex-A76"},
        "runtime": "litert", "runtime_version": "2.3.0", "threads": 1, "kernels": "default", "harness_version": "1",
        "started_at": "2026-01-02T03:04:05", "init_ns": 1, "first_ns": 1, "warmup": latency, "invoke": latency,
        "set_to_get": latency, "cpu": latency, "peak_rss_bytes": None, "load_before": 0.0, "load_after": 0.0,
        "rounds_p50_ns": tuple(1000 * time_us for time_us in rounds_us),
    }  # fmt: skip
    return Measurement(**{**values, **changes})


def text_of(*measurements: Measurement, **parts) -> str:
    return outcomes_text([BenchmarkResult("local", measurements, compare_rounds(measurements), **parts)])


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [(5, "(94 %: 1.10 to 1.50)"), (2, "(no interval: 2 rounds)"), (1, "(no interval: 1 round)")],
)
def test_a_ratio_has_an_interval_from_five_rounds_on(rounds, expected):
    second = (150, 120, 110, 130, 140)
    text = text_of(measured(*[100] * rounds), measured(*second[:rounds], file="b.tflite"))
    assert expected in " ".join(text.split())


def test_every_fault_of_a_soak_test_and_its_last_interval_are_shown():
    states = [
        DeviceState(5.0 * number, temperature_c=86.0 if number == 8 else 50.0, throttled=("too hot",) * (number == 8))
        for number in range(1, 42)
    ]
    text = text_of(measured(100), soak=tuple(SoakInterval(100.0, 110.0, state) for state in states))
    rows = [line.split() for line in text.splitlines() if line.endswith((" -", "too hot"))]
    assert [row[3] for row in rows].count("86") == 1
    assert "41 intervals" in text
    assert rows[-1][0] == "205"


def test_device_states_are_those_of_all_cases_and_of_the_soak_test():
    first = measured(100, conditions=(DeviceState(0.0, temperature_c=40.0, power_w=4.2),))
    second = measured(100, file="b.tflite", conditions=(DeviceState(1.0, temperature_c=60.0, power_w=4.5),))
    soak = (SoakInterval(100.0, 110.0, DeviceState(2.0, temperature_c=80.0)),)
    assert "device during the benchmark: 40 to 80 C; 4.2 to 4.5 W" in text_of(first, second, soak=soak)


def test_energy_of_a_model_fits_a_terminal():
    running = DeviceState(1.0, power_w=4.5, running=True)
    text = text_of(measured(100, file="mobile-residual-net-int8.tflite", conditions=(running,)))
    assert "energy per run of the whole device: 0.45 mJ" in text
    assert max(map(len, text.splitlines())) <= 80


def test_an_incomplete_benchmark_is_marked_and_cannot_forge_a_line():
    text = outcomes_text([BenchmarkResult("local", (measured(100),), failure="accuracy failed\ndevice: other")])
    assert text.startswith("incomplete: accuracy failed")
    assert "\ndevice: other" not in text
