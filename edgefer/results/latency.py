"""Latencies of one measurement: raw durations of all runs, and their summary as percentiles.

    latency = Latency.from_samples(samples.invoke_ns)
    latency.p50_ns, latency.p90_ns
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.results import schema
from edgefer.statistics import percentile

__all__ = ["MAX_DURATION_US", "NO_TIMES", "Latency", "Samples", "read_nanoseconds"]

# Fields of Samples that records of version 1 lack.
STAGE_SAMPLES = ("set_ns", "get_ns", "preprocess_ns")
# About 30 years, so that conversions to nanoseconds cannot overflow.
MAX_DURATION_US = 1e15
NO_TIMES = np.array([], np.int64)


@dataclass(frozen=True)
class Latency:
    """Summary of one kind of duration over many runs, as nearest-rank percentiles.

    Attributes:
        runs: number of runs.
        min_ns, p50_ns, p90_ns, p95_ns, p99_ns, max_ns: nanoseconds; p95 is None in records of version 1.
    """

    runs: int
    min_ns: int
    p50_ns: int
    p90_ns: int
    p99_ns: int
    max_ns: int
    p95_ns: int | None = None

    @classmethod
    def from_samples(cls, samples_ns: npt.NDArray[np.int64]) -> Latency:
        """Summarize durations, int64 (runs,) nanoseconds, runs >= 1."""
        p50, p90, p95, p99 = (int(percentile(samples_ns, percent)) for percent in (50, 90, 95, 99))
        least, most = int(samples_ns.min()), int(samples_ns.max())
        return cls(len(samples_ns), least, p50, p90, p99, most, p95)

    def to_json(self) -> dict[str, Any]:
        """Return the summary as JSON-compatible values in microseconds; from_json() is the inverse."""
        return {
            "runs": self.runs,
            "min_us": self.min_ns / 1000,
            "p50_us": self.p50_ns / 1000,
            # A key of earlier versions; the runs of one process are correlated and give no interval.
            "p50_interval_95_us": None,
            "p90_us": self.p90_ns / 1000,
            **({} if self.p95_ns is None else {"p95_us": self.p95_ns / 1000}),
            "p99_us": self.p99_ns / 1000,
            "max_us": self.max_ns / 1000,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Latency:
        """Create a summary from the output of to_json().

        Raises:
            DataError: a field is missing or not a duration.
        """
        record = schema.Fields(fields)
        record.optional(record.interval, "p50_interval_95_us")
        times = {f"{name}_ns": read_nanoseconds(record, f"{name}_us") for name in ("min", "p50", "p90", "p99", "max")}
        return cls(
            runs=record.integer("runs", low=1),
            p95_ns=record.optional(lambda key: read_nanoseconds(record, key), "p95_us"),
            **times,
        )


def read_nanoseconds(record: schema.Fields, key: str) -> int:
    """Return a duration of a record, which is in microseconds, in nanoseconds."""
    return round(record.number(key, low=0.0, high=MAX_DURATION_US) * 1000)


@dataclass(frozen=True, eq=False)
class Samples:
    """Raw durations in nanoseconds, one per run, in order.

    Attributes:
        warmup_ns: int64 (warm-ups,), from setting the input to reading the output.
        invoke_ns: int64 (runs,), inference alone.
        set_to_get_ns: int64 (runs,), from setting the input to reading the output.
        cpu_ns: int64 (runs,), CPU time of the calling thread over the same span.
        set_ns, get_ns: int64 (runs,), setting the input, reading the output; empty in records of version 1.
        preprocess_ns: int64 (m,), from a color crop of PREPROCESSED_SIDE pixels to the encoded input; empty in
            records of version 1.
    """

    warmup_ns: npt.NDArray[np.int64]
    invoke_ns: npt.NDArray[np.int64]
    set_to_get_ns: npt.NDArray[np.int64]
    cpu_ns: npt.NDArray[np.int64]
    set_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)
    get_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)
    preprocess_ns: npt.NDArray[np.int64] = field(default_factory=lambda: NO_TIMES)

    @classmethod
    def concatenate(cls, parts: Sequence[Samples]) -> Samples:
        """Concatenate the samples of several rounds."""
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])})

    def to_json(self) -> dict[str, list[int]]:
        """Return a list of integers per field; from_json() is the inverse."""
        return {name: samples.tolist() for name, samples in vars(self).items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Samples:
        """Create samples from the output of to_json().

        Raises:
            DataError: a list is missing or contains values other than integers.
        """
        record = schema.Fields(fields)
        samples = {name: np.array(record.integers(name), np.int64) for name in cls._required()}
        later = {name: np.array(record.integers(name), np.int64) for name in STAGE_SAMPLES if name in record}
        if not len(samples["invoke_ns"]):
            raise record.invalid("invoke_ns", "at least one integer")
        return cls(**samples, **later)

    @classmethod
    def _required(cls) -> list[str]:
        return [name for name in cls.__dataclass_fields__ if name not in STAGE_SAMPLES]
