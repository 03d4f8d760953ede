"""Record of ``edgefer verify``: the agreement of a model's outputs between runtimes, kernels and thread counts.

    parity.rows[3].top1_agreement, parity.rows[3].parting
    parity.least_agreement                          # between any two rows
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.results import schema

__all__ = ["Configuration", "Divergence", "Parity", "Row"]

KIND = "parity"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Configuration:
    """What runs a model.

    Attributes:
        runtime: an entry of ``board/runtimes``.
        kernels: "default", "builtin" or "reference"; see board/runtime.py.
        threads: how many the kernels may use.
        python: path of the interpreter that has the runtime; empty for this process.
    """

    runtime: str
    kernels: str = "default"
    threads: int = 1
    python: str = ""


@dataclass(frozen=True)
class Divergence:
    """The first operator whose result differs between two configurations.

    Attributes:
        op: its position in the main graph, in the order in which operators run.
        name: the operator.
        tensor: the name of its result in the file.
        faces: on how many faces the two were compared, all of them such that end in other outputs.
        differing: which share of the result's values differs, over these faces.
        largest_difference: the largest difference of a value.
        unit: of that difference: "steps" of an integer, or "values".
    """

    op: int
    name: str
    tensor: str
    faces: int
    differing: float
    largest_difference: float
    unit: str


@dataclass(frozen=True)
class Row:
    """One configuration, compared with the first that ran.

    What was not found out is None; of the first itself all comparisons are.

    Attributes:
        configuration: what ran the model.
        version: of the runtime.
        problem: why it did not run, or empty.
        golden_worst: how far the golden vectors are off their nearer record, in the unit of the outputs.
        golden_ok: whether that is within the tolerance of the contract.
        identical: share of faces all of whose outputs are equal.
        largest_difference: of an output, in the same unit.
        top1_agreement: share of faces that get the same label.
        parting: the first operator that differs; None also where no output does.
        parting_problem: why that was not found out, or empty.
    """

    configuration: Configuration
    version: str | None = None
    problem: str = ""
    golden_worst: float | None = None
    golden_ok: bool | None = None
    identical: float | None = None
    largest_difference: float | None = None
    top1_agreement: float | None = None
    parting: Divergence | None = None
    parting_problem: str = ""


@dataclass(frozen=True)
class Parity:
    """A model in every configuration.

    Attributes:
        subject: sha256, size and scheme of the model.
        data: what the faces are, for people; empty where the golden vectors stood for them.
        faces: how many there are.
        golden_vectors, golden_tolerance: how many the contract has, and how far off it lets them be.
        unit: of outputs: "steps" or "logits".
        pythons: version of Python and numpy behind each ``python`` of a configuration; the empty one is this process.
        rows: in the order in which they ran.
        least_agreement: the least top-1 agreement of any two rows, or None where fewer than two ran.
        least_pair: which two, as positions in ``rows``.
    """

    subject: Mapping[str, Any]
    data: str
    faces: int
    golden_vectors: int
    golden_tolerance: float
    unit: str
    pythons: Mapping[str, str]
    rows: tuple[Row, ...]
    least_agreement: float | None
    least_pair: tuple[int, int] | None

    @property
    def failed(self) -> tuple[Row, ...]:
        """Rows that did not run."""
        return tuple(row for row in self.rows if row.problem)

    @property
    def beyond(self) -> tuple[Row, ...]:
        """Rows whose golden vectors are further off than the contract tolerates."""
        return tuple(row for row in self.rows if row.golden_ok is False)

    def to_json(self) -> dict[str, Any]:
        """A dict of plain values; a difference that is no number (an output was none) is None."""
        return {**schema.header(KIND, SCHEMA_VERSION), **_plain(asdict(self))}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
