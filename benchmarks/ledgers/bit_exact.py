"""Cost of bit-exact scales: models with and without them.

    models = read_bit_exact(fields)                 # from benchmarks/bit_exact.py
    bit_exact_table(models)

A record has ``kind`` "bit-exact", ``schema_version`` 1, ``calibration_faces``, and ``models``: one object per model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.escaping import escape_markdown
from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import require
from ledgers.percent import percent_with_interval

__all__ = ["BitExactModel", "bit_exact_table", "read_bit_exact"]

KIND = "bit-exact"
SCHEMA_VERSION = 1
HEADERS = (
    "network", "bit-exact", "KiB", "PublicTest, % (95 % interval)", "same label as float, %", "kernels agree, %",
    "equal outputs, %",
)  # fmt: skip
LEGEND = (
    "int8, {n:,} PublicTest images. kernels agree: the lowest share of images that two kinds of kernels label alike; "
    "equal outputs: the lowest share of images with the same logits, to the bit. {kernels} kinds of kernels: XNNPACK, "
    "built-in and reference kernels of LiteRT and of other installed runtimes."
)


@dataclass(frozen=True)
class BitExactModel:
    """One int8 model.

    Attributes:
        name: name of the run.
        bit_exact: True if its scales are bit-exact.
        model_bytes: size of the file with its contract.
        correct, n: correct PublicTest faces, of how many.
        float_agreement: share of faces that the float network labels alike, in 0..1.
        kernels_agreement, kernels_identical: lowest share of faces with the same label, and with the same outputs, on
            two kinds of kernels, in 0..1.
        kernels_compared: number of kinds of kernels.
    """

    name: str
    bit_exact: bool
    model_bytes: int
    correct: int
    n: int
    float_agreement: float
    kernels_agreement: float
    kernels_identical: float
    kernels_compared: int


def read_bit_exact(fields: Mapping[str, Any]) -> tuple[BitExactModel, ...]:
    """Read a record of kind "bit-exact".

    Raises:
        DataError: the record has another kind, or an entry is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, calibration_faces=int, models=list)
    return tuple(map(_model, fields["models"]))


def _model(entry: Mapping[str, Any]) -> BitExactModel:
    require(
        entry, model=str, bit_exact=bool, model_bytes=int, correct=int, n=int, float_agreement=float,
        kernels_agreement=float, kernels_identical=float, kernels_compared=int,
    )  # fmt: skip
    if not 0 <= entry["correct"] <= entry["n"]:
        raise DataError(f"correct is {entry['correct']}", why=f"expected 0 to {entry['n']:,}, the number of faces")
    names = [field.name for field in dataclasses.fields(BitExactModel)][1:]
    return BitExactModel(entry["model"], **{name: entry[name] for name in names})


def bit_exact_table(models: tuple[BitExactModel, ...]) -> Table:
    """Tabulate the models, one row each, in the order of the record."""
    rows = []
    for model in models:
        rows.append([
            escape_markdown(model.name), "yes" if model.bit_exact else "no", f"{model.model_bytes / 1024:.0f}",
            percent_with_interval(model.correct, model.n, digits=2), f"{100 * model.float_agreement:.2f}",
            f"{100 * model.kernels_agreement:.2f}", f"{100 * model.kernels_identical:.1f}",
        ])  # fmt: skip
    legend = LEGEND.format(n=models[0].n, kernels=max(model.kernels_compared for model in models))
    return Table(HEADERS, rows, legend, text_columns=2, is_markdown=True)
