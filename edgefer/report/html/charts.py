"""Line charts and histograms as inline SVG; CSS classes give the colors, so the page can switch to dark mode.

    line_chart({"Training": losses, "PublicTest": validation_losses}, label="loss by epoch", marked=39)
    line_chart({"p50": p50s}, label="p50 over seconds", positions=seconds)
    histogram(latencies_us, marks={"p50": 86.3, "p90": 86.9}, label="...")
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.report.html.markup import Html, element, joined

__all__ = ["histogram", "line_chart", "log_ticks", "ticks"]

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 14, 34
BINS = 48
# Without this limit a few outliers would squeeze all other bars into one.
MAX_PERCENTILE = 99.5
MAX_LINEAR_RATIO = 6.0
MAX_DECADES = 4


def line_chart(
    series: Mapping[str, Sequence[float]],
    *,
    label: str,
    marked: int | None = None,
    positions: Sequence[float] | None = None,
) -> Html:
    """Draw one line per series.

    Args:
        series: values of each line, by name; values that are not finite are skipped.
        label: description for screen readers.
        marked: position of a vertical line.
        positions: position of each value on the horizontal axis; None for epochs 1, 2, ...
    """
    values = [value for line in series.values() for value in line if math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    scale_y = ticks(low, high)
    xs = positions or range(1, max(2, *(len(line) for line in series.values()), 0) + 1)
    first, last = min(xs), max(*xs, min(xs) + 1e-9)
    marks = [tick for tick in ticks(first, last) if first <= tick <= last]
    numbers = marks if positions else [round(tick) for tick in marks]
    drawing = [*_frame({tick: _x(tick, first, last) for tick in numbers}), *_levels(scale_y)]
    if marked is not None and first <= marked <= last:
        x = _x(marked, first, last)
        drawing.append(element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="marked"))
    for index, line in enumerate(series.values()):
        points = [
            f"{_x(position, first, last)},{_y(value, scale_y[0], scale_y[-1])}"
            for position, value in zip(xs, line)
            if math.isfinite(value)
        ]
        drawing.append(element("polyline", points=" ".join(points), class_=f"series series{index}"))
    return _svg(drawing, label)


def histogram(samples: npt.NDArray[Any], *, marks: Mapping[str, float], label: str) -> Html:
    """Draw the distribution of ``samples`` (n,) up to the 99.5th percentile, with a named line at each mark.

    The axis is logarithmic, and labeled so, where the largest value is a multiple of the smallest.
    """
    low = float(samples.min())
    high = max(float(np.percentile(samples, MAX_PERCENTILE)), max(marks.values()), low * 1.001, low + 1e-9)
    is_logarithmic = low > 0 and high > MAX_LINEAR_RATIO * low
    edges = np.geomspace(low, high, BINS + 1) if is_logarithmic else np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(samples, bins=edges)
    highest = int(counts.max()) or 1

    def across(value: float) -> float:
        return _x(math.log(value), math.log(low), math.log(high)) if is_logarithmic else _x(value, low, high)

    numbers = log_ticks(low, high) if is_logarithmic else [t for t in ticks(low, high, count=4) if low <= t <= high]
    drawing = _frame({tick: across(tick) for tick in numbers})
    if is_logarithmic:
        drawing.append(element("text", "logarithmic", x=WIDTH - RIGHT, y=HEIGHT - 2, text_anchor="end"))
    for count, start, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist()):
        x, top = across(start), _y(count, 0, highest)
        width, height = round(across(end) - x, 2), round(HEIGHT - BOTTOM - top, 2)
        drawing.append(element("rect", x=x, y=top, width=width, height=height, class_="column"))
    names = []
    for index, (name, value) in enumerate(marks.items()):
        x = across(value)
        drawing.append(element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_=f"series series{index + 1}"))
        # Percentiles are close together, so each name has its own line of text; near the edge it is on the left.
        anchor, shift = ("end", -4) if x > WIDTH * 0.7 else ("start", 4)
        position = {"x": round(x + shift, 2), "y": TOP + 10 + 14 * index, "text_anchor": anchor}
        names.append(element("text", f"{name} {value:,.1f}", **position, class_="name"))
    # Names come last, so that no line crosses them.
    return _svg([*drawing, *names], label)


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers, from at most ``low`` to at least ``high``."""
    span = high - low or abs(high) or 1.0
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, max(last, first + 1) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Return 1, 2 and 5 times powers of ten between two positive numbers, or only powers over many decades."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= MAX_DECADES else (1,)
    return [value for power in powers for step in steps if low <= (value := step * 10.0**power) <= high]


def _svg(drawing: Sequence[Html], label: str) -> Html:
    content = joined([element("title", label), *drawing])
    return element("svg", content, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart")


def _x(value: float, low: float, high: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 2)


def _y(value: float, low: float, high: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low), 2)


def _frame(marks: Mapping[float, float]) -> list[Html]:
    """Draw the horizontal axis, with numbers at their positions."""
    bottom = HEIGHT - BOTTOM
    axis = [element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis")]
    return axis + [element("text", f"{mark:,g}", x=x, y=bottom + 18, text_anchor="middle") for mark, x in marks.items()]


def _levels(marks: Sequence[float]) -> Iterator[Html]:
    for mark in marks:
        y = _y(mark, marks[0], marks[-1])
        yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
        yield element("text", f"{mark:g}", x=LEFT - 6, y=round(y + 4, 2), text_anchor="end")
