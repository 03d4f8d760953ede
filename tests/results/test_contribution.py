"""edgefer.results.contribution: what leaves a user's machine."""

import dataclasses
import json

import numpy as np
import pytest

from edgefer.errors import DataError, MeasurementInvalid, UsageError
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.contribution import anonymize, check_contribution, contribution_name
from edgefer.results.device_state import DeviceState
from edgefer.results.latency import Latency, Samples
from edgefer.results.measurement import Measurement

SECRET = "s3cret"
DEVICE = {
    "board": "Raspberry Pi 5 Model B Rev 1.0", "machine": "aarch64", "bits": 64, "cpu": "4x Cortex-A76", "cores": 4,
    "governor": "performance", "os": "Debian GNU/Linux 12 (bookworm)", "kernel": f"Linux 6.6.51-{SECRET}",
    "clusters": [{"cpu": "Cortex-A76", "cores": [0, 1, 2, 3], "serial": SECRET}],
    "ran_on": {"cores": [2], "cpu": "Cortex-A76", "by": SECRET},
}  # fmt: skip


def result(*, scheme="int8", **device):
    times = np.full(2000, 100_000)
    latency = Latency.from_samples(times)
    measurement = Measurement(
        subject={"file": f"{SECRET}.tflite", "sha256": "a" * 64, "scheme": scheme, "system": SECRET, "owner": SECRET},
        device={**DEVICE, "serial": SECRET, **device}, runtime="litert", runtime_version="2.3.0", threads=1,
        kernels="default", started_at="2026-01-02T03:04:05+00:00", harness_version="0.1.0", init_ns=1, first_ns=1,
        warmup=latency, invoke=latency, set_to_get=latency, cpu=latency, peak_rss_bytes=None, load_before=0.0,
        load_after=0.0, samples=Samples(times, times, times, times),
        conditions=(DeviceState(0.0, temperature_c=48.0),),
    )  # fmt: skip
    return BenchmarkResult(f"{SECRET}@192.168.1.7", (measurement,), causes=(f"operators: {SECRET}",))


def test_a_contribution_has_the_latency_and_the_board_but_no_names():
    anonymous = anonymize(result(), names={})
    text = json.dumps(anonymous.to_json(samples=True))
    assert SECRET not in text
    assert "192.168" not in text
    assert "03:04" not in text
    read = BenchmarkResult.from_json(json.loads(text))
    measurement = read.measurements[0]
    assert (read.device, measurement.p50_us, measurement.started_at) == (DEVICE["board"], 100.0, "2026-01-02")
    assert measurement.device["kernel"] == "Linux 6.6.51"
    assert measurement.conditions[0].temperature_c == 48.0
    assert measurement.subject["file"] == "int8-aaaaaaaaaaaa.tflite"


def test_a_scheme_that_may_be_a_name_is_left_out():
    measurement = anonymize(result(scheme=f"Model of {SECRET}"), names={}).measurements[0]
    assert measurement.subject["file"] == "unknown-aaaaaaaaaaaa.tflite"
    assert SECRET not in json.dumps(measurement.to_json())


def test_a_public_model_keeps_its_name():
    anonymous = anonymize(result(), names={"a" * 64: "nano-int8.tflite"})
    assert anonymous.measurements[0].subject["file"] == "nano-int8.tflite"


def test_the_file_name_has_the_board_and_depends_on_the_result():
    first = anonymize(result(), names={})
    name = contribution_name(first)
    assert name.startswith("raspberry-pi-5-model-b-rev-1.0-")
    assert name.endswith(".bench.json")
    assert name == contribution_name(anonymize(result(), names={}))
    assert name != contribution_name(anonymize(result(governor="powersave"), names={}))


@pytest.mark.parametrize(
    ("board", "reason"), [(None, "names no board"), ("", "names no board"), ("Pi 4 (qemu stand-in)", "is emulated")]
)
def test_what_is_not_a_board_is_refused(board, reason):
    with pytest.raises(UsageError, match="--contribute") as raised:
        check_contribution(result(board=board))
    assert reason in str(raised.value)


def test_an_incomplete_benchmark_is_refused():
    with pytest.raises(MeasurementInvalid, match="accuracy failed"):
        check_contribution(result().incomplete(DataError("accuracy failed")))


def test_a_throttled_board_is_refused():
    hot = result()
    state = DeviceState(1.0, throttled=("under-voltage",), running=True)
    measurement = dataclasses.replace(hot.measurements[0], conditions=(state, state))
    with pytest.raises(MeasurementInvalid, match="under-voltage"):
        check_contribution(dataclasses.replace(hot, measurements=(measurement,)))
    check_contribution(result())
