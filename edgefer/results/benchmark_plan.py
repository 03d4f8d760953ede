"""Benchmark plan: the cases to measure, how long to measure each, and under which conditions.

    plan = BenchmarkPlan((BenchmarkCase("small-int8.tflite"), BenchmarkCase("small-float32.tflite")), preset="standard")
    plan.resolved                                   # MeasurementPreset(runs=1024, seconds=10.0, rounds=5)

A plan is sent to a board as JSON. This module does not import numpy, so `edgefer bench --help` runs without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.results import schema

__all__ = ["PRESETS", "BenchmarkCase", "BenchmarkPlan", "MeasurementPreset"]

# Fewer rounds give no confidence interval, see edgefer.statistics.median_interval.
MIN_COMPARISON_ROUNDS = 5
# Fields whose JSON key differs from their name; boards with an older edgefer read these keys.
JSON_KEYS = {"cases": "entries", "preset": "rigour"}


@dataclass(frozen=True)
class MeasurementPreset:
    """Amount of measurement per case, over all rounds together.

    Attributes:
        runs: minimum number of timed runs.
        seconds: minimum duration of the timed runs.
        rounds: number of fresh processes; the reported p50 is the median of their p50s.
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
    """A model and the configuration that runs it.

    Attributes:
        model: path of the model on the device.
        runtime: an entry of ``inference/runtimes``; None selects the best installed.
        threads: number of threads of the kernels.
        kernels: "default", "builtin" or "reference".
        python: path of the interpreter that has the runtime; empty for the one that runs the benchmark.
        faces: path of an .npz with the faces of this case, or None for those of the plan.
        name: name of the model in results; empty for the name of its file.
    """

    model: str
    runtime: str | None = None
    threads: int = 1
    kernels: str = "default"
    python: str = ""
    faces: str | None = None
    name: str = ""


@dataclass(frozen=True)
class BenchmarkPlan:
    """Cases and settings of a benchmark.

    Attributes:
        cases: several cases alternate round by round.
        faces: path of an .npz with faces, such as the test set; None uses the synthetic golden inputs.
        preset: a key of PRESETS.
        runs, seconds, rounds: override the preset where not None.
        accuracy: number of labeled faces to score; 0 for all, None to skip accuracy.
        cooldown_c: start each round below this temperature, degrees Celsius; None to start immediately.
        soak_s: seconds of continuous inference with the first case after the measurement.
        samples: include the time of every run in the result.
    """

    cases: tuple[BenchmarkCase, ...]
    faces: str | None = None
    preset: str = "quick"
    runs: int | None = None
    seconds: float | None = None
    rounds: int | None = None
    accuracy: int | None = None
    cooldown_c: float | None = None
    soak_s: float = 0.0
    samples: bool = False

    @property
    def resolved(self) -> MeasurementPreset:
        """The preset with this plan's overrides; a comparison gets at least MIN_COMPARISON_ROUNDS rounds."""
        base = PRESETS[self.preset]
        rounds = self.rounds or base.rounds
        return MeasurementPreset(
            base.runs if self.runs is None else self.runs,
            base.seconds if self.seconds is None else self.seconds,
            max(rounds, MIN_COMPARISON_ROUNDS) if len(self.cases) > 1 and self.rounds is None else rounds,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON-compatible values; from_json() is the inverse."""
        return {JSON_KEYS.get(name, name): value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> BenchmarkPlan:
        """Create a plan from the output of to_json().

        Raises:
            DataError: there is no case, or a setting has the wrong type.
            IncompatibleError: an unknown setting, written by a later edgefer.
        """
        names = {JSON_KEYS.get(name, name): name for name in cls.__dataclass_fields__}
        schema.refuse_unknown(fields, names, "the benchmark plan")
        given = schema.Fields(fields)
        record = schema.Fields({**cls(()).to_json(), **fields})
        cases = given.objects(JSON_KEYS["cases"])
        preset = record.text(JSON_KEYS["preset"])
        if preset not in PRESETS:
            raise record.invalid(JSON_KEYS["preset"], f"one of {', '.join(PRESETS)}")
        if not cases:
            raise given.invalid(JSON_KEYS["cases"], "at least one case")
        return cls(
            cases=tuple(map(_read_case, cases)),
            faces=record.optional(record.text, "faces"),
            preset=preset,
            runs=record.optional(record.count, "runs"),
            seconds=record.optional(record.amount, "seconds"),
            rounds=record.optional(record.count, "rounds"),
            accuracy=record.optional(record.count, "accuracy"),
            cooldown_c=record.optional(record.number, "cooldown_c"),
            soak_s=record.amount("soak_s"),
            samples=record.flag("samples"),
        )


def _read_case(fields: schema.Fields) -> BenchmarkCase:
    schema.refuse_unknown(fields, BenchmarkCase.__dataclass_fields__, "a case of the benchmark plan")
    record = schema.Fields({**asdict(BenchmarkCase("")), **fields})
    return BenchmarkCase(
        model=fields.text("model"),
        runtime=record.optional(record.text, "runtime"),
        threads=record.integer("threads", low=1),
        kernels=record.text("kernels"),
        python=record.text("python"),
        faces=record.optional(record.text, "faces"),
        name=record.text("name"),
    )
