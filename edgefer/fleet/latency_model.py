"""Estimate the latency of a model on a Raspberry Pi from the instructions of one inference.

    models = read_latency_models()
    models["pi4"].estimate(counts).latency_ms

A latency is the sum over the classes of instructions of their number times a cost in cycles, divided by the clock.
benchmarks/latency_model.py fits the costs to published latencies of public networks, and leaves each network out to
find the error. latency_model.json contains the costs, and benchmarks/README.md the sources.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgefer.results import schema
from edgefer.results.instructions import InstructionCounts, LatencyEstimate

__all__ = ["DTYPES", "KIND", "MODEL_FILE", "SCHEMA_VERSION", "FitError", "LatencyModel", "read_latency_models"]

MODEL_FILE = Path(__file__).with_name("latency_model.json")
KIND = "latency-model"
SCHEMA_VERSION = 1
DTYPES = ("float32", "int8")


@dataclass(frozen=True)
class FitError:
    """Error of a fit on networks of one dtype, each of which was left out once.

    Attributes:
        mean: mean relative error, such as 0.2.
        latencies: number of published latencies.
    """

    mean: float
    latencies: int


@dataclass(frozen=True)
class LatencyModel:
    """Cost of instructions on one board, with LiteRT and one thread.

    Attributes:
        board: name of the board.
        clock_ghz: its clock.
        cycles: cycles of an instruction of each class.
        errors: error by dtype, "float32" and "int8".
    """

    board: str
    clock_ghz: float
    cycles: Mapping[str, float]
    errors: Mapping[str, FitError]

    def estimate(self, counts: InstructionCounts) -> LatencyEstimate:
        """Estimate the latency of an inference; its error is that of the dtype that most multiplications have."""
        cycles = sum(self.cycles[name] * number for name, number in asdict(counts).items())
        error = self.errors["int8" if counts.int8_mac > counts.float else "float32"]
        return LatencyEstimate(
            board=f"{self.board}, {self.clock_ghz:g} GHz", latency_ms=cycles / (self.clock_ghz * 1e6), error=error.mean,
            tested=error.latencies,
        )  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON-compatible values."""
        return {
            "board": self.board, "clock_ghz": self.clock_ghz, "cycles": dict(self.cycles),
            "errors": {dtype: asdict(error) for dtype, error in self.errors.items()},
        }  # fmt: skip


def read_latency_models(path: Path = MODEL_FILE) -> dict[str, LatencyModel]:
    """Read the models by processor, such as "pi4".

    Raises:
        DataError: the file is damaged.
    """
    record = schema.read(schema.parse_json(path.read_bytes()), KIND, SCHEMA_VERSION).object("processors")
    return {name: _read(record.object(name)) for name in record}


def _read(record: schema.Fields) -> LatencyModel:
    cycles, errors = record.object("cycles"), record.object("errors")
    return LatencyModel(
        board=record.text("board"), clock_ghz=record.amount("clock_ghz"),
        cycles={name: cycles.amount(name) for name in InstructionCounts.__dataclass_fields__},
        errors={dtype: _read_error(errors.object(dtype)) for dtype in DTYPES},
    )  # fmt: skip


def _read_error(record: schema.Fields) -> FitError:
    return FitError(mean=record.amount("mean"), latencies=record.integer("latencies", low=1))
