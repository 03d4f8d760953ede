"""Render a report as Markdown, from the same sections as the HTML page.

    to_markdown(build_report(data))

Figures and the navigation are omitted; tables contain the numbers of every figure.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator

from edgefer.escaping import escape_markdown, printable
from edgefer.report.sections.blocks import (
    Block,
    BulletList,
    Cell,
    CellContent,
    Choice,
    Code,
    Columns,
    DataTable,
    Details,
    Heading,
    Paragraph,
)
from edgefer.report.sections.report import FOOTER, Report
from edgefer.report.tables import DOCUMENT_WIDTH, markdown_lines

__all__ = ["to_markdown"]


def to_markdown(report: Report) -> str:
    """Render a report as GitHub-flavored Markdown, with a final newline."""
    parts = [f"# {escape_markdown(report.title)}", _filled(report.introduction)]
    for _, section in report.sections:
        parts += [f"## {escape_markdown(section.title)}", *_blocks(section.blocks)]
    if report.missing:
        parts += ["## Not in this report", _bullets(f"{title}: {command}" for title, command in report.missing.items())]
    return "\n\n".join([*parts, FOOTER]) + "\n"


def _blocks(blocks: Iterable[Block]) -> Iterator[str]:
    for block in blocks:
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield _filled(block.text)
    elif isinstance(block, Heading):
        yield f"### {escape_markdown(block.text)}"
    elif isinstance(block, BulletList):
        yield _bullets(block.items)
    elif isinstance(block, Code):
        yield _fenced(block.text)
    elif isinstance(block, DataTable):
        yield _filled(block.caption)
        yield _table(block)
    elif isinstance(block, Details):
        yield f"#### {escape_markdown(block.title)}"
        yield from _blocks(block.blocks)
    elif isinstance(block, Choice):
        yield from _blocks(block.parts)
    elif isinstance(block, Columns):
        yield from _blocks(block.blocks)


def _table(table: DataTable) -> str:
    headers = [escape_markdown(header) for header in table.headers]
    rows = [[_cell(content) for content in row] for row in table.rows]
    return "\n".join(markdown_lines(headers, rows, text_columns=table.text_columns))


def _cell(content: CellContent) -> str | None:
    if content is None:
        return None
    return escape_markdown(content.text if isinstance(content, Cell) else str(content))


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {escape_markdown(item)}" for item in items)


def _fenced(text: str) -> str:
    text = printable(text, kept="\n")
    # A fence longer than any run of backquotes in the text cannot end early.
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{fence}\n{text}\n{fence}"


def _filled(text: str) -> str:
    return textwrap.fill(escape_markdown(text), DOCUMENT_WIDTH, break_long_words=False, break_on_hyphens=False)
