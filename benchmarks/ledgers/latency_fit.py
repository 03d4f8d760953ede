"""Predictions of the latency model on networks that were left out of its fit.

    fits = read_latency_fits(fields)                # from benchmarks/latency_model.py
    latency_fit_table(fits)

A record has ``kind`` "latency-fit", ``schema_version`` 1, and ``boards``: one object per processor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.report.tables import Table
from edgefer.results import schema

__all__ = ["LatencyFit", "latency_fit_table", "read_latency_fits"]

KIND = "latency-fit"
SCHEMA_VERSION = 1
HEADERS = ("board", "network", "published, ms", "threads", "predicted, ms", "error, %")
CLASSES = {"int8_mac": "a", "float": "b", "load_store": "c", "other": "d"}


@dataclass(frozen=True)
class LatencyFit:
    """The fit of one board.

    Attributes:
        board: name and clock.
        cycles: cost of an instruction of each class.
        error: mean relative error of the predictions.
        predictions: network, threads of the publication, latency_ms with one thread, and predicted_ms.
    """

    board: str
    cycles: Mapping[str, float]
    error: float
    predictions: tuple[Mapping[str, Any], ...]


def read_latency_fits(fields: Mapping[str, Any]) -> tuple[LatencyFit, ...]:
    """Read a record of kind "latency-fit".

    Raises:
        DataError: the record has another kind, or a field is missing or invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    boards = schema.read(fields, KIND, SCHEMA_VERSION).object("boards")
    fits = []
    for name in boards:
        board = boards.object(name)
        cycles, predictions = board.object("cycles"), board.objects("predictions")
        for prediction in predictions:
            schema.require(prediction, network=str, threads=int, latency_ms=(int, float), predicted_ms=(int, float))
        fits.append(
            LatencyFit(
                f"{board.text('board')}, {board.amount('clock_ghz'):g} GHz",
                {key: cycles.amount(key) for key in CLASSES}, board.amount("error"), tuple(predictions),
            )
        )  # fmt: skip
    return tuple(fits)


def latency_fit_table(fits: Sequence[LatencyFit]) -> Table:
    """Tabulate the predictions, one row per published latency."""
    rows = [
        [
            fit.board, prediction["network"], f"{prediction['latency_ms']:.1f}", str(prediction["threads"]),
            f"{prediction['predicted_ms']:.1f}",
            f"{100 * (prediction['predicted_ms'] / prediction['latency_ms'] - 1):+.0f}",
        ]
        for fit in fits
        for prediction in fit.predictions
    ]  # fmt: skip
    legend = " ".join(map(_describe, fits))
    return Table(HEADERS, rows, f"Latency with one thread; threads: those of the publication. {legend}")


def _describe(fit: LatencyFit) -> str:
    errors = [abs(entry["predicted_ms"] / entry["latency_ms"] - 1) for entry in fit.predictions]
    cycles = ", ".join(f"{CLASSES[key]} = {value:.2f}" for key, value in fit.cycles.items())
    return (
        f"{fit.board}: mean error {100 * fit.error:.0f} %, largest {100 * max(errors):.0f} %; "
        f"in cycles, fitted to all networks: {cycles}."
    )
