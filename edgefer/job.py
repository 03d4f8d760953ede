"""What a bench shall do on a device, in plain values, because it travels there as JSON.

    Job((Entry("small-int8.tflite"), Entry("small-float32.tflite")), rigour="standard", accuracy=0)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer import records

__all__ = ["RIGOURS", "Entry", "Job", "Rigour"]

# What is compared takes turns at least so often.
LEAST_ROUNDS = 5


@dataclass(frozen=True)
class Rigour:
    """How much is measured of each entry, over all rounds together.

    Attributes:
        runs, seconds: timed ones; both are reached.
        rounds: each in a fresh process; the p50 is the median of theirs.
    """

    runs: int
    seconds: float
    rounds: int


RIGOURS = {
    "quick": Rigour(1024, 3.0, 1),
    "standard": Rigour(1024, 10.0, 5),
    # 24,576 runs give the p90 with 99 % confidence: MLPerf Inference Rules, single stream.
    "mlperf": Rigour(24576, 0.0, 1),
}


@dataclass(frozen=True)
class Entry:
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
class Job:
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

    entries: tuple[Entry, ...]
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
    def settled(self) -> Rigour:
        """What the rigour comes to with what was given in its place; what is compared takes turns."""
        base = RIGOURS[self.rigour]
        rounds = self.rounds or base.rounds
        return Rigour(
            base.runs if self.runs is None else self.runs,
            base.seconds if self.seconds is None else self.seconds,
            max(rounds, LEAST_ROUNDS) if len(self.entries) > 1 and self.rounds is None else rounds,
        )

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; from_json() is its inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Job:
        """The inverse of to_json().

        Raises:
            IncompatibleError: a setting that this edgefer does not know; it came from a later one.
        """
        records.refuse_unknown(fields, cls.__dataclass_fields__, "the job")
        return cls(**{**fields, "entries": tuple(Entry(**each) for each in fields["entries"])})
