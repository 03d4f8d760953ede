"""Latency measurement of one model on one device: the request, the result and its warnings.

    measurement = measure_in_subprocess(BenchRequest(model="small-int8.tflite", threads=1))
    measurement.invoke.p50_ns, measurement.p50_interval
    measurement.warnings()                          # reasons against relying on the numbers
    measurement.to_json(samples=True)               # with raw samples; summaries only by default

A Measurement always has summaries (Latency). The raw samples (Samples) are None if it was read from a record without
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from edgefer.results import schema
from edgefer.results.device_state import DeviceState, exceeds_capacity, warnings_for
from edgefer.results.latency import MAX_DURATION_US, Latency, Samples, read_nanoseconds
from edgefer.statistics import MedianInterval, median_interval

__all__ = ["BenchRequest", "Measurement"]

KIND = "measurement"
# Version 1 had no p95, no stages other than the inference, one round, and no device states.
SCHEMA_VERSION = 2

# A hundred of these lie beyond the p90. Its rank then has a standard error of ten, one percent of the runs.
MIN_RUNS_FOR_P90 = 1024
MAX_SPREAD = 1.3
MAX_WAIT_RATIO = 1.15
STAGES = ("set", "get", "preprocess")
# The entry of a record whose key differs from the name of the method that computes it.
JSON_KEYS = {"warnings": "doubts"}
# Side of the color crop that the "preprocess" stage starts from, pixels.
PREPROCESSED_SIDE = 128


@dataclass(frozen=True)
class BenchRequest:
    """Request to measure one model in another process, sent as JSON.

    Attributes:
        model: path of the model file, on the device.
        faces: path of an .npz with ``faces``, uint8 (n, height, width); None uses the golden inputs.
        runtime: an entry of ``inference/runtimes``; None selects the best installed.
        threads: number of threads of the kernels.
        kernels: "default", "builtin" or "reference".
        minimum_runs, minimum_seconds: the timed runs continue until both are reached.
        warmup_runs, warmup_seconds: the same for the warm-up; a governor needs time, not runs, to raise the clock.
        samples: return the raw samples.
    """

    model: str
    faces: str | None = None
    runtime: str | None = None
    threads: int = 1
    kernels: str = "default"
    minimum_runs: int = MIN_RUNS_FOR_P90
    minimum_seconds: float = 3.0
    warmup_runs: int = 50
    warmup_seconds: float = 0.25
    samples: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the request as JSON-compatible values; from_json() is the inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> BenchRequest:
        """Create a request from the output of to_json().

        Raises:
            DataError: a setting has the wrong type.
            IncompatibleError: an unknown setting, written by a later edgefer.
        """
        schema.refuse_unknown(fields, cls.__dataclass_fields__, "the benchmark request")
        request = {**cls(model="").to_json(), **fields}
        record = schema.Fields({**request, "model": fields.get("model")})
        return cls(
            model=record.text("model"),
            faces=record.optional(record.text, "faces"),
            runtime=record.optional(record.text, "runtime"),
            threads=record.integer("threads", low=1),
            kernels=record.text("kernels"),
            minimum_runs=record.count("minimum_runs"),
            minimum_seconds=record.amount("minimum_seconds"),
            warmup_runs=record.count("warmup_runs"),
            warmup_seconds=record.amount("warmup_seconds"),
            samples=record.flag("samples"),
        )


@dataclass(frozen=True, eq=False)
class Measurement:
    """Latency and memory of one model on one device with one runtime and thread count.

    Attributes:
        subject: identifies the model: file, sha256, size_bytes, scheme.
        device: describes the machine: board, machine, cpu, cores, governor, os, kernel, python, affinity,
            cpu_quota, clusters and ran_on (see edgefer.device.description); no host name.
        runtime, runtime_version: the runtime that ran the model.
        threads, kernels: its configuration.
        started_at: UTC, ISO 8601.
        harness_version: version of edgefer.
        init_ns: loading the model and allocating its tensors in a fresh process; the import came before.
        first_ns: the first run, from setting the input to reading the output.
        warmup: the warm-up runs, which no other summary includes.
        invoke: inference alone; the latency to quote.
        set_to_get: from setting the input to reading the output, so copies and calls are included.
        cpu: CPU time of the calling thread over the same span.
        peak_rss_bytes: peak memory of the process up to the end of the warm-up, Python and libraries included; None
            without /proc.
        load_before, load_after: one-minute load average, or None.
        samples: raw durations, or None.
        set, get: setting the input, reading the output, or None.
        preprocess: from a color crop to the encoded input, or None.
        rounds_p50_ns: median of each round, if there were several.
        conditions: device states before, during and after this model's own rounds.
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
        """Combine the rounds of one model into one measurement.

        The p50 is the median of the rounds' p50s. The other percentiles come from all samples. Loading and first run
        are medians over the rounds, peak memory is the maximum.

        Args:
            rounds: one or more, each from a fresh process and with its samples.
            conditions: device states sampled before, during and after these rounds.
        """
        samples = Samples.concatenate([part.samples for part in rounds if part.samples is not None])
        medians = tuple(part.invoke.p50_ns for part in rounds)
        return replace(
            rounds[0],
            device=_pool_devices([part.device for part in rounds]),
            init_ns=int(median(part.init_ns for part in rounds)),
            first_ns=int(median(part.first_ns for part in rounds)),
            warmup=Latency.from_samples(samples.warmup_ns),
            invoke=replace(Latency.from_samples(samples.invoke_ns), p50_ns=int(median(medians))),
            set_to_get=Latency.from_samples(samples.set_to_get_ns),
            cpu=Latency.from_samples(samples.cpu_ns),
            set=Latency.from_samples(samples.set_ns) if len(samples.set_ns) else None,
            get=Latency.from_samples(samples.get_ns) if len(samples.get_ns) else None,
            preprocess=Latency.from_samples(samples.preprocess_ns) if len(samples.preprocess_ns) else None,
            peak_rss_bytes=max((part.peak_rss_bytes or 0 for part in rounds), default=0) or None,
            load_after=rounds[-1].load_after,
            samples=samples,
            rounds_p50_ns=medians,
            conditions=tuple(conditions),
        )

    @property
    def processor(self) -> str | None:
        """Name of the processor; on one with different cores, of those that ran the model, and of all of them."""
        cpu, ran_on = self.device.get("cpu"), self.device.get("ran_on")
        name = ran_on.get("cpu") if isinstance(ran_on, Mapping) else None
        return f"{name} ({cpu})" if name and name != cpu else cpu

    @property
    def p50_us(self) -> float:
        """Median of the inference latency in microseconds."""
        return self.invoke.p50_ns / 1000

    @property
    def p50_interval(self) -> MedianInterval | None:
        """Confidence interval of the p50 in nanoseconds, over the medians of the rounds; None with fewer than 5."""
        return median_interval(self.rounds_p50_ns)

    @property
    def p90_us(self) -> float:
        """90th percentile of the inference latency in microseconds."""
        return self.invoke.p90_ns / 1000

    @property
    def p99_us(self) -> float:
        """99th percentile of the inference latency in microseconds."""
        return self.invoke.p99_ns / 1000

    @property
    def energy_mj(self) -> float | None:
        """Energy of one inference in millijoules: median power of the whole device while the model ran, times the p50.

        None without a power sensor, or if no round was long enough to be sampled.
        """
        watts = [state.power_w for state in self.conditions if state.running and state.power_w is not None]
        return median(watts) * self.invoke.p50_ns / 1e6 if watts else None

    def warnings(self) -> tuple[str, ...]:
        """Return the reasons against relying on these numbers, as sentences; empty if there are none."""
        warnings = []
        if self.invoke.runs < MIN_RUNS_FOR_P90:
            runs = f"{self.invoke.runs:,} run{'s' * (self.invoke.runs != 1)}"
            warnings.append(f"only {runs}; a p90 needs at least {MIN_RUNS_FOR_P90:,}")
        spread = self.invoke.p90_ns / max(1, self.invoke.p50_ns)
        if spread > MAX_SPREAD:
            why = f"above {MAX_SPREAD}, another process ran or the clock changed"
            warnings.append(f"p90 is {spread:.2f} x p50; {why}")
        wait = self.set_to_get.p50_ns / max(1, self.cpu.p50_ns)
        # With several threads, the calling thread waits for the others by design.
        if self.threads == 1 and wait > MAX_WAIT_RATIO:
            warnings.append(f"the median run took {wait:.2f} x its CPU time and waited for the remainder")
        cores = self.device["cores"]
        if self.threads > cores:
            warnings.append(f"{self.threads} threads compete for {cores} core{'s' * (cores != 1)}")
        if exceeds_capacity(self.load_before, max(0, cores - self.threads)):
            needed = f"{min(self.threads, cores)} of {cores} cores"
            warnings.append(f"load average was {self.load_before:.2f} before the run, which needs {needed}")
        quota = self.device.get("cpu_quota")
        if isinstance(quota, (int, float)) and quota < self.threads:
            why = f"the kernel pauses {self.threads} thread{'s' * (self.threads != 1)} in every period"
            warnings.append(f"the control group allows {quota:g} of {cores} cores on average; {why}")
        kinds = _cores_by_kind(self.device)
        if len(kinds) > 1:
            pin = max(kinds.values(), key=lambda cores: cores[-1])
            hint = f"pin them, for example with taskset -c {','.join(map(str, pin))}"
            warnings.append(f"the runs used different cores, {' and '.join(kinds)}; {hint}")
        governor = self.device.get("governor")
        if governor not in (None, "performance"):
            warnings.append(f"the frequency governor is {governor!r}, not 'performance'")
        return tuple(warnings) + self.invalid()

    def invalid(self) -> tuple[str, ...]:
        """Return the warnings that forbid quoting these numbers: the device was throttled or loaded."""
        return warnings_for(self.conditions, capacity=max(int(self.device["cores"]), self.threads))

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """Return the measurement as JSON-compatible values; from_json() is the inverse.

        Args:
            samples: include the raw samples, if there are any.
        """
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
            "invoke": {**self.invoke.to_json(), **self._interval_fields()},
            "set_to_get": self.set_to_get.to_json(),
            "cpu": self.cpu.to_json(),
            **{name: stage.to_json() for name, stage in self._stages().items() if stage is not None},
            "rounds_p50_us": [p50_ns / 1000 for p50_ns in self.rounds_p50_ns],
            "conditions": [state.to_json() for state in self.conditions],
            "energy_mj": self.energy_mj,
            "peak_rss_bytes": self.peak_rss_bytes,
            "load_before": self.load_before,
            "load_after": self.load_after,
            JSON_KEYS["warnings"]: list(self.warnings()),
        }
        return fields | {"samples": self.samples.to_json()} if samples and self.samples else fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Measurement:
        """Create a measurement from the output of to_json(); warnings are computed again.

        Raises:
            DataError: not a measurement record, or a field is missing or has the wrong type.
            IncompatibleError: a later schema version.
        """
        record = schema.read(fields, KIND, SCHEMA_VERSION)

        def latency(key: str) -> Latency:
            return Latency.from_json(record.object(key))

        return cls(
            subject=schema.read_subject(record),
            device=schema.read_device(record),
            runtime=record.text("runtime"),
            runtime_version=record.text("runtime_version"),
            threads=record.integer("threads", low=1),
            kernels=record.text("kernels"),
            started_at=record.text("started_at"),
            harness_version=record.text("harness_version"),
            init_ns=read_nanoseconds(record, "init_us"),
            first_ns=read_nanoseconds(record, "first_us"),
            warmup=latency("warmup"),
            invoke=latency("invoke"),
            set_to_get=latency("set_to_get"),
            cpu=latency("cpu"),
            peak_rss_bytes=record.optional(record.count, "peak_rss_bytes"),
            load_before=record.optional(record.amount, "load_before"),
            load_after=record.optional(record.amount, "load_after"),
            samples=record.optional(lambda key: Samples.from_json(record.object(key)), "samples"),
            set=record.optional(latency, "set"),
            get=record.optional(latency, "get"),
            preprocess=record.optional(latency, "preprocess"),
            rounds_p50_ns=_round_medians(record),
            conditions=tuple(map(DeviceState.from_json, record.optional(record.objects, "conditions") or ())),
        )

    def _interval_fields(self) -> dict[str, Any]:
        interval = self.p50_interval
        if interval is None:
            return {"p50_interval_95_us": None, "p50_interval_confidence": None}
        bounds = [interval.low / 1000, interval.high / 1000]
        return {"p50_interval_95_us": bounds, "p50_interval_confidence": interval.confidence}

    def _stages(self) -> dict[str, Latency | None]:
        return {name: getattr(self, name) for name in STAGES}


