"""Render a search for architectures as text for a terminal.

    search_text(record)                             # counts, the Pareto front, importance of the settings, next step
    progress_line(record)                           # one line, for a log
"""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from edgefer.contract.split_names import split_title
from edgefer.results.architecture_search import (
    FAILED,
    INVALID,
    OVER_BUDGET,
    PENDING,
    STOPPED,
    ArchitectureSearch,
    Trial,
)
from edgefer.text_table import WIDTH, table

__all__ = ["cost_text", "drawn_text", "progress_line", "search_text", "summary_sentences"]

MAX_ROWS = 20
MAX_DRAWN = 40


def search_text(record: ArchitectureSearch, *, next_step: bool = True) -> str:
    """Render a search with its Pareto front, at most 80 columns wide where the values allow it.

    Args:
        record: the search.
        next_step: end with the command that uses the best trial.
    """
    front = record.front()
    lines = [*_wrapped(f"search {record.name}: {_counts(record)}"), *_budget(record)]
    lines += [line for note in _notes(record) for line in _wrapped(f"note: {note}")]
    if front:
        shown = front if len(front) <= MAX_ROWS else front[-MAX_ROWS:]
        split, layout = record.data.get("split", "accuracy"), record.data.get("layout")
        headers = ["drawn", "trial", f"{split_title(str(split), data=str(layout))}, %", record.unit, "KiB"]
        lines += ["", table(headers, [_row(trial, record) for trial in shown])]
        lines += [f"the {MAX_ROWS} most expensive of {len(front)}"] if len(front) > MAX_ROWS else []
    else:
        lines += ["no trial is complete"]
    lines += _importance(record.importance)
    if front and next_step:
        lines += ["", f"next: edgefer search --show {shlex.quote(record.name)} --best best.toml"]
    return "\n".join(lines)


def progress_line(record: ArchitectureSearch) -> str:
    """Return the counts and the most accurate trial in one line."""
    front = record.front()
    best = f"; best {_percent(front[-1].accuracy)} % at {cost_text(front[-1].cost)} {record.unit}" if front else ""
    return f"{_counts(record)}{best}"


def drawn_text(trial: Trial, *, prefix: bool = False) -> str:
    """Return the drawn values of a trial: "stem 12, learning_rate 0.0213"; ``prefix`` keeps "model." and the like."""
    return ", ".join(
        f"{name if prefix else name.rpartition('.')[2]} {_value(value)}" for name, value in trial.drawn.items()
    )


def summary_sentences(record: ArchitectureSearch) -> list[str]:
    """Return the counts, the space, the costs and the data of a search as sentences."""
    space, limits = record.space, _limits(record)
    faces = f"{space['faces']:,}" if space.get("faces") else "all"
    budget = f" Budget: {'; '.join(limits)}." if limits else ""
    return [
        f"{_counts(record)[0].upper()}{_counts(record)[1:]}.",
        f"Settings that are not drawn are those of {space.get('system')}.",
        f"Each trial trains for at most {space.get('epochs')} epochs on {faces} images.",
        f"Cost: {record.judge}.{budget}",
        *(f"{note[0].upper()}{note[1:]}." for note in _notes(record)),
    ]


def cost_text(cost: float | None) -> str:
    """Format a cost: three digits after a leading unit, or whole numbers with separators."""
    if cost is None:
        return "-"
    return f"{cost:,.0f}" if cost >= 1000 else f"{cost:.1f}"


def _counts(record: ArchitectureSearch) -> str:
    parts = [f"{record.trained} of {record.target} trained"]
    for state, name in ((STOPPED, "stopped early"), (FAILED, "failed")):
        parts += [f"{record.count(state)} {name}"] if record.count(state) else []
    running = sum(trial.state == PENDING and trial.cost is not None for trial in record.trials)
    parts += [f"{running} in training"] if running else []
    skipped = record.count(OVER_BUDGET)
    parts += [f"{skipped} over the budget"] if skipped else []
    parts += [f"{record.count(INVALID)} invalid or repeated"] if record.count(INVALID) else []
    return ", ".join(parts)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")


def _budget(record: ArchitectureSearch) -> list[str]:
    return _wrapped(f"cost: {'; '.join([record.judge, *_limits(record)])}")


def _notes(record: ArchitectureSearch) -> Iterator[str]:
    """Yield the number of costs that were measured with a warning, and the warnings of the first of them."""
    measured = [trial for trial in record.trials if trial.cost is not None]
    doubtful = [trial for trial in measured if trial.warnings]
    if doubtful:
        yield (
            f"{len(doubtful)} of {len(measured)} costs were measured with a warning; "
            f"trial {doubtful[0].number}: {'; '.join(doubtful[0].warnings)}"
        )


def _limits(record: ArchitectureSearch) -> list[str]:
    limits = [f"at most {cost_text(record.max_cost)} {record.unit}"] if record.max_cost else []
    return limits + ([f"at most {record.max_bytes:,} bytes"] if record.max_bytes else [])


def _row(trial: Trial, record: ArchitectureSearch) -> list[str]:
    values = [_value(trial.drawn[name]) for name in record.space["drawn"] if name in trial.drawn]
    return [
        textwrap.shorten(", ".join(values), MAX_DRAWN),
        str(trial.number),
        _percent(trial.accuracy),
        cost_text(trial.cost),
        f"{(trial.file_bytes or 0) / 1024:,.1f}",
    ]


def _importance(importance: Mapping[str, Mapping[str, float]]) -> Iterator[str]:
    if not importance:
        return
    names = dict.fromkeys(name for shares in importance.values() for name in shares)
    rows = [[name, *(_share(shares.get(name)) for shares in importance.values())] for name in names]
    yield ""
    yield "Share of the variance that a setting explains (fANOVA), %:"
    yield table(["setting", *importance], rows)


def _share(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.0f}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return "[" + " ".join(map(_value, value)) + "]"
    return str(value) if not isinstance(value, bool) else str(value).lower()
