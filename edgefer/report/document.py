"""Groups of models as tables for a terminal or for a document, and the place in a document where they go.

    text(groups)                                    # at most 80 columns
    markdown(groups)
    replace_section(document, markdown(groups), name="raspberry_pi_4")

A number in a document is rendered from a result file, never typed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from edgefer.errors import UsageError
from edgefer.report.comparison import Group, Row
from edgefer.report.tables import markdown_lines
from edgefer.text_table import WIDTH, table

__all__ = ["markdown", "replace_section", "text"]


def text(groups: Sequence[Group]) -> str:
    """One table a group, with what it holds for under it."""
    return "\n\n".join(_group_text(group) for group in groups)


def markdown(groups: Sequence[Group]) -> str:
    """The same as GitHub-flavoured Markdown; ends without a newline."""
    return "\n\n".join(_group_markdown(group) for group in groups)


def replace_section(document: str, content: str, *, name: str | None = None) -> str:
    """``document`` with ``content`` between its markers, for the section ``name`` where there are several.

    Raises:
        UsageError: the document does not hold both markers, once each and in order; the message says the lines to add.
    """
    begin, end = (f"<!-- {f'results {name}' if name else 'results'}:{side} -->" for side in ("begin", "end"))
    before, begins, rest = document.partition(begin)
    within, ends, after = rest.partition(end)
    if not begins or not ends or begin in within + after or end in before + after:
        raise UsageError(
            "the document has no single place for the results",
            why="what stands between two lines is replaced, and they are missing, twice there or out of order",
            hint=f"add these two lines to it, once:\n{begin}\n{end}",
        )
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def _group_text(group: Group) -> str:
    split = f"{group.evaluation.split} %" if group.evaluation else "accuracy"
    headers = ["model", "scheme", "KiB", split, "no\ntwins", "macro\nF1", "p50 us", "p90 us"]
    remarks = [
        f"{group.images}; 95 % intervals; no twins: without images that are in Training too" if group.images else None,
        group.circumstances,
        *(f"in doubt: {doubt}" for doubt in group.doubts()),
    ]
    lines = [textwrap.fill(remark, WIDTH, subsequent_indent="  ") for remark in remarks if remark]
    return "\n".join([table(headers, [_cells(row) for row in group.rows]), *lines])


def _group_markdown(group: Group) -> str:
    split = f"{group.evaluation.split}, % (95 % interval)" if group.evaluation else "accuracy, %"
    headers = ["model", "scheme", "KiB", split, "without twins of Training, %", "macro-F1, %", "p50, us", "p90, us"]
    lines = markdown_lines(headers, [_cells(row) for row in group.rows])
    held_for = ". ".join(part for part in (group.images, group.circumstances) if part)
    doubts = [f"- in doubt: {doubt}" for doubt in group.doubts()]
    return "\n".join([*lines, "", f"{held_for}.", *(["", *doubts] if doubts else [])])


def _cells(row: Row) -> list[str | None]:
    scored, timed = row.evaluation, row.measurement
    interval = scored.accuracy.interval if scored else None
    bounds = f" ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})" if interval else ""
    return [
        row.model,
        row.scheme,
        None if row.file_bytes is None else f"{row.file_bytes / 1024:,.0f}",
        f"{_percent(scored.accuracy.share)}{bounds}" if scored else None,
        _percent(scored.unseen.share) if scored and scored.unseen else None,
        _percent(scored.macro_f1) if scored else None,
        _microseconds(timed.p50_us) if timed else None,
        _microseconds(timed.p90_us) if timed else None,
    ]


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _microseconds(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"
