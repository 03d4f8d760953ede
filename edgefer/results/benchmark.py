"""Benchmark result: measurements, comparisons, accuracy and a soak test on one device.

    result.measurements[0].p50_us
    result.comparisons[0].ratio
    result.to_json()

``edgefer bench --output-dir`` writes the output of to_json() to a file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from edgefer.errors import EdgeferError, MeasurementInvalid
from edgefer.results import schema
from edgefer.results.device_state import DeviceState, merge_states, warnings_for
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement
from edgefer.statistics import median_interval

__all__ = ["BenchmarkResult", "Comparison", "SoakInterval", "compare_rounds", "merge_intervals"]

KIND = "bench"
# Version 1 had only measurements.
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Comparison:
    """Latency ratio of two cases that were measured alternately.

    Attributes:
        first, second: indices into the measurements.
        ratio: p50 of the second over p50 of the first, median over the rounds.
        interval: confidence interval of the ratio over the rounds, see edgefer.statistics.median_interval; None with
            fewer than 5 rounds.
        confidence: confidence level of the interval, in 0..1, or None.
        rounds: number of rounds.
    """

    first: int
    second: int
    ratio: float
    interval: tuple[float, float] | None
    confidence: float | None = None
    rounds: int = 0


@dataclass(frozen=True)
class SoakInterval:
    """A few seconds of a soak test.

    Attributes:
        p50_us, p90_us: inference latency in this interval, microseconds.
        conditions: device state while the model ran, near the end of the interval, with the highest temperature, the
            lowest clock and all reasons for throttling in it.
    """

    p50_us: float
    p90_us: float
    conditions: DeviceState


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
    """Result of a benchmark on one device.

    Attributes:
        device: name of the device in the registry, or "local".
        measurements: one per case.
        comparisons: every later case compared with the first.
        evaluations: one per model, runtime and kernels, if accuracy was requested.
        soak: intervals of the soak test of the first case, if requested.
        causes: sentences that explain why int8 is not faster than float here, if it is not.
        failure: the error that ended the benchmark after these parts were complete; empty for a complete benchmark.
    """

    device: str
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    soak: tuple[SoakInterval, ...] = ()
    causes: tuple[str, ...] = ()
    failure: str = ""

    def invalid(self) -> tuple[str, ...]:
        """Return the reasons against quoting these numbers, the soak test included; empty if there are none."""
        reasons = [reason for measurement in self.measurements for reason in measurement.invalid()]
        if self.soak:
            first, conditions = self.measurements[0], self.measurements[-1].conditions
            # The soak test itself was not throttled by what ended before it.
            states = [replace(state, throttled=()) for state in conditions[-1:]]
            states += [interval.conditions for interval in self.soak]
            capacity = max(int(first.device["cores"]), first.threads)
            reasons += [f"soak test: {reason}" for reason in warnings_for(states, capacity=capacity)]
        return tuple(dict.fromkeys(reasons))

    def refusal(self) -> MeasurementInvalid | None:
        """Return the error that ``--strict`` raises, or None if the numbers are valid."""
        reasons = self.invalid()
        if not reasons:
            return None
        hint = "add a fan or a stronger power supply, and use --cooldown"
        return MeasurementInvalid(f"the benchmark on {self.device} is invalid", why="; ".join(reasons), hint=hint)

    def incomplete(self, error: EdgeferError) -> BenchmarkResult:
        """Return this result with the error that prevented the other parts as its ``failure``."""
        return replace(self, failure=str(error).partition("\n")[0])

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """Return the result as JSON-compatible values; from_json() is the inverse.

        Args:
            samples: include the raw samples of each measurement.
        """
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            "device": self.device,
            "measurements": [measurement.to_json(samples=samples) for measurement in self.measurements],
            "comparisons": [
                {**asdict(comparison), "interval": list(comparison.interval) if comparison.interval else None}
                for comparison in self.comparisons
            ],
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
            "soak": [{**asdict(interval), "conditions": interval.conditions.to_json()} for interval in self.soak],
            "causes": list(self.causes),
            "invalid": list(self.invalid()),
            "failure": self.failure or None,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> BenchmarkResult:
        """Create a result from the output of to_json(), of this schema version or an earlier one.

        Raises:
            DataError: not a benchmark record, or a field has the wrong type.
            IncompatibleError: a later schema version.
        """
        record = schema.read(fields, KIND, SCHEMA_VERSION)
        measurements = tuple(map(Measurement.from_json, record.objects("measurements")))
        if not measurements:
            raise record.invalid("measurements", "at least one measurement")
        comparisons = record.optional(record.objects, "comparisons") or []
        return cls(
            device=record.optional(record.text, "device") or "local",
            measurements=measurements,
            comparisons=tuple(_read_comparison(entry, measurements) for entry in comparisons),
            evaluations=tuple(map(Evaluation.from_json, record.optional(record.objects, "evaluations") or ())),
            soak=tuple(map(_read_soak_interval, record.optional(record.objects, "soak") or ())),
            causes=record.optional(record.texts, "causes") or (),
            failure=record.optional(record.text, "failure") or "",
        )


def merge_intervals(intervals: Sequence[SoakInterval], *, most: int) -> tuple[SoakInterval, ...]:
    """Merge neighboring intervals of a soak test into at most ``most``; the last of them ends with the last interval.

    Each has the median p50, the highest p90 and the state of merge_states().
    """
    size = -(-len(intervals) // most) or 1
    groups = [intervals[start : start + size] for start in range(0, len(intervals), size)]
    return tuple(
        SoakInterval(
            p50_us=median(interval.p50_us for interval in group),
            p90_us=max(interval.p90_us for interval in group),
            conditions=merge_states([interval.conditions for interval in group]),
        )
        for group in groups
    )


def compare_rounds(measurements: Sequence[Measurement]) -> tuple[Comparison, ...]:
    """Compare every later measurement with the first, round by round; all have the same number of rounds."""
    return tuple(_compare(measurements, 0, second) for second in range(1, len(measurements)))


def _compare(measurements: Sequence[Measurement], first: int, second: int) -> Comparison:
    pairs = zip(measurements[first].rounds_p50_ns, measurements[second].rounds_p50_ns)
    ratios = [after / before for before, after in pairs if before]
    interval = median_interval(ratios)
    return Comparison(
        first,
        second,
        ratio=median(ratios) if ratios else 0.0,
        interval=(interval.low, interval.high) if interval else None,
        confidence=interval.confidence if interval else None,
        rounds=len(ratios),
    )


def _read_comparison(record: schema.Fields, measurements: Sequence[Measurement]) -> Comparison:
    """Read a comparison; the interval of a record without a confidence is computed again from the rounds."""
    last = len(measurements) - 1
    first, second = (record.integer(key, low=0, high=last) for key in ("first", "second"))
    ratio, interval = record.amount("ratio"), record.optional(record.interval, "interval")
    if "confidence" not in record:
        return replace(_compare(measurements, first, second), ratio=ratio)
    confidence = record.optional(record.share, "confidence")
    return Comparison(first, second, ratio, interval, confidence, record.count("rounds"))


def _read_soak_interval(record: schema.Fields) -> SoakInterval:
    conditions = DeviceState.from_json(record.object("conditions"))
    return SoakInterval(p50_us=record.amount("p50_us"), p90_us=record.amount("p90_us"), conditions=conditions)
