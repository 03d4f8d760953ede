"""Plots of a search as inline SVG: accuracy over cost, and parallel coordinates; CSS classes give the colors."""

from __future__ import annotations

from collections.abc import Iterator

from edgefer.report.html.charts import ticks
from edgefer.report.html.markup import Html, element, joined
from edgefer.report.sections.blocks import DotPlot, ParallelPlot

__all__ = ["dot_plot", "parallel_plot"]

WIDTH, HEIGHT = 720, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 26, 40
PARALLEL_LEFT = 30
RADIUS, STRONG_RADIUS = 3, 5
MAX_TICK, MAX_TITLE = 14, 18


def dot_plot(plot: DotPlot) -> Html:
    """Draw the points of a plot, and a line through the strong ones in the order of their horizontal positions."""
    xs, ys = [x for x, _ in plot.points], [y for _, y in plot.points]
    across, up = ticks(min(xs), max(xs)), ticks(min(ys), max(ys))

    def x_of(value: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - across[0]) / (across[-1] - across[0]), 2)

    def y_of(value: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - up[0]) / (up[-1] - up[0]), 2)

    drawing = [
        element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=HEIGHT - BOTTOM, y2=HEIGHT - BOTTOM, class_="axis"),
        *(element("text", _number(x), x=x_of(x), y=HEIGHT - BOTTOM + 16, text_anchor="middle") for x in across),
        element("text", plot.titles[0], x=WIDTH - RIGHT, y=HEIGHT - 6, text_anchor="end"),
        element("text", plot.titles[1], x=LEFT - 40, y=12),
    ]
    for tick in up:
        drawing.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y_of(tick), y2=y_of(tick), class_="grid"))
        drawing.append(element("text", f"{tick:g}", x=LEFT - 6, y=y_of(tick) + 4, text_anchor="end"))
    line = sorted(point for point, is_strong in zip(plot.points, plot.strong) if is_strong)
    joints = " ".join(f"{x_of(x)},{y_of(y)}" for x, y in line)
    drawing.append(element("polyline", points=joints, class_="trial strong"))
    for (x, y), is_strong in zip(plot.points, plot.strong):
        radius, class_ = (STRONG_RADIUS, "dot strong") if is_strong else (RADIUS, "dot")
        drawing.append(element("circle", cx=x_of(x), cy=y_of(y), r=radius, class_=class_))
    return _svg(drawing, plot.label)


def parallel_plot(plot: ParallelPlot) -> Html:
    """Draw one vertical axis per quantity and one line per item; emphasized lines are drawn last."""
    step = (WIDTH - PARALLEL_LEFT - LEFT) / max(1, len(plot.axes) - 1)
    columns = [round(PARALLEL_LEFT + step * index, 2) for index in range(len(plot.axes))]
    lines = []
    for index in sorted(range(len(plot.strong)), key=lambda index: plot.strong[index]):
        places = [(x, axis.places[index]) for x, axis in zip(columns, plot.axes)]
        points = " ".join(f"{x},{_level(place)}" for x, place in places if place is not None)
        lines.append(element("polyline", points=points, class_="trial strong" if plot.strong[index] else "trial"))
    # The text comes last, so that no line crosses it.
    return _svg([*lines, *_axes(plot, columns)], plot.label)


def _axes(plot: ParallelPlot, columns: list[float]) -> Iterator[Html]:
    for index, (x, axis) in enumerate(zip(columns, plot.axes)):
        yield element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="axis")
        anchor = "start" if index == 0 else "end" if index == len(columns) - 1 else "middle"
        # Titles alternate between two lines of text, because neighbors may be long.
        y = HEIGHT - BOTTOM + (16 if index % 2 == 0 else 32)
        yield element("text", _short(axis.title, MAX_TITLE), x=x, y=y, text_anchor=anchor, class_="name")
        for place, name in axis.ticks.items():
            yield element("text", _short(name, MAX_TICK), x=x + 4, y=_level(place) + 4, class_="name")


def _level(place: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * place, 2)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"


def _short(text: str, length: int) -> str:
    """Shorten a text; the end of a dotted name distinguishes it."""
    text = text.rpartition(".")[2] if not text.replace(".", "", 1).isdecimal() and len(text) > length else text
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _svg(drawing: list[Html], label: str) -> Html:
    content = joined([element("title", label), *drawing])
    return element("svg", content, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart")
