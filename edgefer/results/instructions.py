"""Record of the instructions of one inference, counted on emulated processors.

    counts = InstructionCounts(int8_mac=6_505_408, float=263_207, load_store=1_742_400, other=2_210_077)
    counts.total
    record = InstructionRecord(subject={...}, runtime="litert", processors={"pi4": counts})
    record.to_json()                                # from_json() is the inverse

Instructions are no times: processors execute several in one cycle, and wait for memory. An estimate of a latency is
kept apart from the counts, with the error of its model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from edgefer.results import schema

__all__ = ["InstructionCounts", "InstructionRecord", "LatencyEstimate"]

KIND = "instructions"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class InstructionCounts:
    """AArch64 instructions of one inference by class.

    Attributes:
        int8_mac: multiply-accumulates of integer vectors, such as SDOT and SMLAL.
        float: scalar and vector floating point.
        load_store: loads and stores of all registers.
        other: everything else, such as addresses, branches, shuffles and rounding.
    """

    int8_mac: int
    float: int
    load_store: int
    other: int

    @property
    def total(self) -> int:
        """Number of all instructions."""
        return self.int8_mac + self.float + self.load_store + self.other


@dataclass(frozen=True)
class LatencyEstimate:
    """Estimated latency with one thread; not a measurement.

    Attributes:
        board: board and clock, such as "Pi 4, 1.5 GHz".
        latency_ms: estimate in milliseconds.
        error: mean relative error on networks of this dtype that were left out of the fit, such as 0.2.
        tested: number of latencies of these networks.
    """

    board: str
    latency_ms: float
    error: float
    tested: int


@dataclass(frozen=True)
class InstructionRecord:
    """Instructions of one model.

    Attributes:
        subject: file, file_bytes, sha256 and scheme of the model.
        runtime: runtime that ran it.
        processors: counts by processor, such as "pi4".
        estimates: estimated latencies by processor; empty if none was requested.
    """

    subject: Mapping[str, Any]
    runtime: str
    processors: Mapping[str, InstructionCounts]
    estimates: Mapping[str, LatencyEstimate] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-compatible values; from_json() is the inverse."""
        return {
            **schema.header(KIND, SCHEMA_VERSION),
            "subject": dict(self.subject),
            "runtime": self.runtime,
            "processors": {
                name: {**asdict(counts), "total": counts.total} for name, counts in self.processors.items()
            },
            "estimates": {name: asdict(estimate) for name, estimate in self.estimates.items()},
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> InstructionRecord:
        """Create a record from the output of to_json().

        Raises:
            DataError: not such a record, or a field is missing or has the wrong type.
            IncompatibleError: a later schema version.
        """
        record = schema.read(fields, KIND, SCHEMA_VERSION)
        processors, estimates = record.object("processors"), record.optional(record.object, "estimates")
        return cls(
            subject=schema.read_subject(record),
            runtime=record.text("runtime"),
            processors={name: _read_counts(processors.object(name)) for name in processors},
            estimates={name: _read_estimate(estimates.object(name)) for name in estimates} if estimates else {},
        )


def _read_counts(record: schema.Fields) -> InstructionCounts:
    return InstructionCounts(
        int8_mac=record.count("int8_mac"), float=record.count("float"), load_store=record.count("load_store"),
        other=record.count("other"),
    )  # fmt: skip


def _read_estimate(record: schema.Fields) -> LatencyEstimate:
    return LatencyEstimate(
        board=record.text("board"), latency_ms=record.amount("latency_ms"), error=record.amount("error"),
        tested=record.count("tested"),
    )  # fmt: skip
