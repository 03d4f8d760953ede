"""What a bench shall do on a device, in plain values, because it travels there as JSON.

    Job((Entry("small-int8.tflite"), Entry("small-float32.tflite")), rigour="standard", accuracy=0)

What came of a Job on a device.

    benched.measurements[0].p50_us, benched.comparisons[0].ratio
    benched.to_json()                               # what edgefer bench --out writes
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.errors import DataError, MeasurementInvalid
from edgefer.results import schema
from edgefer.results.device_state import DeviceState
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import Measurement

__all__ = ["PRESETS", "BenchmarkCase", "BenchmarkPlan", "BenchmarkResult", "Comparison", "MeasurementPreset", "SoakInterval"]

# What is compared takes turns at least so often.
LEAST_ROUNDS = 5


@dataclass(frozen=True)
class MeasurementPreset:
    """How much is measured of each entry, over all rounds together.

    Attributes:
        runs, seconds: timed ones; both are reached.
        rounds: each in a fresh process; the p50 is the median of theirs.
    """

    runs: int
    seconds: float
    rounds: int


PRESETS = {
    "quick": MeasurementPreset(1024, 3.0, 1),
    "standard": MeasurementPreset(1024, 10.0, 5),
    # 24,576 runs give the p90 with 99 % confidence: MLPerf Inference Rules, single stream.
    "mlperf": MeasurementPreset(24576, 0.0, 1),
}


@dataclass(frozen=True)
class BenchmarkCase:
    """One model, and what runs it.

    Attributes:
        model: path of the model, on the device.
        runtime: an entry of ``board/runtimes``; None for the best.
        threads, kernels: as BenchRequest.
        python: an interpreter there that has the runtime; empty for the one that runs the job.
    """

    model: str
    runtime: str | None = None
    threads: int = 1
    kernels: str = "default"
    python: str = ""


@dataclass(frozen=True)
class BenchmarkPlan:
    """What to measure, and how.

    Attributes:
        entries: those of several take turns, round by round.
        faces: path of an .npz with real faces, such as the test set; None takes drawn ones.
        rigour: one of RIGOURS.
        runs, seconds, rounds: in the place of the rigour's, where they are given.
        accuracy: of how many of the faces, which have labels; 0 for all, None for none.
        cooldown_c: wait before each round until the device is cooler than this, degrees Celsius.
        soak_s: afterwards run the first entry for so many seconds, and record how it does.
        samples: whether raw times come back.
    """

    entries: tuple[BenchmarkCase, ...]
    faces: str | None = None
    rigour: str = "quick"
    runs: int | None = None
    seconds: float | None = None
    rounds: int | None = None
    accuracy: int | None = None
    cooldown_c: float | None = None
    soak_s: float = 0.0
    samples: bool = False

    @property
    def settled(self) -> MeasurementPreset:
        """What the rigour comes to with what was given in its place; what is compared takes turns."""
        base = PRESETS[self.rigour]
        rounds = self.rounds or base.rounds
        return MeasurementPreset(
            base.runs if self.runs is None else self.runs,
            base.seconds if self.seconds is None else self.seconds,
            max(rounds, LEAST_ROUNDS) if len(self.entries) > 1 and self.rounds is None else rounds,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> BenchmarkPlan:
        """The inverse of to_json().

        Raises:
            IncompatibleError: a setting that this edgefer does not know; it came from a later one.
        """
        schema.refuse_unknown(fields, cls.__dataclass_fields__, "the job")
        return cls(**{**fields, "entries": tuple(BenchmarkCase(**each) for each in fields["entries"])})


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
class SoakInterval:
    """A few seconds out of a long run.

    Attributes:
        p50_us, p90_us: of the model alone, in that time.
        conditions: of the device at its end.
    """

    p50_us: float
    p90_us: float
    conditions: DeviceState


@dataclass(frozen=True, eq=False)
class BenchmarkResult:
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
    soak: tuple[SoakInterval, ...] = ()
    causes: tuple[str, ...] = ()

    def invalid(self) -> tuple[str, ...]:
        """Why the numbers must not be quoted; empty where nothing speaks against them."""
        return tuple(dict.fromkeys(reason for each in self.measurements for reason in each.invalid()))

    def refusal(self) -> MeasurementInvalid | None:
        """What ``--strict`` ends with, or None where nothing speaks against the numbers."""
        reasons = self.invalid()
        if not reasons:
            return None
        hint = "a fan or a better power supply, and --cooldown"
        return MeasurementInvalid(f"the bench on {self.device} is invalid", why="; ".join(reasons), hint=hint)

    def to_json(self, *, samples: bool = False) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse but for the samples."""
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            "device": self.device,
            "measurements": [each.to_json(samples=samples) for each in self.measurements],
            "comparisons": [{**asdict(each), "interval": list(each.interval)} for each in self.comparisons],
            "evaluations": [each.to_json() for each in self.evaluations],
            "soak": [{**asdict(each), "conditions": each.conditions.to_json()} for each in self.soak],
            "causes": list(self.causes),
            "invalid": list(self.invalid()),
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> BenchmarkResult:
        """The inverse of to_json(); version 1 is read too.

        Raises:
            DataError: not a bench, or one whose fields cannot be.
            IncompatibleError: a later schema version.
        """
        schema.validate(fields, KIND, SCHEMA_VERSION)
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
                SoakInterval(**{**each, "conditions": DeviceState.from_json(each["conditions"])})
                for each in fields.get("soak", ())
            ),
            tuple(fields.get("causes", ())),
        )
