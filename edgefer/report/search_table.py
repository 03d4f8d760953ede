"""The table of the Pareto front of a search."""

from __future__ import annotations

from edgefer.report.tables import Table
from edgefer.report.terminal.search import cost_text, drawn_text, summary_sentences
from edgefer.results.architecture_search import ArchitectureSearch

__all__ = ["front_table"]


def front_table(record: ArchitectureSearch) -> Table:
    """Return the trials on the Pareto front, from the least expensive, with their drawn settings."""
    rows = [
        [
            str(trial.number),
            drawn_text(trial),
            f"{100 * (trial.accuracy or 0.0):.2f}",
            cost_text(trial.cost),
            f"{(trial.file_bytes or 0) / 1024:,.1f}",
        ]
        for trial in record.front()
    ]
    headers = ("trial", "drawn settings", f"int8 on {record.split_phrase}, %")
    legend = f"Search {record.name}. {' '.join(summary_sentences(record))}"
    narrow_rows = [[number, *values] for number, _, *values in rows]
    narrow = Table(("trial", "int8, %", record.unit, "KiB"), narrow_rows, legend)
    return Table((*headers, record.unit, "KiB"), rows, legend, narrow=narrow)
