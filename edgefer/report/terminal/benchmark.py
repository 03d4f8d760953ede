"""Render benchmark results as text for an 80-column terminal.

    outcomes_text([result, ...])                    # one part per device
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from edgefer.data.naming import counted
from edgefer.escaping import printable
from edgefer.report.terminal.evaluation import accuracy_text, describe
from edgefer.results.benchmark import BenchmarkResult, Comparison, SoakInterval, merge_intervals
from edgefer.results.device_state import DeviceState
from edgefer.results.latency import Latency
from edgefer.results.measurement import Measurement
from edgefer.text_table import WIDTH, table

__all__ = ["outcomes_text"]

STAGES = ("preprocess", "set", "invoke", "get")
MAX_SOAK_ROWS = 20
HEADERS = ("threads", "p50 us", "p90 us", "p99 us", "set to get us", "init ms", "first ms", "RSS MiB", "runs")
SOAK_HEADERS = ("s", "p50 us", "p90 us", "C", "MHz", "throttled by")
SENSORS = (("temperature_c", "C", 0), ("clock_mhz", "MHz", 0), ("power_w", "W", 1))


def outcomes_text(results: Sequence[BenchmarkResult]) -> str:
    """Render benchmark results, one part per device."""
    return "\n\n".join(_device(result, is_alone=len(results) == 1) for result in results)


def _device(result: BenchmarkResult, *, is_alone: bool) -> str:
    parts = [] if is_alone and result.device == "local" else [_line(f"device: {result.device}")]
    parts += [_filled(_line(result.failure), "incomplete: ")] if result.failure else []
    for group in _groups(result.measurements):
        parts += [_measurements(group), *_stages(group[0])]
    parts += [_comparison(result, index) for index in range(len(result.comparisons))]
    parts += [_filled(cause, "why int8 is not faster here: ") for cause in result.causes]
    for evaluation in result.evaluations:
        parts.append(_filled(describe(evaluation), f"{evaluation.model}: "))
        if evaluation.deduplicated is not None:
            parts.append(f"  excluding duplicates of Training images: {accuracy_text(evaluation.deduplicated)}")
    states = [state for measurement in result.measurements for state in measurement.conditions]
    parts += _device_state([*states, *(interval.conditions for interval in result.soak)])
    for measurement in result.measurements:
        if measurement.energy_mj is not None:
            energy = f"{measurement.energy_mj:.3g} mJ ({_name(measurement)})"
            parts.append(_filled(energy, "energy per run of the whole device: "))
    if result.soak:
        parts.append(_soak(result.soak))
    return "\n".join(parts)


def _groups(measurements: Sequence[Measurement]) -> list[list[Measurement]]:
    """Group measurements by model, file, runtime and kernels."""
    groups: dict[tuple[object, ...], list[Measurement]] = {}
    for measurement in measurements:
        subject = measurement.subject
        key = (subject.get("sha256"), subject.get("file"), measurement.runtime, measurement.kernels)
        groups.setdefault(key, []).append(measurement)
    return list(groups.values())


def _measurements(group: Sequence[Measurement]) -> str:
    """Render one row per number of threads, with warnings below."""
    first = group[0]
    subject, device = first.subject, first.device
    size = f", {subject['file_bytes']:,} bytes" if subject.get("file_bytes") is not None else ""
    warnings = [
        _filled(warning, f"warning ({_threads(measurement)}): ")
        for measurement in group
        for warning in measurement.warnings()
    ]
    return "\n".join(
        [
            _line(f"{_file(first)}: {subject.get('scheme', '?')}{size}"),
            _line(f"{first.runtime} {first.runtime_version} on {first.processor}, {device['cores']} cores"),
            table(HEADERS, [_row(measurement) for measurement in group]),
            *warnings,
        ]
    )


def _row(measurement: Measurement) -> list[object]:
    rss = measurement.peak_rss_bytes
    return [
        measurement.threads,
        f"{measurement.invoke.p50_ns / 1000:.1f}",
        f"{measurement.invoke.p90_ns / 1000:.1f}",
        f"{measurement.invoke.p99_ns / 1000:.1f}",
        f"{measurement.set_to_get.p50_ns / 1000:.1f}",
        f"{measurement.init_ns / 1e6:.2f}",
        f"{measurement.first_ns / 1e6:.2f}",
        None if rss is None else f"{rss / 2**20:.0f}",
        f"{measurement.invoke.runs:,}",
    ]


def _stages(measurement: Measurement) -> list[str]:
    stages: dict[str, Latency | None] = {name: getattr(measurement, name) for name in STAGES}
    times = [f"{name} {stage.p50_ns / 1000:.1f}" for name, stage in stages.items() if stage is not None]
    return [f"stages, p50 us: {', '.join(times)}"] if len(times) == len(STAGES) else []


def _comparison(result: BenchmarkResult, index: int) -> str:
    comparison = result.comparisons[index]
    first, second = (_name(result.measurements[position]) for position in (comparison.first, comparison.second))
    return _filled(f"{second}, takes {comparison.ratio:.2f} x {first} ({_interval(comparison)})")


def _interval(comparison: Comparison) -> str:
    if comparison.interval is None or comparison.confidence is None:
        rounds = f": {counted(comparison.rounds, 'round')}" if comparison.rounds else ""
        return f"no interval{rounds}"
    low, high = comparison.interval
    return f"{100 * comparison.confidence:.0f} %: {low:.2f} to {high:.2f}"


def _name(measurement: Measurement) -> str:
    return _line(f"{_file(measurement)} on {measurement.runtime}, {_threads(measurement)}")


def _file(measurement: Measurement) -> str:
    return str(measurement.subject.get("file") or "?")


def _line(text: str) -> str:
    """Escape the line breaks of text from a record, which could forge a line of the output."""
    return printable(text, kept="")


def _threads(measurement: Measurement) -> str:
    return counted(measurement.threads, "thread")


def _device_state(samples: Sequence[DeviceState]) -> list[str]:
    """Render the range of each sensor over the benchmark, and throttling before it."""
    if not samples:
        return []
    ranges = []
    for name, unit, decimals in SENSORS:
        values = [getattr(sample, name) for sample in samples if getattr(sample, name) is not None]
        if values:
            ranges.append(f"{min(values):.{decimals}f} to {max(values):.{decimals}f} {unit}")
    since_boot = samples[0].throttled_since_boot
    ranges += [f"throttled between boot and benchmark by: {', '.join(since_boot)}"] if since_boot else []
    return [_filled("; ".join(ranges), "device during the benchmark: ")] if ranges else []


def _soak(intervals: Sequence[SoakInterval]) -> str:
    rows = []
    merged = merge_intervals(intervals, most=MAX_SOAK_ROWS)
    for interval in merged:
        state = interval.conditions
        sensors = [None if value is None else f"{value:.0f}" for value in (state.temperature_c, state.clock_mhz)]
        times = [f"{state.elapsed_s:.0f}", f"{interval.p50_us:.1f}", f"{interval.p90_us:.1f}"]
        rows.append([*times, *sensors, ", ".join(state.throttled) or None])
    text = table(SOAK_HEADERS, rows)
    if len(merged) == len(intervals):
        return text
    note = f"{len(intervals)} intervals; a row has the median p50, the highest p90 and C, and the lowest MHz of several"
    return f"{text}\n{_filled(note)}"


def _filled(text: str, prefix: str = "") -> str:
    return textwrap.fill(f"{prefix}{text}", WIDTH, subsequent_indent="  ")
