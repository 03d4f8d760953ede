"""Estimate the latency of a model on a Raspberry Pi from the instructions of one inference.

    models = read_latency_models()
    models["pi4"].estimate(counts).latency_ms

A latency is the sum over the classes of instructions of their number times a cost in cycles, divided by the clock.
benchmarks/latency_model.py fits the costs to published latencies of public networks, and leaves each network out to
find the error. latency_model.json contains the costs, and benchmarks/README.md the sources.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgefer.results import schema
from edgefer.results.instructions import InstructionCounts, LatencyEstimate

__all__ = ["MODEL_FILE", "LatencyModel", "read_latency_models"]

MODEL_FILE = Path(__file__).with_name("latency_model.json")
KIND = "latency-model"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class LatencyModel:
    """Cost of instructions on one board, with LiteRT and one thread.

    Attributes:
        board: name of the board.
        clock_ghz: its clock.
        cycles: cycles of an instruction of each class.
        error: mean relative error on networks that were left out of the fit.
        networks: number of networks in the fit.
    """

    board: str
    clock_ghz: float
    cycles: Mapping[str, float]
    error: float
    networks: int

    def estimate(self, counts: InstructionCounts) -> LatencyEstimate:
        """Estimate the latency of an inference."""
        cycles = sum(self.cycles[name] * number for name, number in asdict(counts).items())
        return LatencyEstimate(latency_ms=cycles / (self.clock_ghz * 1e6), error=self.error)

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON-compatible values."""
        return {**asdict(self), "cycles": dict(self.cycles)}


def read_latency_models(path: Path = MODEL_FILE) -> dict[str, LatencyModel]:
    """Read the models by processor, such as "pi4".

    Raises:
        DataError: the file is damaged.
    """
    record = schema.read(json.loads(path.read_bytes()), KIND, SCHEMA_VERSION).object("processors")
    return {name: _read(record.object(name)) for name in record}


def _read(record: schema.Fields) -> LatencyModel:
    cycles = record.object("cycles")
    return LatencyModel(
        board=record.text("board"), clock_ghz=record.amount("clock_ghz"),
        cycles={name: cycles.amount(name) for name in InstructionCounts.__dataclass_fields__},
        error=record.amount("error"), networks=record.integer("networks", low=1),
    )  # fmt: skip
