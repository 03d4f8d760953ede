"""How long a model takes: percentiles of every bench, and the histogram of those whose samples were kept.

    latency_section(evidence)
"""

from __future__ import annotations

import math

from edgefer.measurement import Measurement, Samples
from edgefer.report.comparison import Row
from edgefer.report.html.charts import histogram
from edgefer.report.html.evidence import Evidence, device_name
from edgefer.report.html.markup import Html, bar, element, figure, section, table

__all__ = ["latency_section"]

NANOSECOND_US = 0.001
HEADERS = ("model", "scheme", "device", "p50, us", "95 % of p50", "p90, us", "p99, us", "memory, MiB", "runs")


def latency_section(evidence: Evidence) -> Html | None:
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
