"""Results of commands, as a JSON record and as a text, and text tables.

    return Result({"kind": "bench", "schema_version": 1, ...}, table(["threads", "p50, us"], rows))

Commands do not print. The command line prints the record or the text, and sets the exit code.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.errors import EdgeferError
from edgefer.escaping import printable

__all__ = ["Result", "percent", "table"]

WIDTH = 80


@dataclass(frozen=True)
class Result:
    """The outcome of a command.

    Attributes:
        record: JSON values with ``kind`` and ``schema_version``; the keys contain the units.
        text: text for a terminal, at most 80 columns wide if the values fit; may be empty.
        failure: raised after the result was printed, for a result that misses a threshold of the user.
        save: writes further files after the result was printed, and returns a text that lists them, or an empty one.
    """

    record: Mapping[str, Any]
    text: str
    failure: EdgeferError | None = None
    save: Callable[[], str] | None = None


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Format rows as aligned columns: the first column is left-aligned, the others right-aligned, None is a dash."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    cells = [["-" if cell is None else printable(str(cell), kept="") for cell in row] for row in rows]
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index, header in enumerate(headers):
        # A long name may fold. A number must not: folded or cropped, it reads as another number.
        min_width = max((len(row[index]) for row in cells), default=0) if index else None
        grid.add_column(printable(header), justify="right" if index else "left", overflow="fold", min_width=min_width)
    for row in cells:
        grid.add_row(*row)
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, markup=False, emoji=False, highlight=False)
    console.print(grid, crop=False)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines()).strip("\n")


def percent(share: float | None) -> str | None:
    """Format a fraction as a percentage: 0.6543 is "65.43 %", None stays None."""
    return None if share is None else f"{100 * share:.2f} %"
