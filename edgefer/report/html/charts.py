"""Line charts and histograms as inline SVG, coloured by classes so that the page's style decides for light and dark.

    line_chart({"Training": losses, "PublicTest": selection_losses}, label="loss by epoch", marked=39)
    line_chart({"p50": p50s}, label="p50 over seconds", across=seconds)
    histogram(latencies_us, marks={"p50": 86.3, "p90": 86.9}, label="...")

How long a model takes: percentiles of every bench, and the histogram of those whose samples were kept.

    latency_section(evidence)
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.report.comparison import Row
from edgefer.report.html.markup import Html, bar, element, figure, joined, section, table
from edgefer.report.html.page_data import ReportData, device_name
from edgefer.results.measurement import Measurement, Samples

__all__ = ["histogram", "latency_section", "line_chart", "log_ticks", "ticks"]

WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 56, 20, 14, 34
BINS = 48
# Beyond it a few outliers would squeeze all other bars into one.
SHOWN_PERCENTILE = 99.5
LARGEST_LINEAR = 6.0
MOST_DECADES = 4


def line_chart(
    series: Mapping[str, Sequence[float]],
    *,
    label: str,
    marked: int | None = None,
    across: Sequence[float] | None = None,
) -> Html:
    """One line a series over ``across``, or over epochs 1, 2, ...; the epoch ``marked`` gets a vertical line."""
    values = [value for line in series.values() for value in line if math.isfinite(value)]
    low, high = min(values, default=0.0), max(values, default=1.0)
    scale_y = ticks(low, high)
    places = across or range(1, max(2, *(len(line) for line in series.values()), 0) + 1)
    first, last = min(places), max(*places, min(places) + 1e-9)
    marks = [each for each in ticks(first, last) if first <= each <= last]
    numbers = marks if across else [round(each) for each in marks]
    drawing = [*_frame({each: _x(each, first, last) for each in numbers}), *_levels(scale_y)]
    if marked is not None and first <= marked <= last:
        x = _x(marked, first, last)
        drawing.append(element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="marked"))
    for index, line in enumerate(series.values()):
        points = [
            f"{_x(place, first, last)},{_y(value, scale_y[0], scale_y[-1])}"
            for place, value in zip(places, line)
            if math.isfinite(value)
        ]
        drawing.append(element("polyline", points=" ".join(points), class_=f"series series{index}"))
    return _svg(drawing, label)


def histogram(samples: npt.NDArray[Any], *, marks: Mapping[str, float], label: str) -> Html:
    """Bars of how many ``samples`` (n,) fall where, up to their 99.5th percentile, with a named line at each mark.

    Where the slowest take many times as long as the fastest, the axis is logarithmic, and says so.
    """
    low = float(samples.min())
    high = max(float(np.percentile(samples, SHOWN_PERCENTILE)), max(marks.values()), low * 1.001, low + 1e-9)
    is_logarithmic = low > 0 and high > LARGEST_LINEAR * low
    edges = np.geomspace(low, high, BINS + 1) if is_logarithmic else np.linspace(low, high, BINS + 1)
    counts, _ = np.histogram(samples, bins=edges)
    most = int(counts.max()) or 1

    def across(value: float) -> float:
        return _x(math.log(value), math.log(low), math.log(high)) if is_logarithmic else _x(value, low, high)

    numbers = log_ticks(low, high) if is_logarithmic else [t for t in ticks(low, high, count=4) if low <= t <= high]
    drawing = _frame({each: across(each) for each in numbers})
    if is_logarithmic:
        drawing.append(element("text", "logarithmic", x=WIDTH - RIGHT, y=HEIGHT - 2, text_anchor="end"))
    for count, start, end in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist()):
        x, top = across(start), _y(count, 0, most)
        width, height = round(across(end) - x, 2), round(HEIGHT - BOTTOM - top, 2)
        drawing.append(element("rect", x=x, y=top, width=width, height=height, class_="column"))
    names = []
    for index, (name, value) in enumerate(marks.items()):
        x = across(value)
        drawing.append(element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_=f"series series{index + 1}"))
        # Percentiles lie close together, so each name has a line of its own; near the edge it stands on the left.
        anchor, shift = ("end", -4) if x > WIDTH * 0.7 else ("start", 4)
        place = {"x": round(x + shift, 2), "y": TOP + 10 + 14 * index, "text_anchor": anchor}
        names.append(element("text", f"{name} {value:,.1f}", **place, class_="name"))
    # A line that is drawn later would go through a name.
    return _svg([*drawing, *names], label)


def ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Round numbers from at most ``low`` to at least ``high``, about ``count`` of them."""
    span = high - low or abs(high) or 1.0
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * each for each in (1, 2, 2.5, 5, 10) if power * each >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{index * step:.12g}") for index in range(first, max(last, first + 1) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 times powers of ten, from ``low`` to ``high``, both above zero; powers alone over many decades."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if len(powers) <= MOST_DECADES else (1,)
    return [value for power in powers for step in steps if low <= (value := step * 10.0**power) <= high]


