"""Accuracy against cost as SVG: marks with tooltips, and names that do not overlap.

    scatter_svg([Mark("nano", 6.0, 67.8, "nano: ...", named=True)], title="...", x_label="KiB", y_label="accuracy, %")
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.report.html.charts import log_ticks, ticks
from edgefer.report.html.markup import Html, element

__all__ = ["Mark", "scatter_svg"]

WIDTH, HEIGHT = 720, 440
LEFT, RIGHT, TOP, BOTTOM = 52, 24, 34, 48
NAME_HEIGHT, NAME_WIDTH = 15, 7.2
# The drawing has its own background, so it is readable on any page. Blue and vermilion are from the palette of Okabe
# and Ito; shipped models also differ in shape and size.
STYLE = """
.scatter { --paper: #fcfcfb; --ink: #1b1f23; --soft: #57606a; --rule: #d0d7de; --other: #56b4e9; --ships: #d55e00; }
@media (prefers-color-scheme: dark) {
  .scatter { --paper: #1c2024; --ink: #e6e9ec; --soft: #a5adb5; --rule: #3a4148; --other: #56b4e9; --ships: #f0883e; }
}
.scatter .background { fill: var(--paper); stroke: var(--rule); }
.scatter text { fill: var(--soft); font: 13px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
.scatter .grid { stroke: var(--rule); }
.scatter .axis { stroke: var(--soft); }
.scatter .interval { stroke: var(--soft); stroke-width: 1.5; }
.scatter .other { fill: var(--other); stroke: var(--ink); stroke-width: .8; }
.scatter .ships { fill: var(--ships); stroke: var(--ink); stroke-width: 1.2; }
.scatter .name { fill: var(--ink); font-weight: 600; paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
"""
DIAMOND = "M0,-9 L8,0 L0,9 L-8,0 Z"


@dataclass(frozen=True)
class Mark:
    """One model.

    Attributes:
        name: name beside the mark, if ``named``.
        x: cost, positive; the axis is logarithmic.
        y: accuracy.
        tooltip: text shown while the pointer is over the mark.
        ships: True for a model of edgefer, drawn as a diamond.
        named: True to print the name.
        interval: lower and upper end of a vertical line through the mark, or None.
    """

    name: str
    x: float
    y: float
    tooltip: str
    ships: bool = False
    named: bool = False
    interval: tuple[float, float] | None = None


def scatter_svg(marks: Sequence[Mark], *, title: str, x_label: str, y_label: str, empty: str) -> Html:
    """Draw ``marks``; those that ship come last, so that no other mark covers them.

    Args:
        marks: models to draw.
        title: title and description for screen readers.
        x_label: label of the horizontal axis.
        y_label: label of the vertical axis.
        empty: text that replaces a drawing without marks.
    """
    ordered = sorted(marks, key=lambda mark: mark.ships)
    content = _plot(ordered, x_label, y_label) if ordered else [element("text", empty, x=LEFT, y=TOP + 20)]
    background = element("rect", x=0.5, y=0.5, width=WIDTH - 1, height=HEIGHT - 1, rx=8, class_="background")
    return element(
        "svg", element("title", title), element("style", Html(STYLE)), background, *content,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title,
        class_="scatter",
    )  # fmt: skip


def _plot(marks: Sequence[Mark], x_label: str, y_label: str) -> list[Html]:
    low, high = min(mark.x for mark in marks) / 1.3, max(mark.x for mark in marks) * 1.3
    ends = [end for mark in marks for end in (mark.y, *(mark.interval or ()))]
    levels = ticks(min(ends), max(ends))
    bottom = HEIGHT - BOTTOM

    def x(cost: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * math.log(cost / low) / math.log(high / low), 2)

    def y(score: float) -> float:
        return round(bottom - (bottom - TOP) * (score - levels[0]) / (levels[-1] - levels[0]), 2)

    drawing = []
    for level in levels:
        drawing.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y(level), y2=y(level), class_="grid"))
        drawing.append(element("text", f"{level:g}", x=LEFT - 8, y=y(level) + 4.5, text_anchor="end"))
    drawing.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis"))
    for cost in log_ticks(low, high):
        drawing.append(element("line", x1=x(cost), x2=x(cost), y1=bottom, y2=bottom + 5, class_="axis"))
        drawing.append(element("text", f"{cost:,g}", x=x(cost), y=bottom + 19, text_anchor="middle"))
    drawing.append(element("text", y_label, x=10, y=20))
    middle = (LEFT + WIDTH - RIGHT) / 2
    drawing.append(element("text", x_label, x=middle, y=HEIGHT - 10, text_anchor="middle"))
    for mark in marks:
        if mark.interval:
            lower, upper = (y(end) for end in mark.interval)
            drawing.append(element("line", x1=x(mark.x), x2=x(mark.x), y1=lower, y2=upper, class_="interval"))
    drawing += [_symbol(mark, x(mark.x), y(mark.y)) for mark in marks]
    return drawing + _names([(mark.name, x(mark.x), y(mark.y)) for mark in marks if mark.named])


def _symbol(mark: Mark, x: float, y: float) -> Html:
    title = element("title", mark.tooltip)
    if not mark.ships:
        return element("circle", title, cx=x, cy=y, r=5, class_="other")
    return element("path", title, d=DIAMOND, transform=f"translate({x},{y})", class_="ships")


def _names(marks: Sequence[tuple[str, float, float]]) -> list[Html]:
    """Place each name next to its mark, on the left near the right edge, and below a name that it would overlap."""
    taken: list[tuple[float, float, float]] = []
    names = []
    for name, x, y in sorted(marks, key=lambda mark: mark[2]):
        width = NAME_WIDTH * len(name)
        is_left = x + 14 + width > WIDTH - 6
        start = max(6.0, x - 14 - width) if is_left else x + 14
        baseline = y + 4.5
        stop = start + width
        while any(abs(baseline - other) < NAME_HEIGHT and start < end and begin < stop for begin, end, other in taken):
            baseline += NAME_HEIGHT
        taken.append((start, stop, baseline))
        anchor = {"x": round(stop, 2), "text_anchor": "end"} if is_left else {"x": round(start, 2)}
        names.append(element("text", name, **anchor, y=round(baseline, 2), class_="name"))
    return names
