"""Benchmark result: measurements, comparisons, accuracy and a soak test on one device.

    result.measurements[0].p50_us
    result.comparisons[0].ratio
    result.to_json()

``edgefer bench --output-dir`` writes the output of to_json() to a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.errors import MeasurementInvalid
from edgefer.results import schema
from edgefer.results.device_state import DeviceState
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement

__all__ = ["BenchmarkResult", "Comparison", "SoakInterval"]

KIND = "bench"
# Version 1 had only measurements.
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Comparison:
    """Latency ratio of two cases that were measured alternately.

    Attributes:
        first, second: indices into the measurements.
        ratio: p50 of the second over p50 of the first, median over the rounds.
        interval: 95 % confidence interval of the ratio, bootstrapped over the rounds.
    """

    first: int
    second: int
    ratio: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class SoakInterval:
    """A few seconds of a soak test.

    Attributes:
        p50_us, p90_us: inference latency in this interval, microseconds.
        conditions: device state sampled while the model ran, near the end of the interval.
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
    """

    device: str
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    soak: tuple[SoakInterval, ...] = ()
    causes: tuple[str, ...] = ()

    def invalid(self) -> tuple[str, ...]:
        """Return the reasons against quoting these numbers; empty if there are none."""
        return tuple(dict.fromkeys(reason for measurement in self.measurements for reason in measurement.invalid()))

    def refusal(self) -> MeasurementInvalid | None:
        """Return the error that ``--strict`` raises, or None if the numbers are valid."""
        reasons = self.invalid()
        if not reasons:
            return None
        hint = "add a fan or a stronger power supply, and use --cooldown"
        return MeasurementInvalid(f"the benchmark on {self.device} is invalid", why="; ".join(reasons), hint=hint)

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
                {**asdict(comparison), "interval": list(comparison.interval)} for comparison in self.comparisons
            ],
            "evaluations": [evaluation.to_json() for evaluation in self.evaluations],
            "soak": [{**asdict(interval), "conditions": interval.conditions.to_json()} for interval in self.soak],
            "causes": list(self.causes),
            "invalid": list(self.invalid()),
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
            comparisons=tuple(_read_comparison(entry, last=len(measurements) - 1) for entry in comparisons),
            evaluations=tuple(map(Evaluation.from_json, record.optional(record.objects, "evaluations") or ())),
            soak=tuple(map(_read_soak_interval, record.optional(record.objects, "soak") or ())),
            causes=record.optional(record.texts, "causes") or (),
        )


def _read_comparison(record: schema.Fields, *, last: int) -> Comparison:
    return Comparison(
        first=record.integer("first", low=0, high=last),
        second=record.integer("second", low=0, high=last),
        ratio=record.amount("ratio"),
        interval=record.interval("interval"),
    )


def _read_soak_interval(record: schema.Fields) -> SoakInterval:
    conditions = DeviceState.from_json(record.object("conditions"))
    return SoakInterval(p50_us=record.amount("p50_us"), p90_us=record.amount("p90_us"), conditions=conditions)
