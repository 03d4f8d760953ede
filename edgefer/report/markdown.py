"""Groups of models, and what quantizing cost, as tables for a terminal or for a document.

    text(groups), costs_text(results)               # at most 80 columns
    markdown(groups), costs_markdown(results)
    replace_section(document, markdown(groups), name="raspberry_pi_4")

A number in a document is rendered from a result file, never typed.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from edgefer.errors import UsageError
from edgefer.report.arm64 import arm64_tables
from edgefer.report.claims import CLAIM_HEADERS, claim_legend, claim_rows
from edgefer.report.comparison import Group, Row
from edgefer.report.costs import COST_HEADERS, COST_LEGEND, cost_rows
from edgefer.report.results import Results
from edgefer.result import WIDTH, table

__all__ = ["arm64_markdown", "claims_markdown", "costs_markdown", "costs_text", "markdown", "replace_section", "text"]

DOCUMENT_WIDTH = 120


def text(groups: Sequence[Group]) -> str:
    """One table a group, with what it holds for under it."""
    return "\n\n".join(_group_text(group) for group in groups)


def markdown(groups: Sequence[Group]) -> str:
    """The same as GitHub-flavoured Markdown; ends without a newline."""
    return "\n\n".join(_group_markdown(group) for group in groups)


def costs_text(results: Results) -> str:
    """One table of what quantizing has cost, with what its columns mean; empty where no such result is known."""
    if not results.costs:
        return ""
    legend = textwrap.fill(_legend(results), WIDTH, subsequent_indent="  ")
    return f"{table(COST_HEADERS, cost_rows(results.costs, results.least_agreements))}\n{legend}"


def costs_markdown(results: Results) -> str:
    """The same as GitHub-flavoured Markdown; ends without a newline."""
    if not results.costs:
        return ""
    headers = [header.replace("\n", " ") for header in COST_HEADERS]
    rows = cost_rows(results.costs, results.least_agreements)
    return "\n".join([*_markdown_table(headers, rows), "", textwrap.fill(f"{_legend(results)}.", DOCUMENT_WIDTH)])


def arm64_markdown(results: Results) -> str:
    """What an emulated board counted and answered, as GitHub-flavoured Markdown; empty without such a result."""
    tables = arm64_tables(results.arm64)
    return "\n\n".join("\n".join([*_markdown_table(headers, rows), "", text]) for headers, rows, text in tables)


def claims_markdown(results: Results) -> str:
    """Reference systems against their claims, as GitHub-flavoured Markdown; empty without such a result."""
    if not results.claims:
        return ""
    lines = _markdown_table(CLAIM_HEADERS, claim_rows(results.claims))
    return "\n".join([*lines, "", textwrap.fill(claim_legend(results.claims), DOCUMENT_WIDTH)])


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
            fix=f"add these two lines to it, once:\n{begin}\n{end}",
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
    lines = _markdown_table(headers, [_cells(row) for row in group.rows])
    held_for = ". ".join(part for part in (group.images, group.circumstances) if part)
    doubts = [f"- in doubt: {doubt}" for doubt in group.doubts()]
    return "\n".join([*lines, "", f"{held_for}.", *(["", *doubts] if doubts else [])])


def _legend(results: Results) -> str:
    return COST_LEGEND.format(split=results.costs[0].split, n=results.costs[0].n)


def _markdown_table(headers: Sequence[str], rows: Sequence[Sequence[str | None]]) -> list[str]:
    """Lines of a table whose columns behind the second are numbers."""
    rules = ["---", "---", *["---:"] * (len(headers) - 2)]
    lines = [headers, rules, *([cell or "-" for cell in row] for row in rows)]
    return [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines]


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
