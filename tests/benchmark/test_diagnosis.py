from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgefer.benchmark import diagnosis
from edgefer.benchmark.diagnosis import diagnose_int8_latency
from edgefer.benchmark.isolation import measure_in_subprocess
from edgefer.contract.artifact import Artifact
from edgefer.errors import IncompatibleError
from edgefer.models import SHIPPED
from edgefer.results.measurement import BenchRequest, Measurement


@pytest.fixture(scope="module")
def int8() -> Measurement:
    return measure_in_subprocess(BenchRequest(str(SHIPPED), minimum_runs=50, minimum_seconds=0.0))


@pytest.fixture(scope="module")
def model() -> bytes:
    return Artifact.load(SHIPPED).model


def single_core() -> None:
    return None


def not_called() -> Measurement:
    raise AssertionError("measured although int8 is fast enough")


def slower(measurement: Measurement, factor: float, **changes: Any) -> Measurement:
    invoke = replace(measurement.invoke, p50_ns=int(measurement.invoke.p50_ns * factor))
    return replace(measurement, invoke=invoke, **changes)


def test_fast_int8_has_no_causes(int8: Measurement, model: bytes) -> None:
    assert diagnose_int8_latency(slower(int8, 1.4), int8, model=model, measure_other_threads=not_called) == ()


def test_old_runtime_is_a_cause(int8: Measurement, model: bytes) -> None:
    old = replace(int8, runtime="tflite_runtime", runtime_version="2.14.0")
    causes = diagnose_int8_latency(old, old, model=model, measure_other_threads=single_core)
    assert any("built-in kernels" in cause for cause in causes)


def test_processor_without_dot_product_is_a_cause(
    int8: Measurement, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis.sysfs, "has_dot_product", lambda: False)
    causes = diagnose_int8_latency(int8, int8, model=model, measure_other_threads=single_core)
    assert any("dot product" in cause for cause in causes)


def test_threads_without_speedup_are_a_cause(int8: Measurement, model: bytes) -> None:
    causes = diagnose_int8_latency(int8, int8, model=model, measure_other_threads=lambda: replace(int8, threads=4))
    assert any((cause.startswith("threads: ") and "4 threads take" in cause) for cause in causes)
    four = replace(int8, threads=4)
    causes = diagnose_int8_latency(four, four, model=model, measure_other_threads=lambda: slower(int8, 0.5))
    assert any((cause.startswith("threads: ") and "4 threads take" in cause) for cause in causes)
    causes = diagnose_int8_latency(four, four, model=model, measure_other_threads=lambda: slower(int8, 3.0))
    assert not any(cause.startswith("threads") for cause in causes)


def test_operators_are_not_checked_without_litert(
    int8: Measurement, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise IncompatibleError("no LiteRT", hint="pip install ai-edge-litert")

    monkeypatch.setattr(diagnosis, "require_litert", missing)
    other = replace(int8, runtime="tensorflow")
    causes = diagnose_int8_latency(other, other, model=model, measure_other_threads=single_core)
    assert any("not checked" in cause and "pip install" in cause for cause in causes)


def test_copies_are_a_cause(int8: Measurement, model: bytes) -> None:
    far = replace(int8, set_to_get=replace(int8.set_to_get, p50_ns=2 * int8.invoke.p50_ns))
    causes = diagnose_int8_latency(far, far, model=model, measure_other_threads=single_core)
    assert "overhead: copies and calls take 50 % of a run" in causes


def test_slow_int8_without_known_cause_is_reported(
    int8: Measurement, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis.sysfs, "has_dot_product", lambda: True)
    calm = replace(int8, set_to_get=int8.invoke)
    if int8.runtime == "litert":
        (cause,) = diagnose_int8_latency(calm, calm, model=model, measure_other_threads=single_core)
        assert "no known cause" in cause
