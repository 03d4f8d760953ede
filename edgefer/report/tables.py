"""A table of results that knows how to stand in a document and in a terminal.

    found = Table(("model", "runtime", "Pi 4"), rows, "Million instructions of an inference.", names=2)
    found.markdown(), found.text()
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.result import WIDTH, table

__all__ = ["DOCUMENT_WIDTH", "Cells", "Table", "markdown_lines", "safe"]

DOCUMENT_WIDTH = 120
Cells = Sequence[Sequence[str | None]]
IN_CELL = str.maketrans({"|": "\\|", "<": "&lt;", "\n": " ", "\r": " "})
SPECIAL = str.maketrans({**{each: f"\\{each}" for each in "\\*`[]"}, "<": "&lt;", "&": "&amp;", "\n": " ", "\r": " "})


@dataclass(frozen=True)
class Table:
    """Rows under headers, with what they mean.

    Attributes:
        headers: of the columns.
        rows: cells of text; None is a dash.
        legend: sentences that stand under it.
        names: how many columns from the left are text; the others are numbers.
        narrow: the same for a terminal, where it is too wide for one.
    """

    headers: tuple[str, ...]
    rows: Cells
    legend: str = ""
    names: int = 2
    narrow: Table | None = None

    def markdown(self) -> str:
        """GitHub-flavoured Markdown; ends without a newline."""
        lines = markdown_lines(self.headers, self.rows, names=self.names)
        return "\n".join([*lines, *(["", textwrap.fill(self.legend, DOCUMENT_WIDTH)] if self.legend else [])])

    def text(self) -> str:
        """For a terminal, at most 80 columns wide where the values allow it."""
        shown = self.narrow or self
        legend = [textwrap.fill(shown.legend, WIDTH, subsequent_indent="  ")] if shown.legend else []
        return "\n".join([table(shown.headers, shown.rows), *legend])


def markdown_lines(headers: Sequence[str], rows: Cells, *, names: int = 2) -> list[str]:
    """Lines of a table whose columns behind the first ``names`` are numbers."""
    rules = ["---" if index < names else "---:" for index in range(len(headers))]
    lines = [headers, rules, *([cell or "-" for cell in row] for row in rows)]
    return [f"| {' | '.join(cell.translate(IN_CELL) for cell in line)} |" for line in lines]


def safe(text: str) -> str:
    """``text`` from a record, so that Markdown makes nothing else of it; its bars are left to markdown_lines()."""
    return text.translate(SPECIAL)
