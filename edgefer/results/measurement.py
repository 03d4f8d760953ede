"""What a bench leaves behind, and what it was asked for.

    measurement = run(BenchRequest(model="small-int8.tflite", threads=1))
    measurement.invoke.p50_ns, measurement.invoke.p50_interval_ns
    for doubt in measurement.doubts(): ...          # why one should not believe it
    measurement.to_json(samples=True)               # raw samples too; without, the summaries alone

A Measurement always holds the summaries (Latency). The raw samples they were made from (Samples) are there when it was
just taken or written with ``samples=True``, and None when it was read from a file that does not hold them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.processes import error_from_json
from edgefer.results import schema
from edgefer.results.device_state import DeviceState, warnings_for as conditions_doubts
from edgefer.statistics import percentile, percentile_interval

__all__ = ["BenchRequest", "Latency", "Measurement", "Samples", "read_reply"]

KIND = "measurement"
# Version 1 had no p95, no stages but the model's own, one round, and no conditions.
SCHEMA_VERSION = 2

# So many that a hundred of them lie beyond the p90: its rank then has a standard error of ten, one percent of the runs.
ENOUGH_RUNS = 1024
LARGEST_SPREAD = 1.3
LARGEST_WAIT = 1.15
# What the services of an idle board amount to.
LOAD_SLACK = 0.5
STAGES = ("set", "get", "preprocess")
# The crop that "preprocess" begins with, in pixels, three colours.
PREPROCESSED_SIDE = 128


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
        schema.refuse_unknown(fields, cls.__dataclass_fields__, "the bench request")
        return cls(**fields)


@dataclass(frozen=True)
class Latency:
    """The summary of one kind of time over many runs; nearest-rank percentiles, so each value was measured.

    Attributes:
        runs: how many.
        min_ns, p50_ns, p90_ns, p95_ns, p99_ns, max_ns: nanoseconds; p95 is None in old records.
        p50_interval_ns: where the median lies with 95 % confidence, by bootstrap.
    """

    runs: int
    min_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    p50_interval_ns: tuple[int, int]
    p95_ns: int | None = None

    @classmethod
    def from_samples(cls, samples_ns: npt.NDArray[np.int64]) -> Latency:
        """Summarize int64 (runs,), runs >= 1."""
        low, high = percentile_interval(samples_ns, 50)
        p50, p90, p95, p99 = (int(percentile(samples_ns, percent)) for percent in (50, 90, 95, 99))
        least, most = int(samples_ns.min()), int(samples_ns.max())
        return cls(len(samples_ns), least, p50, p90, p99, most, (int(low), int(high)), p95)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values in microseconds, to the nanosecond; from_json() is its inverse."""
        low, high = self.p50_interval_ns
        return {
            "runs": self.runs,
            "min_us": self.min_ns / 1000,
            "p50_us": self.p50_ns / 1000,
            "p50_interval_95_us": [low / 1000, high / 1000],
            "p90_us": self.p90_ns / 1000,
            **({} if self.p95_ns is None else {"p95_us": self.p95_ns / 1000}),
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
        schema.require(
            fields, runs=int, p50_interval_95_us=list, **{f"{name}_us": (int, float) for name in names}
        )
        low, high = fields["p50_interval_95_us"]
        return cls(
            runs=fields["runs"],
            p50_interval_ns=(round(low * 1000), round(high * 1000)),
            p95_ns=round(fields["p95_us"] * 1000) if "p95_us" in fields else None,
            **{f"{name}_ns": round(fields[f"{name}_us"] * 1000) for name in names},
        )


NO_TIMES = np.array([], np.int64)


@dataclass(frozen=True, eq=False)
class Samples:
    """Raw times in nanoseconds, one a run, in the order of the runs.

    Attributes:
        warmup_ns: int64 (warm-ups,), input set to output got.
        invoke_ns: int64 (runs,), the model alone.
        set_to_get_ns: int64 (runs,), input set to output got.
        cpu_ns: int64 (runs,), processor time of the calling thread from input set to output got.
        set_ns, get_ns: int64 (runs,), the copies into the model and out of it; empty in old records.
        preprocess_ns: int64 (m,), a crop of PREPROCESSED_SIDE pixels to what the model takes; empty in old records.
    """

    warmup_ns: npt.NDArray[np.int64]
    invoke_ns: npt.NDArray[np.int64]
    set_to_get_ns: npt.NDArray[np.int64]
    cpu_ns: npt.NDArray[np.int64]
    set_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)
    get_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)
    preprocess_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)

    @classmethod
    def together(cls, parts: Sequence[Samples]) -> Samples:
        """Those of several rounds, one after the other."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})

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
        set, get: the copies into the model and out of it, or None.
        preprocess: a colour crop to what the model takes, or None.
        rounds_p50_ns: the median of each round, where there were several.
        conditions: of the device, before, between and after the rounds, and every other second of a round.
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
    set: Latency | None = None
    get: Latency | None = None
    preprocess: Latency | None = None
    rounds_p50_ns: tuple[int, ...] = ()
    conditions: tuple[DeviceState, ...] = ()

    @classmethod
    def pooled(cls, rounds: Sequence[Measurement], conditions: Sequence[DeviceState] = ()) -> Measurement:
        """One of the rounds of the same model, each from a fresh process and with its samples.

        Its p50 is the median of the rounds' p50s, and the interval of that what the middle of all samples has; the
        other percentiles are of all samples. Loading and first run are medians of the rounds, memory is the most.
        """
        samples = Samples.together([each.samples for each in rounds if each.samples is not None])
        medians = tuple(each.invoke.p50_ns for each in rounds)
        return replace(
            rounds[0],
            init_ns=int(median(each.init_ns for each in rounds)),
            first_ns=int(median(each.first_ns for each in rounds)),
            warmup=Latency.from_samples(samples.warmup_ns),
            invoke=replace(Latency.from_samples(samples.invoke_ns), p50_ns=int(median(medians))),
            set_to_get=Latency.from_samples(samples.set_to_get_ns),
            cpu=Latency.from_samples(samples.cpu_ns),
            set=Latency.from_samples(samples.set_ns),
            get=Latency.from_samples(samples.get_ns),
            preprocess=Latency.from_samples(samples.preprocess_ns),
            peak_rss_bytes=max((each.peak_rss_bytes or 0 for each in rounds), default=0) or None,
            load_after=rounds[-1].load_after,
            samples=samples,
            rounds_p50_ns=medians,
            conditions=tuple(conditions),
        )

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

    @property
    def energy_mj(self) -> float | None:
        """Millijoules that the whole device draws during a run: median power while a model ran, times the p50.

        None where no sensor tells the power, or no round was long enough to be looked at.
        """
        watts = [each.power_w for each in self.conditions if each.running and each.power_w is not None]
        return median(watts) * self.invoke.p50_ns / 1e6 if watts else None

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
        return tuple(doubts) + self.invalid()

    def invalid(self) -> tuple[str, ...]:
        """The doubts for which the numbers must not be quoted: the device was held back, or was not alone."""
        return conditions_doubts(self.conditions, busy=max(int(self.device["cores"]), self.threads))

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse. ``samples`` adds the raw ones, where there are any."""
        fields = {
            **schema.header(KIND, SCHEMA_VERSION),
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
            **{name: each.to_json() for name, each in self._stages().items() if each is not None},
            "rounds_p50_us": [each / 1000 for each in self.rounds_p50_ns],
            "conditions": [each.to_json() for each in self.conditions],
            "energy_mj": self.energy_mj,
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
        schema.validate(fields, KIND, SCHEMA_VERSION)
        number, maybe = (int, float), (int, float, type(None))
        schema.require(
            fields, subject=dict, device=dict, runtime=str, runtime_version=str, threads=int, kernels=str,
            started_at=str, harness_version=str, peak_rss_bytes=(int, type(None)), load_before=maybe, load_after=maybe,
            init_us=number, first_us=number, warmup=dict, invoke=dict, set_to_get=dict, cpu=dict,
        )  # fmt: skip
        schema.require(fields["device"], cores=int)
        model_and_way = ("subject", "device", "runtime", "runtime_version", "threads", "kernels")
        circumstances = ("started_at", "harness_version", "peak_rss_bytes", "load_before", "load_after")
        stages: dict[str, Any] = {name: Latency.from_json(fields[name]) for name in STAGES if name in fields}
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
            rounds_p50_ns=tuple(round(each * 1000) for each in fields.get("rounds_p50_us", ())),
            conditions=tuple(DeviceState.from_json(each) for each in fields.get("conditions", ())),
            **stages,
        )

    def _stages(self) -> dict[str, Latency | None]:
        return {name: getattr(self, name) for name in STAGES}


def read_reply(fields: Mapping[str, Any]) -> Measurement:
    """What the bench in another process answered: Measurement.to_json(), or failure().

    Raises:
        EdgeferError: the error of the other process, of the same kind and with the same text.
        DataError: neither of the two.
    """
    if "error" not in fields:
        return Measurement.from_json(fields)
    raise error_from_json(fields)
