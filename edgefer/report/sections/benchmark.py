"""The section on benchmarks: ratios between models, causes of slow int8, stages, and long runs.

    benchmark_section(data)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgefer.report.comparison import Row
from edgefer.report.report_data import ReportData, device_name, short_device
from edgefer.report.sections.blocks import (
    Block,
    BulletList,
    CellContent,
    Columns,
    DataTable,
    Details,
    Heading,
    LineChart,
    Paragraph,
    Section,
)
from edgefer.results.benchmark import BenchmarkResult, Comparison, SoakInterval, merge_intervals

__all__ = ["benchmark_section"]

RATIO_HEADERS = ("model", "relative to", "ratio", "interval")
SOAK_HEADERS = ("s", "p50, us", "p90, us", "C", "MHz", "W", "throttled by")
STAGES = ("preprocess", "set", "invoke", "get")
SENSORS = {"temperature_c": "temperature, C", "clock_mhz": "clock, MHz", "power_w": "power, W"}
MAX_SOAK_ROWS = 60


def benchmark_section(data: ReportData) -> Section | None:
    """Build one part per benchmark with more than percentiles; return None without any."""
    parts = [(result, list(_benchmark(result))) for result in data.results.benches]
    blocks = [block for result, content in parts if content for block in (_title(result), *content)]
    return Section("benches", "Benchmarks", blocks) if blocks else None


def _title(result: BenchmarkResult) -> Heading:
    rows = [Row(None, measurement) for measurement in result.measurements]
    models = " and ".join(dict.fromkeys(f"{row.model}, {row.scheme}" for row in rows))
    device = short_device(result.measurements[0].device)
    name = "" if result.device in ("local", device) else f"{result.device}, "
    return Heading(f"{models} on {name}{device}")


def _benchmark(result: BenchmarkResult) -> Iterator[Block]:
    if result.failure:
        yield Paragraph(f"Incomplete: {result.failure}")
    names = [_name(result, index) for index in range(len(result.measurements))]
    ratios = [
        [
            names[comparison.second],
            names[comparison.first],
            f"{comparison.ratio:.2f}",
            _interval(comparison),
        ]
        for comparison in result.comparisons
    ]
    if ratios:
        yield DataTable("Latency ratio, measured alternately", RATIO_HEADERS, ratios, text_columns=2)
    if result.causes:
        yield Paragraph("Why int8 is not faster here:")
        yield BulletList(result.causes)
    stages = [row for index in range(len(names)) if (row := _stages(result, index)) is not None]
    if stages:
        yield DataTable("Stages, p50 in microseconds", ("model", *STAGES, "energy, mJ"), stages)
    if result.soak:
        yield from _soak(names[0], result.soak)


def _interval(comparison: Comparison) -> str | None:
    if comparison.interval is None or comparison.confidence is None:
        return None
    low, high = comparison.interval
    return f"{low:.2f} to {high:.2f} ({100 * comparison.confidence:.0f} %)"


def _name(result: BenchmarkResult, index: int) -> str:
    measurement = result.measurements[index]
    row = Row(None, measurement)
    return f"{row.model}, {row.scheme}, {device_name(measurement).partition(', ')[2]}"


def _stages(result: BenchmarkResult, index: int) -> list[CellContent] | None:
    measurement = result.measurements[index]
    stages = [getattr(measurement, name) for name in STAGES]
    if None in stages:
        return None
    energy = None if measurement.energy_mj is None else f"{measurement.energy_mj:.3g}"
    return [_name(result, index), *(f"{stage.p50_ns / 1000:,.1f}" for stage in stages), energy]


def _soak(name: str, intervals: Sequence[SoakInterval]) -> Iterator[Block]:
    seconds = [interval.conditions.elapsed_s for interval in intervals]
    times = {"p50": [interval.p50_us for interval in intervals], "p90": [interval.p90_us for interval in intervals]}
    charts = [_over_time(f"latency of {name}, in microseconds", times, seconds)]
    for field, title in SENSORS.items():
        values = [getattr(interval.conditions, field) for interval in intervals]
        if any(value is not None for value in values):
            charts.append(_over_time(title, {title: [float("nan") if v is None else v for v in values]}, seconds))
    yield Columns(charts)
    rows = [_soak_row(interval) for interval in merge_intervals(intervals, most=MAX_SOAK_ROWS)]
    table = DataTable(f"Long run of {name}", SOAK_HEADERS, rows, text_columns=0)
    merged = "" if len(rows) == len(intervals) else "; median p50, highest p90 and C, lowest MHz of several"
    yield Details(f"Long run as a table ({len(intervals)} intervals{merged})", [table])


def _soak_row(interval: SoakInterval) -> list[CellContent]:
    state = interval.conditions
    sensors = [None if value is None else f"{value:.0f}" for value in (state.temperature_c, state.clock_mhz)]
    power = None if state.power_w is None else f"{state.power_w:.1f}"
    times = [f"{state.elapsed_s:.0f}", f"{interval.p50_us:,.1f}", f"{interval.p90_us:,.1f}"]
    return [*times, *sensors, power, ", ".join(state.throttled) or None]


def _over_time(title: str, series: Mapping[str, Sequence[float]], seconds: Sequence[float]) -> LineChart:
    return LineChart(f"{title} over seconds", f"{title}, over seconds ", series, positions=seconds)
