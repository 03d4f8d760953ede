"""Record of ``edgefer verify``: the agreement of a model's outputs between runtimes, kernels and thread counts.

    parity.rows[3].top1_agreement, parity.rows[3].divergence
    parity.least_agreement                          # between any two rows

Row 0 is the reference of the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from edgefer.results import schema

__all__ = ["Configuration", "Divergence", "Parity", "Row", "read_least_agreement"]

KIND = "parity"
SCHEMA_VERSION = 1


# Fields of a row whose JSON key differs from their name.
ROW_JSON_KEYS = {"divergence": "parting", "divergence_problem": "parting_problem"}


@dataclass(frozen=True)
class Configuration:
    """Runtime and kernels that run a model.

    Attributes:
        runtime: an entry of ``inference/runtimes``.
        kernels: "default", "builtin" or "reference".
        threads: number of threads of the kernels.
        python: path of the interpreter that has the runtime; empty for this process.
    """

    runtime: str
    kernels: str = "default"
    threads: int = 1
    python: str = ""


@dataclass(frozen=True)
class Divergence:
    """The first operator whose output differs between two configurations.

    Attributes:
        op: position of the operator in the main graph, in execution order.
        name: name of the operator.
        tensor: name of its output tensor in the file.
        faces: number of compared faces, all of which lead to different model outputs.
        differing: share of the output values that differ over these faces, in 0..1.
        largest_difference: largest difference of a value, in ``unit``.
        unit: "steps" of an integer, or "values".
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
    """One configuration, compared with the first one that ran; an unknown value is None.

    Attributes:
        configuration: runtime and kernels.
        version: version of the runtime.
        problem: reason why the configuration did not run, or empty.
        golden_worst: largest difference from the nearer golden record, in the unit of the outputs.
        golden_ok: True if ``golden_worst`` is within the tolerance of the contract.
        identical: share of faces whose outputs are all equal, in 0..1.
        largest_difference: largest difference of an output, in the same unit.
        top1_agreement: share of faces with the same label, in 0..1.
        divergence: first operator that differs; None also if all outputs are equal.
        divergence_problem: reason why the operator is unknown, or empty.
    """

    configuration: Configuration
    version: str | None = None
    problem: str = ""
    golden_worst: float | None = None
    golden_ok: bool | None = None
    identical: float | None = None
    largest_difference: float | None = None
    top1_agreement: float | None = None
    divergence: Divergence | None = None
    divergence_problem: str = ""


@dataclass(frozen=True)
class Parity:
    """Outputs of a model in every configuration.

    Attributes:
        subject: sha256, size and scheme of the model.
        data: description of the faces; empty if the golden vectors replaced them.
        faces: number of faces.
        golden_vectors: number of golden vectors.
        golden_tolerance: largest difference from them that the contract allows.
        unit: unit of the outputs, "steps" or "logits".
        pythons: versions of Python and numpy by the ``python`` of a configuration; the empty key is this process.
        rows: one per configuration, in execution order.
        least_agreement: lowest top-1 agreement of any two rows, in 0..1; None if fewer than two ran.
        least_pair: positions of these two rows.
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
    def outside_tolerance(self) -> tuple[Row, ...]:
        """Rows whose golden vectors differ by more than the contract allows."""
        return tuple(row for row in self.rows if row.golden_ok is False)

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-compatible values; a difference that is not finite is None."""
        rows = [{ROW_JSON_KEYS.get(name, name): value for name, value in asdict(row).items()} for row in self.rows]
        return {**schema.header(KIND, SCHEMA_VERSION), **_replace_not_finite({**asdict(self), "rows": rows})}


def read_least_agreement(fields: Mapping[str, Any]) -> tuple[str, float | None]:
    """Return the SHA-256 of the model and the lowest top-1 agreement, in 0..1 or None, of a parity record.

    Raises:
        DataError: not a parity record, or a field is missing or invalid.
        IncompatibleError: a later schema version.
    """
    record = schema.read(fields, KIND, SCHEMA_VERSION)
    sha256 = record.object("subject").text("sha256")
    is_null = record.get("least_agreement", 0.0) is None
    return sha256, None if is_null else record.share("least_agreement")


def _replace_not_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _replace_not_finite(nested) for name, nested in value.items()}
    if isinstance(value, (list, tuple)):
        return [_replace_not_finite(nested) for nested in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
