"""The building blocks of a report section, independent of any output format.

    Section("latency", "Latency", [Paragraph("Times of the model alone."), DataTable("Latency", HEADERS, rows)])

Two renderers consume sections: html/page.py and markdown.py. The Markdown renderer omits figures, so every number
in a figure must also be in a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy.typing as npt

from edgefer.report.tables import Table

__all__ = [
    "Axis", "Bar", "Block", "BulletList", "Cell", "CellContent", "Choice", "Code", "Columns", "DataTable", "Details",
    "DotPlot", "Drawing", "Heading", "Histogram", "LineChart", "Paragraph", "ParallelPlot", "ScatterPlot", "Section",
    "number", "signed", "table_blocks",
]  # fmt: skip


@dataclass(frozen=True)
class Bar:
    """A bar below a number.

    Attributes:
        share: filled part of the cell, in 0..1.
        series: name of the series, which selects the color; empty for the default.
    """

    share: float
    series: str = ""


@dataclass(frozen=True)
class Cell:
    """A table cell with more than plain text.

    Attributes:
        text: the text.
        style: "better", "worse", "strong" or "code"; None for plain text.
        bar: a bar below the text.
        shade: strength of the background in -1..1; negative values use the second color. None for no background.
    """

    text: str
    style: str | None = None
    bar: Bar | None = None
    shade: float | None = None


CellContent: TypeAlias = "str | int | Cell | None"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of text."""

    text: str


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class BulletList:
    """A bullet list.

    Attributes:
        items: one text per bullet.
        is_warning: True to render the list as warnings.
    """

    items: Sequence[str]
    is_warning: bool = False


@dataclass(frozen=True)
class Code:
    """Preformatted text."""

    text: str


@dataclass(frozen=True)
class DataTable:
    """A table with a caption.

    Attributes:
        caption: title of the table; screen readers announce it.
        headers: column headers.
        rows: cells; the first one of a row is its header, None renders as a dash.
        text_columns: number of columns, from the left, that contain text; the others contain numbers.
        is_matrix: True for a confusion matrix, whose column headers are class names.
    """

    caption: str
    headers: Sequence[str]
    rows: Sequence[Sequence[CellContent]]
    text_columns: int = 1
    is_matrix: bool = False


@dataclass(frozen=True)
class LineChart:
    """Lines over epochs or over given positions.

    Attributes:
        label: description for screen readers.
        caption: text below the chart.
        series: values of each line, by name.
        positions: position of each value on the horizontal axis; None for epochs 1, 2, ...
        marked: position of a vertical line; None for no line.
        marked_name: meaning of the vertical line.
    """

    label: str
    caption: str
    series: Mapping[str, Sequence[float]]
    positions: Sequence[float] | None = None
    marked: int | None = None
    marked_name: str = ""


@dataclass(frozen=True, eq=False)
class Histogram:
    """A distribution of samples, with a named line at each mark.

    Attributes:
        label: description for screen readers.
        caption: text below the histogram.
        samples: numbers (n,).
        marks: values to mark, by name.
    """

    label: str
    caption: str
    samples: npt.NDArray[Any]
    marks: Mapping[str, float]


@dataclass(frozen=True)
class ScatterPlot:
    """The interactive plot of accuracy against another quantity, drawn by plot.js.

    Attributes:
        caption: text below the plot.
        points: one mapping of plain values per model and device.
        axes: titles of the selectable horizontal axes, by field of the points.
        devices: selectable devices.
        images: selectable sets of images.
    """

    caption: str
    points: Sequence[Mapping[str, Any]]
    axes: Mapping[str, str]
    devices: Sequence[str]
    images: Sequence[str]


@dataclass(frozen=True)
class Drawing:
    """A finished SVG drawing.

    Attributes:
        svg: an <svg> element. Its author must escape the text in it.
        caption: text below the drawing.
    """

    svg: str
    caption: str


@dataclass(frozen=True)
class DotPlot:
    """Points, of which some are joined by a line.

    Attributes:
        label: description for screen readers.
        caption: text below the plot.
        points: horizontal and vertical position of each point.
        strong: True for each point on the line.
        titles: titles of the horizontal and of the vertical axis.
    """

    label: str
    caption: str
    points: Sequence[tuple[float, float]]
    strong: Sequence[bool]
    titles: tuple[str, str]


@dataclass(frozen=True)
class Axis:
    """An axis of a ParallelPlot.

    Attributes:
        title: name of the quantity.
        places: position of each line on the axis, in 0..1; None for a line without a value.
        ticks: names of positions.
    """

    title: str
    places: tuple[float | None, ...]
    ticks: Mapping[float, str]


@dataclass(frozen=True)
class ParallelPlot:
    """Parallel coordinates: a line per item across one axis per quantity.

    Attributes:
        label: description for screen readers.
        caption: text below the plot.
        axes: axes, from left to right.
        strong: True for each line to emphasize.
    """

    label: str
    caption: str
    axes: Sequence[Axis]
    strong: Sequence[bool]


@dataclass(frozen=True)
class Columns:
    """Blocks side by side where the width allows it."""

    blocks: Sequence[Block]


@dataclass(frozen=True)
class Details:
    """Blocks that unfold under a title."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Choice:
    """Several foldable parts, of which the reader selects one.

    Attributes:
        name: unique name on the page.
        label: label of the selection.
        parts: the parts.
        selected: position of the part that is unfolded at first; None if all parts are folded.
    """

    name: str
    label: str
    parts: Sequence[Details]
    selected: int | None = None


Figure: TypeAlias = LineChart | Histogram | ScatterPlot | DotPlot | ParallelPlot | Drawing
Block: TypeAlias = "Paragraph | Heading | BulletList | Code | DataTable | Figure | Columns | Details | Choice"


@dataclass(frozen=True)
class Section:
    """A section of the report.

    Attributes:
        name: anchor, unique in the report.
        title: heading.
        blocks: content in order.
    """

    name: str
    title: str
    blocks: Sequence[Block]


def table_blocks(caption: str, table: Table) -> list[Block]:
    """Convert a Table to blocks: the table under ``caption``, and its legend."""
    blocks: list[Block] = [DataTable(caption, table.headers, table.rows, text_columns=table.text_columns)]
    return [*blocks, *([Paragraph(table.legend)] if table.legend else [])]


def number(value: float | None, digits: int = 2) -> str | None:
    """Format a number with thousands separators and ``digits`` decimals; None stays None."""
    return None if value is None else f"{value:,.{digits}f}"


def signed(value: float | None, digits: int = 2) -> str | None:
    """Format a number with its sign; a value that rounds to zero gets a plus."""
    # Adding zero turns -0.0 into 0.0.
    return None if value is None else f"{round(value, digits) + 0.0:+.{digits}f}"