def _svg(drawing: Sequence[Html], label: str) -> Html:
    content = joined([element("title", label), *drawing])
    return element("svg", content, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=label, class_="chart")


def _x(value: float, low: float, high: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 2)


def _y(value: float, low: float, high: float) -> float:
    return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low) / (high - low), 2)


def _frame(marks: Mapping[float, float]) -> list[Html]:
    """The axis below, with numbers at their places."""
    bottom = HEIGHT - BOTTOM
    axis = [element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=bottom, y2=bottom, class_="axis")]
    return axis + [element("text", f"{mark:,g}", x=x, y=bottom + 18, text_anchor="middle") for mark, x in marks.items()]


def _levels(marks: Sequence[float]) -> Iterator[Html]:
    for mark in marks:
        y = _y(mark, marks[0], marks[-1])
        yield element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid")
        yield element("text", f"{mark:g}", x=LEFT - 6, y=round(y + 4, 2), text_anchor="end")


NANOSECOND_US = 0.001
HEADERS = ("model", "scheme", "device", "p50, us", "95 % of p50", "p90, us", "p99, us", "memory, MiB", "runs")


def latency_section(evidence: ReportData) -> Html | None:
    """A row a bench; None without any."""
    benches = evidence.measurements
    if not benches:
        return None
    # Schemes differ by a factor of a hundred, of which a linear bar would show the slowest alone.
    low = max(NANOSECOND_US, min(each.p50_us for each in benches)) / 2
    high = max(2 * low, *(each.p99_us for each in benches))
    rows = [_row(each, low, high) for each in benches]
    sampled = [(each, each.samples) for each in benches if each.samples is not None and len(each.samples.invoke_ns)]
    drawn = [_histogram(each, samples) for each, samples in sampled]
    note = "Of the model alone, without preprocessing; bars are logarithmic. " + (
        "" if drawn else "No record holds each run's time, so there are bars and no histogram: edgefer bench --samples."
    )
    caption = "Latency, in microseconds"
    tail = [element("div", *drawn, class_="charts")] if drawn else []
    doubts = [element("li", f"{_title(each)}: {'; '.join(each.doubts())}") for each in benches if each.doubts()]
    in_doubt = [element("p", "In doubt:"), element("ul", *doubts, class_="doubts")] if doubts else []
    whole = table(caption, HEADERS, rows, text=3)
    return section("latency", "Latency", element("p", note), *tail, whole, *in_doubt)


def _title(bench: Measurement) -> str:
    row = Row(None, bench)
    return f"{row.model}, {row.scheme}: {device_name(bench)}"


def _row(bench: Measurement, least: float, most: float) -> list[object]:
    row = Row(None, bench)
    low, high = (each / 1000 for each in bench.invoke.p50_interval_ns)
    percentiles = {"p50": bench.p50_us, "p90": bench.p90_us, "p99": bench.p99_us}
    span = math.log(most / least)
    bars = {
        name: bar(math.log(max(each, least) / least) / span, f"{each:,.1f}", class_=f"bar {name}")
        for name, each in percentiles.items()
    }
    interval = f"{low:,.1f} to {high:,.1f}"
    memory = None if bench.peak_rss_bytes is None else f"{bench.peak_rss_bytes / 2**20:.0f}"
    tail = [bars["p90"], bars["p99"], memory, f"{bench.invoke.runs:,}"]
    return [row.model, row.scheme, device_name(bench), bars["p50"], interval, *tail]


def _histogram(bench: Measurement, samples: Samples) -> Html:
    title = _title(bench)
    marks = {"p50": bench.p50_us, "p90": bench.p90_us, "p99": bench.p99_us}
    label = f"Histogram of the latency of {title}, in microseconds"
    caption = f"{title}; microseconds, {bench.invoke.runs:,} runs"
    return figure(histogram(samples.invoke_ns / 1000, marks=marks, label=label), caption)
