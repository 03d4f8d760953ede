from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefer.errors import ThresholdNotMet
from edgefer.fleet.limits import check_limits
from edgefer.fleet.registry import Device, Limits
from edgefer.fleet.remote_benchmark import Outcome
from edgefer.results.benchmark import BenchmarkResult, SoakInterval
from edgefer.results.device_state import DeviceState
from edgefer.results.latency import Latency
from edgefer.results.measurement import Measurement

LATENCY = Latency.from_samples(np.full(2000, 100_000))
MEASUREMENT = Measurement(
    subject={"file": "a.tflite", "sha256": "a", "scheme": "int8"}, device={"cores": 4}, runtime="litert",
    runtime_version="2.3.0", threads=1, kernels="default", started_at="2026-01-02T03:04:05", harness_version="1",
    init_ns=1, first_ns=1, warmup=LATENCY, invoke=LATENCY, set_to_get=LATENCY, cpu=LATENCY,
    peak_rss_bytes=50 * 2**20, load_before=0.0, load_after=0.0, conditions=(DeviceState(0.0, temperature_c=50.0),),
)  # fmt: skip


def failure(limits: Limits, *, soak: tuple[SoakInterval, ...] = (), **changes: object) -> ThresholdNotMet | None:
    result = BenchmarkResult("pi4", (replace(MEASUREMENT, **changes),), soak=soak)  # type: ignore[arg-type]
    error = check_limits([Outcome("pi4", result)], [Device("pi4", limits=limits)], strict=False)
    assert error is None or isinstance(error, ThresholdNotMet)
    return error


def test_the_temperature_of_the_soak_test_counts() -> None:
    soak = tuple(SoakInterval(1.0, 1.0, DeviceState(5.0, temperature_c=value)) for value in (50.0, 86.0, 55.0))
    assert failure(Limits(temperature_c=60.0)) is None
    error = failure(Limits(temperature_c=60.0), soak=soak)
    assert error is not None
    assert error.why == "temperature: 86 C, limit 60 C"


@pytest.mark.parametrize(
    ("limits", "changes", "why"),
    [
        (Limits(p90_us=99.7), {}, "p90 of a.tflite, 1 thread: 100 us, limit 99.7 us"),
        (Limits(p90_us=100.0), {"invoke": Latency.from_samples(np.full(9, 100_400))}, "100.4 us, limit 100 us"),
        (Limits(rss_mib=50.0), {"peak_rss_bytes": 50 * 2**20 + 2**18}, "50.25 MiB, limit 50 MiB"),
        (Limits(temperature_c=60.0), {"conditions": (DeviceState(0.0, temperature_c=60.2),)}, "60.2 C, limit 60 C"),
    ],
)
def test_a_value_above_its_limit_never_looks_equal_to_it(limits: Limits, changes: dict[str, object], why: str) -> None:
    error = failure(limits, **changes)
    assert error is not None
    assert error.why.endswith(why)


@pytest.mark.parametrize(
    ("limits", "changes", "why"),
    [
        (Limits(temperature_c=60.0), {"conditions": (DeviceState(0.0),)}, "temperature: no sensor, limit 60 C"),
        (Limits(temperature_c=60.0), {"conditions": ()}, "temperature: no sensor, limit 60 C"),
        (Limits(rss_mib=60.0), {"peak_rss_bytes": None}, "memory of a.tflite, 1 thread: not reported, limit 60 MiB"),
    ],
)
def test_a_limit_that_cannot_be_checked_is_not_met(limits: Limits, changes: dict[str, object], why: str) -> None:
    assert failure(limits) is None
    error = failure(limits, **changes)
    assert error is not None
    assert error.why == why
    assert "[pi4.limits]" in error.hint
