"""A table of results that knows how to stand in a document and in a terminal.

    found = Table(("model", "runtime", "Pi 4"), rows, "Million instructions of an inference.", names=2)
    found.markdown(), found.text()

What quantizing has cost, from the records of ``edgefer quantize`` and ``edgefer verify``: one table over networks.

    costs = [cost_of(record) for record in records]
    costs_table(costs, least_agreements)

Each row compares a model with its own float parent, image by image, so rows of different networks stand side by side.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgefer.text_table import WIDTH, table

__all__ = ["DOCUMENT_WIDTH", "Cells", "Cost", "Table", "cost_of", "costs_table", "markdown_lines", "safe"]

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


SHORT = ("model", "scheme", "KiB", "points (95 %)", "same\nlabel", "kernels\nagree", "p50 us")
LEGEND = (
    "points: accuracy on {split} against the float parent; same label: on how many of its {n} images the two agree, "
    "in %; kernels agree: the least top-1 agreement, in %, of XNNPACK, built-in and reference kernels of all runtimes."
)


@dataclass(frozen=True)
class Cost:
    """One quantized model against its float parent.

    Attributes:
        system, scheme: what it is.
        sha256: of the flatbuffer.
        file_bytes: with the contract.
        weight_bytes: of its weights alone.
        split, n: what both were scored on.
        difference_points, interval_points: accuracy, in percentage points, with its 95 % interval.
        p_value: McNemar's.
        agreement: share of images with the same label.
        parent_ece, own_ece: expected calibration error, in 0..1, of both without a temperature.
        p50_us: median latency where it was made, one thread.
    """

    system: str
    scheme: str
    sha256: str
    file_bytes: int
    weight_bytes: int
    split: str
    n: int
    difference_points: float
    interval_points: tuple[float, float]
    p_value: float
    agreement: float
    parent_ece: float
    own_ece: float
    p50_us: float


def cost_of(record: Mapping[str, Any]) -> Cost:
    """Read one record of kind "quantization"; KeyError, TypeError or ValueError where it is damaged."""
    verdict = record["verdict"]
    low, high = verdict["difference_interval_95_points"]
    return Cost(
        system=str(record["provenance"]["system"]),
        scheme=str(record["scheme"]),
        sha256=str(record["sha256"]),
        file_bytes=int(record["file_bytes"]),
        weight_bytes=int(record["weight_bytes"]),
        split=str(record["evaluation"]["split"]),
        n=int(verdict["n"]),
        difference_points=float(verdict["difference_points"]),
        interval_points=(float(low), float(high)),
        p_value=float(verdict["mcnemar_p"]),
        agreement=float(verdict["agreement"]),
        parent_ece=float(verdict["parent_ece"]),
        own_ece=float(verdict["own_ece"]),
        p50_us=float(record["measurement"]["invoke"]["p50_us"]),
    )


def costs_table(costs: Sequence[Cost], least_agreements: Mapping[str, float]) -> Table:
    """One row a model, at least one; ``least_agreements`` by the sha256 of the flatbuffer."""
    rows = [
        [
            each.system,
            each.scheme,
            f"{each.file_bytes / 1024:,.0f}",
            "{:+.2f} ({:+.1f} to {:+.1f})".format(each.difference_points, *each.interval_points),
            f"{100 * each.agreement:.2f}",
            f"{100 * least_agreements[each.sha256]:.2f}" if each.sha256 in least_agreements else None,
            f"{each.p50_us:,.0f}",
        ]
        for each in costs
    ]
    splits = " or ".join(dict.fromkeys(each.split for each in costs))
    counts = " or ".join(dict.fromkeys(f"{each.n:,}" for each in costs))
    legend = LEGEND.format(split=splits, n=counts)
    headers = tuple(header.replace("\n", " ") for header in SHORT)
    return Table(headers, rows, legend, narrow=Table(SHORT, rows, legend))
