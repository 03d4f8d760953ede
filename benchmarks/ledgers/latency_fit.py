"""Predictions of the latency model on networks that were left out of its fit.

    fits = read_latency_fits(fields)                # from benchmarks/latency_model.py
    latency_fit_table(fits)

A record has ``kind`` "latency-fit", ``schema_version`` 1, and ``boards``: one object per processor.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.fleet.latency_model import DTYPES
from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import require

__all__ = ["LatencyFit", "latency_fit_table", "read_latency_fits"]

KIND = "latency-fit"
SCHEMA_VERSION = 1
NUMBER_OR_NONE = (int, float, type(None))
HEADERS = ("board", "network", "published, ms", "threads", "one thread, ms", "predicted, ms", "error, %")
CLASSES = {"int8_mac": "a", "float": "b", "load_store": "c", "other": "d"}
LEGEND = (
    "Published: with the threads of the publication. One thread: the same, or computed with the ratio of one to four "
    "threads. Predicted: with one thread, by a fit without this network in this dtype."
)


@dataclass(frozen=True)
class LatencyFit:
    """The fit of one board.

    Attributes:
        board: name and clock.
        cycles: cost of an instruction of each class.
        predictions: network, dtype, threads, published_ms, single_thread_ms, predicted_ms and without_family_ms.
    """

    board: str
    cycles: Mapping[str, float]
    predictions: tuple[Mapping[str, Any], ...]

    def errors(self, dtype: str, *, key: str = "predicted_ms") -> list[float]:
        """Return the relative errors of the predictions of a dtype."""
        return [
            abs(entry[key] / entry["single_thread_ms"] - 1)
            for entry in self.predictions
            if entry["dtype"] == dtype and entry[key] is not None
        ]


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
            times = dict.fromkeys(("published_ms", "single_thread_ms", "predicted_ms"), (int, float))
            require(prediction, network=str, dtype=str, threads=int, without_family_ms=NUMBER_OR_NONE, **times)
        fits.append(
            LatencyFit(
                f"{board.text('board')}, {board.amount('clock_ghz'):g} GHz",
                {key: cycles.amount(key) for key in CLASSES}, tuple(predictions),
            )
        )  # fmt: skip
    return tuple(fits)


def latency_fit_table(fits: Sequence[LatencyFit]) -> Table:
    """Tabulate the predictions, one row per published latency."""
    rows = [
        [
            fit.board, f"{entry['network']}-{entry['dtype']}", f"{entry['published_ms']:g}", str(entry["threads"]),
            f"{entry['single_thread_ms']:.1f}", f"{entry['predicted_ms']:.1f}",
            f"{100 * (entry['predicted_ms'] / entry['single_thread_ms'] - 1):+.0f}",
        ]
        for fit in fits
        for entry in fit.predictions
    ]  # fmt: skip
    return Table(HEADERS, rows, " ".join([LEGEND, *map(_describe, fits)]))


def _describe(fit: LatencyFit) -> str:
    cycles = ", ".join(f"{CLASSES[key]} = {value:.2f}" for key, value in fit.cycles.items())
    return f"{fit.board}: {cycles} cycles; {'; '.join(_describe_errors(fit, dtype) for dtype in DTYPES)}."


def _describe_errors(fit: LatencyFit, dtype: str) -> str:
    errors, apart = fit.errors(dtype), fit.errors(dtype, key="without_family_ms")
    text = f"{dtype} mean error {100 * statistics.mean(errors):.0f} %, largest {100 * max(errors):.0f} %"
    # Without its only family, a fit does not exist.
    return f"{text}, without the family {100 * statistics.mean(apart):.0f} %" if apart else text