def _round_medians(record: schema.Fields) -> tuple[int, ...]:
    medians = record.optional(record.numbers, "rounds_p50_us") or ()
    if not all(0 <= p50_us <= MAX_DURATION_US for p50_us in medians):
        raise record.invalid("rounds_p50_us", "microseconds")
    return tuple(round(p50_us * 1000) for p50_us in medians)


def _pool_devices(devices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the device of several rounds; its ``ran_on`` has the cores of all of them."""
    pooled = dict(devices[0])
    parts = [device["ran_on"] for device in devices if device.get("ran_on")]
    if parts:
        cores = sorted({core for part in parts for core in part["cores"]})
        names = dict.fromkeys(name for part in parts if part["cpu"] for name in part["cpu"].split(" and "))
        pooled["ran_on"] = {"cores": cores, "cpu": " and ".join(names) or None}
    return pooled


def _cores_by_kind(device: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return the cores of each kind among those that ran the model; empty if that is unknown."""
    ran_on, clusters = device.get("ran_on"), device.get("clusters")
    if not isinstance(ran_on, Mapping) or not isinstance(clusters, list):
        return {}
    kinds: dict[str, list[int]] = {}
    for cluster in clusters:
        if set(cluster["cores"]) & set(ran_on["cores"]):
            kinds.setdefault(cluster["cpu"], []).extend(cluster["cores"])
    return kinds
