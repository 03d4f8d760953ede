"""The table of instructions of one inference, counted on emulated processors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgefer.report.tables import Table
from edgefer.results.instructions import InstructionRecord, LatencyEstimate

__all__ = ["instruction_table"]

PROCESSORS = {"pi3": "Pi 3 (A53)", "pi4": "Pi 4 (A72)", "pi5": "Pi 5 (A76)"}
# Attributes of the counts, by header; a line break is for narrow tables.
CLASSES = {
    "int8\nMAC": "int8_mac", "float": "float", "load/\nstore": "load_store", "other": "other", "total": "total",
}  # fmt: skip
ESTIMATE = "estimate,\nms"
LEGEND = "Million instructions of one inference with one thread, {runtimes}, counted on emulated processors."
ESTIMATED = "Estimates are not measured. Mean error on networks left out of the fit, all larger than face classifiers: "


def instruction_table(records: Sequence[InstructionRecord]) -> Table:
    """Tabulate the records, one row per model, runtime and processor."""
    errors = list(dict.fromkeys(_error(estimate) for record in records for estimate in record.estimates.values()))
    runtimes = list(dict.fromkeys(record.runtime for record in records))
    has_runtime, is_estimated = len(runtimes) > 1, bool(errors)
    names = ("model", *(["runtime"] if has_runtime else []), "processor")
    narrow_headers = (*names, *CLASSES, *([ESTIMATE] if is_estimated else []))
    headers = tuple(header.replace("/\n", "/").replace("\n", " ") for header in narrow_headers)
    rows = [row for record in records for row in _rows(record, has_runtime=has_runtime, is_estimated=is_estimated)]
    legend = LEGEND.format(runtimes=" and ".join(runtimes))
    if is_estimated:
        legend += f" {ESTIMATED}{'; '.join(errors)}."
    columns = len(names)
    return Table(headers, rows, legend, text_columns=columns, narrow=Table(narrow_headers, rows, legend))


def _error(estimate: LatencyEstimate) -> str:
    return f"{estimate.board}: {100 * estimate.error:.0f} % of {estimate.tested} latencies"


def _rows(record: InstructionRecord, *, has_runtime: bool, is_estimated: bool) -> Iterator[list[str | None]]:
    model = str(record.subject.get("file", "")).removesuffix(".tflite")
    for key, counts in record.processors.items():
        millions = [f"{getattr(counts, name) / 1e6:.2f}" for name in CLASSES.values()]
        estimate = record.estimates.get(key)
        yield [
            model, *([record.runtime] if has_runtime else []), PROCESSORS.get(key, key), *millions,
            *([f"{estimate.latency_ms:.2f}" if estimate else None] if is_estimated else []),
        ]  # fmt: skip
