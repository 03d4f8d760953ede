"""A table of results that renders as Markdown for a document or as text for a terminal.

    table = Table(("model", "runtime", "Pi 4"), rows, "Million instructions per inference.", text_columns=2)
    table.markdown(), table.text()
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.escaping import escape_markdown
from edgefer.text_table import WIDTH, table

__all__ = ["DOCUMENT_WIDTH", "Cells", "Table", "escape_cells", "markdown_lines"]

DOCUMENT_WIDTH = 120
Cells = Sequence[Sequence[str | None]]
IN_CELL = str.maketrans({"|": "\\|", "<": "&lt;", "\n": " ", "\r": " "})


@dataclass(frozen=True)
class Table:
    """Rows under headers, with a legend that explains the columns.

    Attributes:
        headers: column headers.
        rows: cells of text; None renders as a dash.
        legend: sentences printed below the table.
        text_columns: number of columns, from the left, that contain text; the others contain numbers.
        narrow: a version for an 80-column terminal, where the full table is too wide.
        is_markdown: True if the cells contain Markdown; False to escape them.
    """

    headers: tuple[str, ...]
    rows: Cells
    legend: str = ""
    text_columns: int = 2
    narrow: Table | None = None
    is_markdown: bool = False

    def markdown(self) -> str:
        """Render GitHub-flavored Markdown, without a final newline."""
        rows = self.rows if self.is_markdown else escape_cells(self.rows)
        lines = markdown_lines([*map(escape_markdown, self.headers)], rows, text_columns=self.text_columns)
        legend = textwrap.fill(escape_markdown(self.legend), DOCUMENT_WIDTH)
        return "\n".join([*lines, *(["", legend] if legend else [])])

    def text(self) -> str:
        """Render for a terminal, at most 80 columns wide where the values allow it."""
        shown = self.narrow or self
        legend = [textwrap.fill(shown.legend, WIDTH, subsequent_indent="  ")] if shown.legend else []
        return "\n".join([table(shown.headers, shown.rows), *legend])


def escape_cells(rows: Cells) -> list[list[str | None]]:
    """Escape the text of cells for markdown_lines()."""
    return [[None if cell is None else escape_markdown(cell) for cell in row] for row in rows]


def markdown_lines(headers: Sequence[str], rows: Cells, *, text_columns: int = 2) -> list[str]:
    """Return the lines of a Markdown table.

    Args:
        headers: column headers, in Markdown.
        rows: cells in Markdown; None renders as a dash. Vertical bars are escaped here.
        text_columns: number of columns, from the left, that are left-aligned; the others are right-aligned.
    """
    rules = ["---" if index < text_columns else "---:" for index in range(len(headers))]
    lines = [headers, rules, *([cell or "-" for cell in row] for row in rows)]
    return [f"| {' | '.join(cell.translate(IN_CELL) for cell in line)} |" for line in lines]
