"""What a bench tells beyond its percentiles: what took how much longer, why, and how the device fared over time.

    benches_section(evidence)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgefer.report.comparison import Row
from edgefer.report.html.charts import line_chart
from edgefer.report.html.markup import Html, element, figure, joined, legend_mark, section, table
from edgefer.report.html.page_data import ReportData, device_name, short_device
from edgefer.results.benchmark import BenchmarkResult, SoakInterval

__all__ = ["benches_section"]

RATIOS = ("takes", "of the time of", "ratio", "95 % interval")
SOAKS = ("s", "p50, us", "p90, us", "C", "MHz", "W", "held back by")
STAGES = ("preprocess", "set", "invoke", "get")
MOST_SOAKED = 60


def benches_section(evidence: ReportData) -> Html | None:
    """One part a bench that has something to tell; None without any."""
    told = [(each, list(_bench(each))) for each in evidence.results.benches]
    parts = [part for each, parts in told if parts for part in (_title(each), *parts)]
    return section("benches", "Benches", *parts) if parts else None


def _title(benched: BenchmarkResult) -> Html:
    rows = [Row(None, each) for each in benched.measurements]
    models = " and ".join(dict.fromkeys(f"{row.model}, {row.scheme}" for row in rows))
    place = short_device(benched.measurements[0].device)
    name = "" if benched.device in ("local", place) else f"{benched.device}, "
    return element("h3", f"{models} on {name}{place}")


def _bench(benched: BenchmarkResult) -> Iterator[Html]:
    names = [_name(benched, index) for index in range(len(benched.measurements))]
    ratios = [
        [names[each.second], names[each.first], f"{each.ratio:.2f}", "{:.2f} to {:.2f}".format(*each.interval)]
        for each in benched.comparisons
    ]
    if ratios:
        yield table("Measured in turns", RATIOS, ratios, text=2)
    if benched.causes:
        yield element("p", "Why int8 is not faster here:")
        yield element("ul", *(element("li", each) for each in benched.causes))
    stages = [row for index in range(len(names)) if (row := _stages(benched, index)) is not None]
    if stages:
        yield table("Stages, p50 in microseconds", ("model", *STAGES, "energy, mJ"), stages)
    if benched.soak:
        yield from _soak(names[0], benched.soak)


def _name(benched: BenchmarkResult, index: int) -> str:
    measurement = benched.measurements[index]
    row = Row(None, measurement)
    return f"{row.model}, {row.scheme}, {device_name(measurement).partition(', ')[2]}"


def _stages(benched: BenchmarkResult, index: int) -> list[object] | None:
    measurement = benched.measurements[index]
    times = [getattr(measurement, name) for name in STAGES]
    if None in times:
        return None
    energy = None if measurement.energy_mj is None else f"{measurement.energy_mj:.3g}"
    return [_name(benched, index), *(f"{each.p50_ns / 1000:,.1f}" for each in times), energy]


def _soak(name: str, rows: Sequence[SoakInterval]) -> Iterator[Html]:
    seconds = [each.conditions.elapsed_s for each in rows]
    times = {"p50": [each.p50_us for each in rows], "p90": [each.p90_us for each in rows]}
    drawings = [_over_time(f"latency of {name}, in microseconds", times, seconds)]
    for field, title in (("temperature_c", "temperature, C"), ("clock_mhz", "clock, MHz"), ("power_w", "power, W")):
        values = [getattr(each.conditions, field) for each in rows]
        if any(each is not None for each in values):
            known = [float("nan") if each is None else each for each in values]
            drawings.append(_over_time(title, {title: known}, seconds))
    yield element("div", *drawings, class_="charts")
    step = -(-len(rows) // MOST_SOAKED)
    cells = [_soaked(each) for each in rows[::step]]
    whole = table(f"A long run of {name}", SOAKS, cells, text=0)
    yield element("details", element("summary", f"The long run in numbers ({len(cells)} of {len(rows)} looks)"), whole)


def _soaked(row: SoakInterval) -> list[object]:
    now = row.conditions
    known = [now.temperature_c, now.clock_mhz, now.power_w]
    told = [None if each is None else f"{each:.0f}" for each in known]
    return [f"{now.elapsed_s:.0f}", f"{row.p50_us:,.1f}", f"{row.p90_us:,.1f}", *told, ", ".join(now.throttled) or None]


def _over_time(title: str, series: dict[str, list[float]], seconds: Sequence[float]) -> Html:
    keys = [legend_mark(f"series series{index}", name) for index, name in enumerate(series)] if len(series) > 1 else []
    drawing = line_chart(series, label=f"{title} over seconds", across=seconds)
    return figure(drawing, joined([f"{title}, over seconds ", *keys]))
