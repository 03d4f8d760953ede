"""The section on searches for architectures: the Pareto front, all trials, and what each setting is worth.

    search_section(data)
    parallel_axes(record, trials)                   # drawn settings, cost and accuracy
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from edgefer.report.report_data import ReportData
from edgefer.report.sections.blocks import (
    Axis,
    Block,
    CellContent,
    DataTable,
    Details,
    DotPlot,
    Heading,
    Paragraph,
    ParallelPlot,
    Section,
    number,
)
from edgefer.report.terminal.search import cost_text, drawn_text, summary_sentences
from edgefer.results.architecture_search import FINISHED, ArchitectureSearch, Trial

__all__ = ["parallel_axes", "search_section"]

# A range over more than this factor has a logarithmic axis.
MAX_LINEAR_RATIO = 10.0
MAX_TICKS = 6
FRONT_CAPTION = (
    "Each dot is a trial that was trained to the end and quantized to int8. Up is more accurate, left is less "
    "expensive. The line joins the Pareto front: no other trial beats these in both."
)
PARALLEL_CAPTION = (
    "Each line is a trial that was trained to the end. It crosses each axis at the value that the trial has there. The "
    "strong lines are the Pareto front. Scales of wide ranges are logarithmic."
)


def search_section(data: ReportData) -> Section | None:
    """Build the section; return None without a search."""
    searches = data.results.searches
    if not searches:
        return None
    blocks: list[Block] = []
    for record in searches:
        blocks += [Heading(f"Search {record.name}")] if len(searches) > 1 else []
        blocks += _blocks(record)
    return Section("architecture-search", "Architecture search", blocks)


def parallel_axes(record: ArchitectureSearch, trials: Sequence[Trial]) -> list[Axis]:
    """Return an axis for each drawn setting, for the cost and for the accuracy."""
    axes = [_axis(name, [trial.drawn.get(name) for trial in trials]) for name in record.space["drawn"]]
    costs, accuracies = [trial.cost for trial in trials], [_percent(trial.accuracy) for trial in trials]
    return [*axes, _axis(record.unit, costs), _axis("accuracy, %", accuracies)]


def _blocks(record: ArchitectureSearch) -> list[Block]:
    front = record.front()
    finished = [trial for trial in record.trials if trial.state == FINISHED]
    blocks: list[Block] = [Paragraph(" ".join(summary_sentences(record)))]
    if front:
        numbers = {trial.number for trial in front}
        is_front = [trial.number in numbers for trial in finished]
        blocks += [
            DotPlot(
                label=f"Accuracy over {record.unit} of {len(finished)} trials",
                caption=FRONT_CAPTION,
                points=[(trial.cost or 0.0, _percent(trial.accuracy) or 0.0) for trial in finished],
                strong=is_front,
                titles=(record.unit, f"accuracy on {record.split_phrase}, %"),
            ),
            _table("Pareto front", front, record),
            ParallelPlot(
                label=f"Parallel coordinates of {len(finished)} trials",
                caption=PARALLEL_CAPTION,
                axes=parallel_axes(record, finished),
                strong=is_front,
            ),
        ]
    blocks += [_importance(record)] if record.importance else []
    blocks += [Details(f"All {len(record.trials)} candidates", [_table("All candidates", record.trials, record)])]
    return blocks


def _table(caption: str, trials: Sequence[Trial], record: ArchitectureSearch) -> DataTable:
    has_state = any(trial.state != FINISHED for trial in trials)
    headers = ["trial", *(["state"] if has_state else []), "int8, %", "float, %", record.unit, "KiB", "epochs", "drawn"]
    rows: list[list[CellContent]] = [
        [
            str(trial.number),
            *([f"{trial.state}: {trial.reason}" if trial.reason else trial.state] if has_state else []),
            number(_percent(trial.accuracy)),
            number(_percent(trial.float_accuracy)),
            cost_text(trial.cost),
            None if trial.file_bytes is None else number(trial.file_bytes / 1024, 1),
            str(trial.epochs),
            drawn_text(trial, prefix=True),
        ]
        for trial in trials
    ]
    return DataTable(caption, headers, rows, text_columns=2 if has_state else 1)


def _importance(record: ArchitectureSearch) -> DataTable:
    names = dict.fromkeys(name for shares in record.importance.values() for name in shares)
    rows: list[list[CellContent]] = [
        [name, *(number(_percent(shares.get(name)), 0) for shares in record.importance.values())] for name in names
    ]
    caption = "Share of the variance that a setting explains (fANOVA), %"
    return DataTable(caption, ["setting", *record.importance], rows)


def _axis(title: str, values: Sequence[Any]) -> Axis:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known):
        return _number_axis(title, values, low=float(min(known)), high=float(max(known)))
    names = sorted({str(value) for value in known})
    positions = {name: index / max(1, len(names) - 1) for index, name in enumerate(names)}
    places = [None if value is None else positions[str(value)] for value in values]
    return Axis(title, tuple(places), {position: name for name, position in positions.items()})


def _number_axis(title: str, values: Sequence[Any], *, low: float, high: float) -> Axis:
    is_logarithmic = low > 0 and high / low > MAX_LINEAR_RATIO

    def place(value: float) -> float:
        if high == low:
            return 0.5
        if is_logarithmic:
            return math.log(value / low) / math.log(high / low)
        return (value - low) / (high - low)

    distinct = sorted({float(value) for value in values if value is not None})
    if len(distinct) > MAX_TICKS:
        distinct = [low, math.sqrt(low * high) if is_logarithmic else (low + high) / 2, high]
    ticks = {place(value): _tick(value) for value in distinct}
    return Axis(title, tuple(None if value is None else place(float(value)) for value in values), ticks)


def _tick(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
