"""What a command gives back: a record for programs and a text for people, of the same facts.

    return Result({"kind": "bench", "schema_version": 1, ...}, table(["threads", "p50, us"], rows))

Commands print nothing themselves; the command line prints the one or the other and ends with the right exit code.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.errors import EdgeferError

__all__ = ["Result", "percent", "table"]

WIDTH = 80


@dataclass(frozen=True)
class Result:
    """The outcome of one command.

    Attributes:
        record: plain values with ``kind`` and ``schema_version``; units are in the names.
        text: for a terminal, at most 80 columns wide where the values allow it; empty where all has been said.
        failure: raised after the result was printed: it was reached, but a bound that the user set was not kept.
    """

    record: Mapping[str, Any]
    text: str
    failure: EdgeferError | None = None


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Aligned columns under ``headers``; the first is text, the others are right-aligned, None is a dash."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    cells = [["-" if cell is None else str(cell) for cell in row] for row in rows]
    grid = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for index, header in enumerate(headers):
        # A long name folds; a number that folds, or is cropped, is another number.
        least = max((len(row[index]) for row in cells), default=0) if index else None
        grid.add_column(header, justify="right" if index else "left", overflow="fold", min_width=least)
    for row in cells:
        grid.add_row(*row)
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, markup=False)
    console.print(grid, crop=False)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in written.splitlines()).strip("\n")


def percent(share: float | None) -> str | None:
    """0.6543 -> "65.43 %"; None stays None."""
    return None if share is None else f"{100 * share:.2f} %"
