"""What a bench leaves behind, and what it was asked for.

    measurement = run(BenchRequest(model="small-int8.tflite", threads=1))
    measurement.invoke.p50_ns, measurement.invoke.p50_interval_ns
    for doubt in measurement.doubts(): ...          # why one should not believe it
    measurement.to_json(samples=True)               # raw samples too; without, the summaries alone

A Measurement always holds the summaries (Latency). The raw samples they were made from (Samples) are there when it was
just taken or written with ``samples=True``, and None when it was read from a file that does not hold them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import records
from edgefer.child import failure, revive
from edgefer.errors import IncompatibleError
from edgefer.statistics import percentile, percentile_interval

__all__ = ["BenchRequest", "Latency", "Measurement", "Samples", "failure", "read_reply"]

KIND = "measurement"
SCHEMA_VERSION = 1

# So many that a hundred of them lie beyond the p90: its rank then has a standard error of ten, one percent of the runs.
ENOUGH_RUNS = 1024
LARGEST_SPREAD = 1.3
LARGEST_WAIT = 1.15
# What the services of an idle board amount to.
LOAD_SLACK = 0.5


@dataclass(frozen=True)
class BenchRequest:
    """What a bench shall do; plain values, because it travels to another process or device as JSON.

    Attributes:
        model: path of the model file, on the device.
        faces: path of an .npz with ``faces``, uint8 (n, height, width); None takes the model's golden inputs.
        runtime: an entry of ``board/runtimes``, or None for the best that is installed.
        threads: how many threads the kernels may use.
        kernels: "default", "builtin" or "reference".
        minimum_runs, minimum_seconds: the steady runs go on until both are reached.
        warmup_runs, warmup_seconds: the same for the warm-ups; a governor needs time to raise the clock, not runs.
        samples: whether the raw samples come back.
    """

    model: str
    faces: str | None = None
    runtime: str | None = None
    threads: int = 1
    kernels: str = "default"
    minimum_runs: int = ENOUGH_RUNS
    minimum_seconds: float = 3.0
    warmup_runs: int = 50
    warmup_seconds: float = 0.25
    samples: bool = False

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> BenchRequest:
        """The inverse of to_json().

        Raises:
            IncompatibleError: a setting that this edgefer does not know; it came from a later one.
        """
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            raise IncompatibleError(
                f"the bench request asks for {', '.join(unknown)}",
                why="this edgefer does not know it",
                fix="pip install --upgrade edgefer",
            )
        return cls(**fields)


@dataclass(frozen=True)
class Latency:
    """The summary of one kind of time over many runs; nearest-rank percentiles, so each value was measured.

    Attributes:
        runs: how many.
        min_ns, p50_ns, p90_ns, p99_ns, max_ns: nanoseconds.
        p50_interval_ns: where the median lies with 95 % confidence, by bootstrap.
    """

    runs: int
    min_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    p50_interval_ns: tuple[int, int]

    @classmethod
    def from_samples(cls, samples_ns: npt.NDArray[np.int64]) -> Latency:
        """Summarize int64 (runs,), runs >= 1."""
        low, high = percentile_interval(samples_ns, 50)
        p50, p90, p99 = (int(percentile(samples_ns, percent)) for percent in (50, 90, 99))
        return cls(len(samples_ns), int(samples_ns.min()), p50, p90, p99, int(samples_ns.max()), (int(low), int(high)))

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values in microseconds, to the nanosecond; from_json() is its inverse."""
        low, high = self.p50_interval_ns
        return {
            "runs": self.runs,
            "min_us": self.min_ns / 1000,
            "p50_us": self.p50_ns / 1000,
            "p50_interval_95_us": [low / 1000, high / 1000],
            "p90_us": self.p90_ns / 1000,
            "p99_us": self.p99_ns / 1000,
            "max_us": self.max_ns / 1000,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Latency:
        """The inverse of to_json().

        Raises:
            DataError: a number is missing, or is none.
        """
        names = ("min", "p50", "p90", "p99", "max")
        records.require(
            fields, runs=int, p50_interval_95_us=list, **{f"{name}_us": (int, float) for name in names}
        )
        low, high = fields["p50_interval_95_us"]
        return cls(
            runs=fields["runs"],
            p50_interval_ns=(round(low * 1000), round(high * 1000)),
            **{f"{name}_ns": round(fields[f"{name}_us"] * 1000) for name in names},
        )


@dataclass(frozen=True, eq=False)
class Samples:
    """Raw times in nanoseconds, one a run, in the order of the runs.

    Attributes:
        warmup_ns: int64 (warm-ups,), input set to output got.
        invoke_ns: int64 (runs,), the model alone.
        set_to_get_ns: int64 (runs,), input set to output got.
        cpu_ns: int64 (runs,), processor time of the calling thread from input set to output got.
    """

    warmup_ns: npt.NDArray[np.int64]
    invoke_ns: npt.NDArray[np.int64]
    set_to_get_ns: npt.NDArray[np.int64]
    cpu_ns: npt.NDArray[np.int64]

    def to_json(self) -> dict[str, list[int]]:
        """Lists of integers; from_json() is its inverse."""
        return {name: samples.tolist() for name, samples in vars(self).items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, list[int]]) -> Samples:
        """The inverse of to_json()."""
        return cls(**{name: np.array(samples, np.int64) for name, samples in fields.items()})


