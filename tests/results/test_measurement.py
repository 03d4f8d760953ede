from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.results.latency import Latency, Samples
from edgefer.results.measurement import BenchRequest, Measurement
from edgefer.statistics import MedianInterval


def quiet_measurement(runs: int = 2000, *, shift_ns: int = 0) -> Measurement:
    """Return a measurement of about 100 us on an idle machine, without warnings."""
    invoke_ns = np.random.default_rng(0).integers(99_000, 101_000, runs) + shift_ns
    samples = Samples(invoke_ns[:50] + 9_000, invoke_ns, invoke_ns + 3_000, invoke_ns + 2_500)
    return Measurement(
        subject={"file": "tiny.tflite", "sha256": "abc", "size_bytes": 4888, "scheme": "int8"},
        device={"machine": "aarch64", "cpu": "Cortex-A76", "cores": 4, "governor": "performance"},
        runtime="litert",
        runtime_version="2.3.0",
        threads=1,
        kernels="default",
        started_at="2025-01-01T00:00:00+00:00",
        harness_version="0.1.0",
        init_ns=1_234_567,
        first_ns=345_678,
        warmup=Latency.from_samples(samples.warmup_ns),
        invoke=Latency.from_samples(samples.invoke_ns),
        set_to_get=Latency.from_samples(samples.set_to_get_ns),
        cpu=Latency.from_samples(samples.cpu_ns),
        peak_rss_bytes=50 * 1024 * 1024,
        load_before=0.1,
        load_after=0.4,
        samples=samples,
    )


def slower(latency: Latency, **factors: float) -> Latency:
    return replace(latency, **{name: round(getattr(latency, name) * factor) for name, factor in factors.items()})


def test_latency_summarizes_samples() -> None:
    samples = np.random.default_rng(1).permutation(np.arange(1, 1001))
    latency = Latency.from_samples(samples)
    assert (latency.runs, latency.min_ns, latency.max_ns) == (1000, 1, 1000)
    assert (latency.p50_ns, latency.p90_ns, latency.p99_ns) == (500, 900, 990)


def test_latency_survives_microseconds_to_the_nanosecond() -> None:
    latency = Latency.from_samples(np.random.default_rng(2).integers(10**9, 10**10, 5000))
    fields = json.loads(json.dumps(latency.to_json()))
    assert fields["p50_us"] == latency.p50_ns / 1000
    assert Latency.from_json(fields) == latency


def test_interval_of_the_p50_comes_from_the_medians_of_the_rounds() -> None:
    # The rounds differ more than the runs of one round, so that the pooled runs would give a false interval.
    rounds = [quiet_measurement(shift_ns=shift) for shift in (3000, 0, 9000, 1000, 7000)]
    pooled = Measurement.pooled(rounds)
    medians = [part.invoke.p50_ns for part in rounds]
    assert pooled.p50_interval == MedianInterval(min(medians), max(medians), 0.9375)
    assert pooled.p50_interval.low <= pooled.invoke.p50_ns <= pooled.p50_interval.high
    fields = pooled.to_json()["invoke"]
    assert fields["p50_interval_95_us"] == [min(medians) / 1000, max(medians) / 1000]
    assert fields["p50_interval_confidence"] == 0.9375


def test_one_round_gives_no_interval_of_the_p50() -> None:
    measurement = Measurement.pooled([quiet_measurement()])
    assert measurement.p50_interval is None
    assert measurement.to_json()["invoke"]["p50_interval_95_us"] is None


def test_interval_of_an_earlier_record_is_computed_from_its_rounds() -> None:
    fields = Measurement.pooled([quiet_measurement(shift_ns=shift) for shift in range(0, 5000, 1000)]).to_json()
    del fields["invoke"]["p50_interval_confidence"]
    fields["invoke"]["p50_interval_95_us"] = [1.0, 2.0]
    read = Measurement.from_json(fields)
    assert read.p50_interval is not None
    assert read.p50_interval.low <= read.invoke.p50_ns <= read.p50_interval.high
    assert Measurement.from_json({**fields, "rounds_p50_us": []}).p50_interval is None


def test_quoted_latency_is_inference_alone() -> None:
    measurement = quiet_measurement()
    assert measurement.p50_us == measurement.invoke.p50_ns / 1000
    assert measurement.p50_us <= measurement.p90_us <= measurement.p99_us < measurement.set_to_get.p99_ns / 1000


