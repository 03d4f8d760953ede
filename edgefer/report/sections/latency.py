"""The section on latency: percentiles of each benchmark, and histograms where raw samples were recorded.

    latency_section(data)
"""

from __future__ import annotations

import math

from edgefer.report.comparison import Row
from edgefer.report.report_data import ReportData, device_name
from edgefer.report.sections.blocks import (
    Bar,
    Block,
    BulletList,
    Cell,
    CellContent,
    Columns,
    DataTable,
    Histogram,
    Paragraph,
    Section,
)
from edgefer.results.latency import Samples
from edgefer.results.measurement import Measurement

__all__ = ["latency_section"]

NANOSECOND_US = 0.001
HEADERS = ("model", "scheme", "device", "p50, us", "interval of p50", "p90, us", "p99, us", "memory, MiB", "runs")
NOTE = (
    "Latency of the model alone, without preprocessing. Bars are logarithmic. The interval of the p50 comes from the "
    "medians of the rounds, with its confidence in parentheses; it needs 5 rounds, as in --preset standard."
)
NO_SAMPLES = "There is no histogram, because no record contains raw samples: edgefer bench MODEL.tflite --samples."


def latency_section(data: ReportData) -> Section | None:
    """Build one row per measurement; return None without any."""
    measurements = data.measurements
    if not measurements:
        return None
    # Schemes differ by a factor of up to a hundred; on a linear scale only the slowest bar would be visible.
    low = max(NANOSECOND_US, min(measurement.p50_us for measurement in measurements)) / 2
    high = max(2 * low, *(measurement.p99_us for measurement in measurements))
    rows = [_row(measurement, low, high) for measurement in measurements]
    histograms = [
        _histogram(measurement, measurement.samples)
        for measurement in measurements
        if measurement.samples is not None and len(measurement.samples.invoke_ns)
    ]
    warnings = [
        f"{_title(measurement)}: {'; '.join(measurement.warnings())}"
        for measurement in measurements
        if measurement.warnings()
    ]
    blocks: list[Block] = [Paragraph(NOTE if histograms else f"{NOTE} {NO_SAMPLES}")]
    blocks += [Columns(histograms)] if histograms else []
    blocks.append(DataTable("Latency, in microseconds", HEADERS, rows, text_columns=3))
    blocks += [Paragraph("Warnings:"), BulletList(warnings, is_warning=True)] if warnings else []
    return Section("latency", "Latency", blocks)


def _title(measurement: Measurement) -> str:
    row = Row(None, measurement)
    return f"{row.model}, {row.scheme}: {device_name(measurement)}"


def _row(measurement: Measurement, low: float, high: float) -> list[CellContent]:
    row = Row(None, measurement)
    percentiles = {"p50": measurement.p50_us, "p90": measurement.p90_us, "p99": measurement.p99_us}
    span = math.log(high / low)
    p50, p90, p99 = (
        Cell(f"{value:,.1f}", bar=Bar(math.log(max(value, low) / low) / span, name))
        for name, value in percentiles.items()
    )
    memory = None if measurement.peak_rss_bytes is None else f"{measurement.peak_rss_bytes / 2**20:.0f}"
    runs = f"{measurement.invoke.runs:,}"
    return [row.model, row.scheme, device_name(measurement), p50, _interval(measurement), p90, p99, memory, runs]


def _interval(measurement: Measurement) -> str | None:
    interval = measurement.p50_interval
    if interval is None:
        return None
    return f"{interval.low / 1000:,.1f} to {interval.high / 1000:,.1f} ({100 * interval.confidence:.0f} %)"


def _histogram(measurement: Measurement, samples: Samples) -> Histogram:
    title = _title(measurement)
    return Histogram(
        label=f"Histogram of the latency of {title}, in microseconds",
        caption=f"{title}; microseconds, {measurement.invoke.runs:,} runs",
        samples=samples.invoke_ns / 1000,
        marks={"p50": measurement.p50_us, "p90": measurement.p90_us, "p99": measurement.p99_us},
    )