@dataclass(frozen=True, eq=False)
class Measurement:
    """One model, measured once on one device with one number of threads.

    Attributes:
        subject: plain values on the model: file, sha256, size_bytes, scheme.
        device: plain values on the machine: board, machine, cpu, cores, governor, os, kernel, python; no host name.
        runtime, runtime_version: what ran it.
        threads, kernels: how.
        started_at: UTC, ISO 8601.
        harness_version: the version of edgefer.
        init_ns: loading the model and allocating its tensors, in a fresh process; the wheel was imported before.
        first_ns: the first run, input set to output got.
        warmup: the runs after that; not part of the others.
        invoke: the model alone; the latency to quote.
        set_to_get: from input set to output got, which adds what the harness costs.
        cpu: processor time of the calling thread over the same span.
        peak_rss_bytes: the largest memory of the process, Python and libraries included, up to the end of the warm-ups;
            None where /proc does not say.
        load_before, load_after: load average of the last minute, or None.
        samples: raw times, or None.
    """

    subject: Mapping[str, Any]
    device: Mapping[str, Any]
    runtime: str
    runtime_version: str
    threads: int
    kernels: str
    started_at: str
    harness_version: str
    init_ns: int
    first_ns: int
    warmup: Latency
    invoke: Latency
    set_to_get: Latency
    cpu: Latency
    peak_rss_bytes: int | None
    load_before: float | None
    load_after: float | None
    samples: Samples | None = None

    @property
    def p50_us(self) -> float:
        """Median of the model alone, in microseconds."""
        return self.invoke.p50_ns / 1000

    @property
    def p90_us(self) -> float:
        """90th percentile of the model alone, in microseconds."""
        return self.invoke.p90_ns / 1000

    @property
    def p99_us(self) -> float:
        """99th percentile of the model alone, in microseconds."""
        return self.invoke.p99_ns / 1000

    def doubts(self) -> tuple[str, ...]:
        """Plain sentences on why the numbers should not be believed; empty when nothing speaks against them."""
        doubts = []
        if self.invoke.runs < ENOUGH_RUNS:
            runs = f"{self.invoke.runs:,} run{'s' * (self.invoke.runs != 1)}"
            doubts.append(f"only {runs}; {ENOUGH_RUNS:,} are the least for a p90")
        spread = self.invoke.p90_ns / max(1, self.invoke.p50_ns)
        if spread > LARGEST_SPREAD:
            doubts.append(f"p90 is {spread:.2f} x p50; above {LARGEST_SPREAD} something else ran or the clock changed")
        wait = self.set_to_get.p50_ns / max(1, self.cpu.p50_ns)
        # With more threads the calling one waits for the others by design.
        if self.threads == 1 and wait > LARGEST_WAIT:
            doubts.append(f"the median run took {wait:.2f} x its processor time; the rest of it was spent waiting")
        cores = self.device["cores"]
        if self.threads > cores:
            doubts.append(f"{self.threads} threads on {cores} core{'s' * (cores != 1)} wait for each other")
        if self.load_before is not None and self.load_before > max(0, cores - self.threads) + LOAD_SLACK:
            asked = f"{min(self.threads, cores)} of {cores} cores"
            doubts.append(f"load average was {self.load_before:.2f} before the run, which was to have {asked}")
        governor = self.device.get("governor")
        if governor not in (None, "performance"):
            doubts.append(f"the clock is governed by {governor!r}, not 'performance'")
        return tuple(doubts)

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse. ``samples`` adds the raw ones, where there are any."""
        fields = {
            **records.stamp(KIND, SCHEMA_VERSION),
            "subject": dict(self.subject),
            "device": dict(self.device),
            "runtime": self.runtime,
            "runtime_version": self.runtime_version,
            "threads": self.threads,
            "kernels": self.kernels,
            "started_at": self.started_at,
            "harness_version": self.harness_version,
            "init_us": self.init_ns / 1000,
            "first_us": self.first_ns / 1000,
            "warmup": self.warmup.to_json(),
            "invoke": self.invoke.to_json(),
            "set_to_get": self.set_to_get.to_json(),
            "cpu": self.cpu.to_json(),
            "peak_rss_bytes": self.peak_rss_bytes,
            "load_before": self.load_before,
            "load_after": self.load_after,
            "doubts": list(self.doubts()),
        }
        return fields | {"samples": self.samples.to_json()} if samples and self.samples else fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Measurement:
        """The inverse of to_json(); doubts are raised anew.

        Raises:
            DataError: not a measurement, or one whose fields cannot be.
            IncompatibleError: a later schema version.
        """
        records.check(fields, KIND, SCHEMA_VERSION)
        number, maybe = (int, float), (int, float, type(None))
        records.require(
            fields, subject=dict, device=dict, runtime=str, runtime_version=str, threads=int, kernels=str,
            started_at=str, harness_version=str, peak_rss_bytes=(int, type(None)), load_before=maybe, load_after=maybe,
            init_us=number, first_us=number, warmup=dict, invoke=dict, set_to_get=dict, cpu=dict,
        )  # fmt: skip
        records.require(fields["device"], cores=int)
        model_and_way = ("subject", "device", "runtime", "runtime_version", "threads", "kernels")
        circumstances = ("started_at", "harness_version", "peak_rss_bytes", "load_before", "load_after")
        plain: dict[str, Any] = {name: fields[name] for name in (*model_and_way, *circumstances)}
        return cls(
            **plain,
            init_ns=round(fields["init_us"] * 1000),
            first_ns=round(fields["first_us"] * 1000),
            warmup=Latency.from_json(fields["warmup"]),
            invoke=Latency.from_json(fields["invoke"]),
            set_to_get=Latency.from_json(fields["set_to_get"]),
            cpu=Latency.from_json(fields["cpu"]),
            samples=Samples.from_json(fields["samples"]) if "samples" in fields else None,
        )


def read_reply(fields: Mapping[str, Any]) -> Measurement:
    """What the bench in another process answered: Measurement.to_json(), or failure().

    Raises:
        EdgeferError: the error of the other process, of the same kind and with the same text.
        DataError: neither of the two.
    """
    if "error" not in fields:
        return Measurement.from_json(fields)
    raise revive(fields)