@pytest.mark.parametrize("samples", [True, False])
def test_json_round_trip(samples: bool) -> None:
    measurement = quiet_measurement()
    text = json.dumps(measurement.to_json(samples=samples), allow_nan=False)
    again = Measurement.from_json(json.loads(text))
    assert json.dumps(again.to_json(samples=samples)) == text
    assert again.invoke == measurement.invoke
    assert (again.init_ns, again.first_ns) == (1_234_567, 345_678)
    if samples:
        assert again.samples is not None
        assert again.samples.invoke_ns.dtype == np.int64
        assert (again.samples.invoke_ns == measurement.samples.invoke_ns).all()
    else:
        assert again.samples is None
        assert "samples" not in json.loads(text)
        assert len(text) < 4096


def test_other_records_are_refused() -> None:
    with pytest.raises(DataError, match="measurement"):
        Measurement.from_json({"kind": "evaluation", "schema_version": 1})
    with pytest.raises(IncompatibleError, match="version 9"):
        Measurement.from_json(quiet_measurement().to_json() | {"schema_version": 9})


def test_measurement_on_an_idle_machine_has_no_warnings() -> None:
    assert quiet_measurement().warnings() == ()
    # Unknown values cause no warning.
    silent_device = {"cores": 4}
    assert replace(quiet_measurement(), device=silent_device, load_before=None, peak_rss_bytes=None).warnings() == ()


def test_every_warning_has_its_numbers() -> None:
    quiet = quiet_measurement()
    cases = {
        "only 1,000 runs": quiet_measurement(runs=1000),
        "p90 is 1.41 x p50": replace(quiet, invoke=slower(quiet.invoke, p90_ns=1.4)),
        "1.31 x its CPU time": replace(quiet, set_to_get=slower(quiet.set_to_get, p50_ns=1.3)),
        "load average was 3.90 before the run, which needs 1 of 4 cores": replace(quiet, load_before=3.9),
        "'ondemand'": replace(quiet, device={**quiet.device, "governor": "ondemand"}),
        "100 threads compete for 4 cores": replace(quiet, threads=100, load_before=0.4),
    }
    for sentence, measurement in cases.items():
        (warning,) = measurement.warnings()
        assert sentence in warning
        assert measurement.to_json()["doubts"] == [warning]


def test_waiting_for_other_threads_does_not_cause_a_warning() -> None:
    quiet = quiet_measurement()
    parallel = replace(quiet, threads=2, set_to_get=slower(quiet.set_to_get, p50_ns=1.3))
    assert parallel.warnings() == ()


BIG_LITTLE = {
    "machine": "aarch64", "cpu": "4x Cortex-A55 + 4x Cortex-A76", "cores": 8, "governor": "performance",
    "clusters": [{"cpu": "Cortex-A55", "cores": [0, 1, 2, 3]}, {"cpu": "Cortex-A76", "cores": [4, 5, 6, 7]}],
    "ran_on": {"cores": [5], "cpu": "Cortex-A76"},
}  # fmt: skip


def test_processor_is_the_cluster_that_ran() -> None:
    measurement = replace(quiet_measurement(), device=BIG_LITTLE)
    assert measurement.processor == "Cortex-A76 (4x Cortex-A55 + 4x Cortex-A76)"
    assert measurement.warnings() == ()
    assert quiet_measurement().processor == "Cortex-A76"


def test_rounds_on_different_clusters_are_pooled_with_a_warning() -> None:
    big = replace(quiet_measurement(), device=BIG_LITTLE)
    little = replace(big, device={**BIG_LITTLE, "ran_on": {"cores": [0], "cpu": "Cortex-A55"}})
    pooled = Measurement.pooled([big, little])
    assert pooled.device["ran_on"] == {"cores": [0, 5], "cpu": "Cortex-A76 and Cortex-A55"}
    (warning,) = pooled.warnings()
    assert "Cortex-A55 and Cortex-A76" in warning
    assert "taskset -c 4,5,6,7" in warning


def test_a_cpu_quota_below_the_threads_is_a_warning() -> None:
    measurement = quiet_measurement()
    limited = replace(measurement, device={**measurement.device, "cpu_quota": 0.3})
    assert "0.3 of 4 cores" in limited.warnings()[0]
    enough = replace(measurement, device={**measurement.device, "cpu_quota": 2.0})
    assert enough.warnings() == ()


def test_request_round_trip() -> None:
    request = BenchRequest(model="a.tflite", faces="f.npz", threads=4, minimum_seconds=0.5, samples=True)
    assert BenchRequest.from_json(json.loads(json.dumps(request.to_json()))) == request


def test_request_with_an_unknown_setting_is_refused() -> None:
    with pytest.raises(IncompatibleError, match="delegate"):
        BenchRequest.from_json({"model": "a.tflite", "delegate": "gpu"})
