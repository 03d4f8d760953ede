"""What came of a Job on a device.

    benched.measurements[0].p50_us, benched.comparisons[0].ratio
    benched.to_json()                               # what edgefer bench --out writes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer import records
from edgefer.conditions import Conditions
from edgefer.errors import DataError, MeasurementInvalid
from edgefer.evaluation import Evaluation
from edgefer.measurement import Measurement

__all__ = ["Benched", "Comparison", "Soaked"]

KIND = "bench"
# Version 1 had measurements alone.
SCHEMA_VERSION = 2


@dataclass(frozen=True)
class Comparison:
    """How much longer one takes than another that took turns with it.

    Attributes:
        first, second: positions among the measurements.
        ratio: p50 of the second over that of the first, the median over the rounds.
        interval: where that lies with 95 % confidence, by bootstrap over the rounds.
    """

    first: int
    second: int
    ratio: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class Soaked:
    """A few seconds out of a long run.

    Attributes:
        p50_us, p90_us: of the model alone, in that time.
        conditions: of the device at its end.
    """

    p50_us: float
    p90_us: float
    conditions: Conditions


@dataclass(frozen=True, eq=False)
class Benched:
    """The result of a bench on one device.

    Attributes:
        device: the name that the user gave it.
        measurements: one for each entry.
        comparisons: of each entry but the first with the first.
        evaluations: one for each model and runtime, where accuracy was asked for.
        soak: the first entry over time, where that was asked for.
        causes: why int8 is not faster than float here, where it is not; sentences.
    """

    device: str
    measurements: tuple[Measurement, ...]
    comparisons: tuple[Comparison, ...] = ()
    evaluations: tuple[Evaluation, ...] = ()
    soak: tuple[Soaked, ...] = ()
    causes: tuple[str, ...] = ()

    def invalid(self) -> tuple[str, ...]:
        """Why the numbers must not be quoted; empty where nothing speaks against them."""
        return tuple(dict.fromkeys(reason for each in self.measurements for reason in each.invalid()))

    def refusal(self) -> MeasurementInvalid | None:
        """What ``--strict`` ends with, or None where nothing speaks against the numbers."""
        reasons = self.invalid()
        if not reasons:
            return None
        fix = "a fan or a better power supply, and --cooldown"
        return MeasurementInvalid(f"the bench on {self.device} is invalid", why="; ".join(reasons), fix=fix)

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse but for the samples."""
        return {
            **records.stamp(KIND, SCHEMA_VERSION),
            "device": self.device,
            "measurements": [each.to_json(samples=samples) for each in self.measurements],
            "comparisons": [{**asdict(each), "interval": list(each.interval)} for each in self.comparisons],
            "evaluations": [each.to_json() for each in self.evaluations],
            "soak": [{**asdict(each), "conditions": each.conditions.to_json()} for each in self.soak],
            "causes": list(self.causes),
            "invalid": list(self.invalid()),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Benched:
        """The inverse of to_json(); version 1 is read too.

        Raises:
            DataError: not a bench, or one whose fields cannot be.
            IncompatibleError: a later schema version.
        """
        records.check(fields, KIND, SCHEMA_VERSION)
        measurements = tuple(Measurement.from_json(each) for each in fields["measurements"])
        if not measurements:
            raise DataError("a bench without measurements")
        return cls(
            str(fields.get("device", "local")),
            measurements,
            tuple(
                Comparison(**{**each, "interval": tuple(each["interval"])}) for each in fields.get("comparisons", ())
            ),
            tuple(Evaluation.from_json(each) for each in fields.get("evaluations", ())),
            tuple(
                Soaked(**{**each, "conditions": Conditions.from_json(each["conditions"])})
                for each in fields.get("soak", ())
            ),
            tuple(fields.get("causes", ())),
        )
