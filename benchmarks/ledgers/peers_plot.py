"""The shipped models and models of other projects, drawn as accuracy against instructions per inference.

    peers_svg(peer_rows(peers, ...))                # an <svg> element, for a file
"""

from __future__ import annotations

from collections.abc import Sequence

from edgefer.report.html.markup import Html
from ledgers.peers import COUNTS, PeerRow
from ledgers.scatter import Mark, scatter_svg

__all__ = ["peers_svg"]

BOARD = "Pi 4"


def peers_svg(rows: Sequence[PeerRow]) -> Html:
    """Draw PublicTest accuracy against instructions on the emulated Pi 4, for the rows that have both."""
    board = list(COUNTS).index(BOARD)
    marks = [
        _mark(row, row.counts[board], row.public)
        for row in rows
        if row.counts[board] is not None and row.public is not None
    ]
    return scatter_svg(
        marks,
        title=f"Accuracy against instructions per inference on a {BOARD}, of {len(marks)} quantized models",
        x_label=f"million instructions per inference on a {BOARD}, emulated, logarithmic",
        y_label="PublicTest accuracy, %, with 95 % interval where measured here",
        empty=f"no model with instructions on a {BOARD}",
    )


def _mark(row: PeerRow, millions: float, percent: float) -> Mark:
    ships = ", ships with edgefer" if row.ships else ""
    tooltip = f"{row.name}{ships}: {percent:.2f} %, {millions:.1f} M instructions"
    return Mark(row.name, millions, percent, tooltip, ships=row.ships, named=True, interval=row.interval)
