"""Render groups of models as text or Markdown, and place Markdown between the markers of a document.

    text(groups)                                    # at most 80 columns
    markdown(groups)
    update_document(Path("README.md"), markdown(groups), section="raspberry_pi_4")

Numbers in documents are always rendered from result files.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from edgefer import files
from edgefer.errors import DataError, UsageError
from edgefer.escaping import escape_markdown
from edgefer.report.comparison import Group, Row
from edgefer.report.tables import escape_cells, markdown_lines
from edgefer.text_table import WIDTH, table

__all__ = ["markdown", "replace_section", "text", "update_document"]


def text(groups: Sequence[Group]) -> str:
    """Render one table per group for a terminal, with its conditions and warnings below."""
    return "\n\n".join(_group_text(group) for group in groups)


def markdown(groups: Sequence[Group]) -> str:
    """Render one table per group as GitHub-flavored Markdown, without a final newline."""
    return "\n\n".join(_group_markdown(group) for group in groups)


def replace_section(document: str, content: str, *, name: str | None = None) -> str:
    """Replace the text between two marker lines of a document.

    Args:
        document: the text of the document.
        content: the replacement.
        name: the section's name, for documents with several pairs of markers.

    Raises:
        UsageError: the document does not contain both markers, once each and in order; the hint shows the two lines.
    """
    begin, end = (f"<!-- {f'results {name}' if name else 'results'}:{side} -->" for side in ("begin", "end"))
    before, has_begin, remainder = document.partition(begin)
    inside, has_end, after = remainder.partition(end)
    if not has_begin or not has_end or begin in inside + after or end in before + after:
        raise UsageError(
            "the document has no unique place for the results",
            why="the two marker lines are missing, repeated or out of order",
            hint=f"add two lines to the document, once each: {begin} and {end}",
        )
    return f"{before}{begin}\n\n{content}\n\n{end}{after}"


def update_document(path: Path, content: str, *, section: str | None = None) -> None:
    """Replace the text between two marker lines of the document at ``path``, as replace_section() does.

    Raises:
        DataError: the document cannot be read.
        UsageError: the document does not contain both markers, once each and in order.
    """
    try:
        # read_text() would change the line endings of a document written on Windows.
        before = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        hint = "name an existing text file: --into README.md"
        raise DataError(f"cannot read {path}", why=str(error), hint=hint) from error
    try:
        after = replace_section(before, content, name=section)
    except UsageError as error:
        raise UsageError(f"{path}: {error.what}", why=error.why, hint=error.hint) from error
    files.write_text(path, after)


def _group_text(group: Group) -> str:
    split = f"{group.evaluation.split_name} %" if group.evaluation else "accuracy"
    headers = ["model", "scheme", "KiB", split, "no\ndups", "macro\nF1", "p50 us", "p90 us"]
    explained = "95 % intervals; no dups: excluding duplicates of Training images"
    remarks = [
        f"{group.images}; {explained}" if group.images else None,
        group.circumstances,
        *(f"warning: {warning}" for warning in group.warnings()),
    ]
    lines = [textwrap.fill(remark, WIDTH, subsequent_indent="  ") for remark in remarks if remark]
    return "\n".join([table(headers, [_cells(row) for row in group.rows]), *lines])


def _group_markdown(group: Group) -> str:
    split = f"{escape_markdown(group.evaluation.split_name)}, % (95 % interval)" if group.evaluation else "accuracy, %"
    headers = ("model", "scheme", "KiB", split, "without duplicates, %", "macro-F1, %", "p50, us", "p90, us")
    rows = escape_cells([_cells(row) for row in group.rows])
    conditions = ". ".join(part for part in (group.images, group.circumstances) if part)
    warnings = [f"- warning: {escape_markdown(warning)}" for warning in group.warnings()]
    lines = [*markdown_lines(headers, rows), "", f"{escape_markdown(conditions)}."]
    return "\n".join([*lines, *(["", *warnings] if warnings else [])])


def _cells(row: Row) -> list[str | None]:
    scored, timed = row.evaluation, row.measurement
    interval = scored.accuracy.interval if scored else None
    bounds = f" ({100 * interval[0]:.1f}-{100 * interval[1]:.1f})" if interval else ""
    return [
        row.model,
        row.scheme,
        None if row.file_bytes is None else f"{row.file_bytes / 1024:,.0f}",
        f"{_percent(scored.accuracy.share)}{bounds}" if scored else None,
        _percent(scored.deduplicated.share) if scored and scored.deduplicated else None,
        _percent(scored.macro_f1) if scored else None,
        _microseconds(timed.p50_us) if timed else None,
        _microseconds(timed.p90_us) if timed else None,
    ]


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f}"


def _microseconds(value: float) -> str:
    return f"{value:.1f}" if value < 1000 else f"{value:,.0f}"
