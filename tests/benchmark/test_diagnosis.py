from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edgefer.benchmark import diagnosis
from edgefer.benchmark.diagnosis import causes
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


def nothing() -> None:
    return None


def unasked() -> Measurement:
    raise AssertionError("measured, though int8 is fast enough")


def slower(measurement: Measurement, factor: float, **changes: Any) -> Measurement:
    invoke = replace(measurement.invoke, p50_ns=int(measurement.invoke.p50_ns * factor))
    return replace(measurement, invoke=invoke, **changes)


def test_int8_that_is_fast_enough_needs_no_reason(int8: Measurement, model: bytes) -> None:
    assert causes(slower(int8, 1.4), int8, model=model, other_threads=unasked) == ()


def test_an_old_runtime_is_named(int8: Measurement, model: bytes) -> None:
    old = replace(int8, runtime="tflite_runtime", runtime_version="2.14.0")
    assert any("built-in kernels" in cause for cause in causes(old, old, model=model, other_threads=nothing))


def test_a_processor_without_dot_product_is_named(
    int8: Measurement, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(diagnosis.sysfs, "has_dot_product", lambda: False)
    assert any("dot products" in cause for cause in causes(int8, int8, model=model, other_threads=nothing))


def test_threads_that_do_not_pay_are_named(int8: Measurement, model: bytes) -> None:
    found = causes(int8, int8, model=model, other_threads=lambda: replace(int8, threads=4))
    assert any(cause.startswith("threads: 4 of them") for cause in found)
    four = replace(int8, threads=4)
    found = causes(four, four, model=model, other_threads=lambda: slower(int8, 0.5))
    assert any(cause.startswith("threads: 4 of them") for cause in found)
    found = causes(four, four, model=model, other_threads=lambda: slower(int8, 3.0))
    assert not any(cause.startswith("threads") for cause in found)


def test_without_litert_the_operators_are_said_to_be_unseen(
    int8: Measurement, model: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> None:
        raise IncompatibleError("no LiteRT", hint="pip install ai-edge-litert")

    monkeypatch.setattr(diagnosis, "needed_runtime", missing)
    other = replace(int8, runtime="tensorflow")
    found = causes(other, other, model=model, other_threads=nothing)
    assert any("not looked at" in cause and "pip install" in cause for cause in found)


def test_a_run_that_is_mostly_copies_is_named(int8: Measurement, model: bytes) -> None:
    far = replace(int8, set_to_get=replace(int8.set_to_get, p50_ns=2 * int8.invoke.p50_ns))
    assert any(cause.startswith("overhead: 50 %") for cause in causes(far, far, model=model, other_threads=nothing))


def test_where_nothing_is_found_that_is_said(int8: Measurement, model: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis.sysfs, "has_dot_product", lambda: True)
    calm = replace(int8, set_to_get=int8.invoke)
    if int8.runtime == "litert":
        (cause,) = causes(calm, calm, model=model, other_threads=nothing)
        assert "nothing of what is looked for" in cause
