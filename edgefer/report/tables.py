"""A table of results that renders as Markdown for a document or as text for a terminal.

    table = Table(("model", "runtime", "Pi 4"), rows, "Million instructions per inference.", text_columns=2)
    table.markdown(), table.text()
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.text_table import WIDTH, table

__all__ = ["DOCUMENT_WIDTH", "Cells", "Table", "escape_markdown", "markdown_lines"]

DOCUMENT_WIDTH = 120
Cells = Sequence[Sequence[str | None]]
IN_CELL = str.maketrans({"|": "\\|", "<": "&lt;", "\n": " ", "\r": " "})
SPECIAL = str.maketrans(
    {**{character: f"\\{character}" for character in "\\*`[]"}, "<": "&lt;", "&": "&amp;", "\n": " ", "\r": " "}
)


@dataclass(frozen=True)
class Table:
    """Rows under headers, with a legend that explains the columns.

    Attributes:
        headers: Column headers.
        rows: Cells of text; None renders as a dash.
        legend: Sentences printed below the table.
        text_columns: Number of columns, from the left, that hold text; the others hold numbers.
        narrow: A version for an 80-column terminal, where the full table is too wide.
    """

    headers: tuple[str, ...]
    rows: Cells
    legend: str = ""
    text_columns: int = 2
    narrow: Table | None = None

    def markdown(self) -> str:
        """Render GitHub-flavored Markdown, without a final newline."""
        lines = markdown_lines(self.headers, self.rows, text_columns=self.text_columns)
        return "\n".join([*lines, *(["", textwrap.fill(self.legend, DOCUMENT_WIDTH)] if self.legend else [])])

    def text(self) -> str:
        """Render for a terminal, at most 80 columns wide where the values allow it."""
        shown = self.narrow or self
        legend = [textwrap.fill(shown.legend, WIDTH, subsequent_indent="  ")] if shown.legend else []
        return "\n".join([table(shown.headers, shown.rows), *legend])


def markdown_lines(headers: Sequence[str], rows: Cells, *, text_columns: int = 2) -> list[str]:
    """Return the lines of a Markdown table; columns after the first ``text_columns`` are right-aligned."""
    rules = ["---" if index < text_columns else "---:" for index in range(len(headers))]
    lines = [headers, rules, *([cell or "-" for cell in row] for row in rows)]
    return [f"| {' | '.join(cell.translate(IN_CELL) for cell in line)} |" for line in lines]


def escape_markdown(text: str) -> str:
    """Escape text from a record for Markdown; markdown_lines() escapes vertical bars itself."""
    return text.translate(SPECIAL)
