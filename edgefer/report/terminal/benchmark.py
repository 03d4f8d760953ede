"""What a bench came to, for a terminal of 80 columns.

    outcomes_text([benched, ...])
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from edgefer.report.terminal.evaluation import describe, measurements_text, points
from edgefer.results.benchmark import BenchmarkResult, SoakInterval
from edgefer.results.device_state import DeviceState
from edgefer.results.measurement import Latency, Measurement
from edgefer.text_table import WIDTH, table

__all__ = ["outcomes_text"]

STAGES = ("preprocess", "set", "invoke", "get")
MOST_SOAKED = 20


def outcomes_text(done: Sequence[BenchmarkResult]) -> str:
    """One part a device."""
    return "\n\n".join(_device(each, is_alone=len(done) == 1) for each in done)


def _device(benched: BenchmarkResult, *, is_alone: bool) -> str:
    parts = [] if is_alone and benched.device == "local" else [f"device: {benched.device}"]
    for group in _groups(benched.measurements):
        parts += [measurements_text(group), *_stages(group[0])]
    parts += [_comparison(benched, index) for index in range(len(benched.comparisons))]
    parts += [_folded(cause, "why int8 is not faster here: ") for cause in benched.causes]
    for evaluation in benched.evaluations:
        parts.append(_folded(describe(evaluation), f"{evaluation.model}: "))
        if evaluation.unseen is not None:
            parts.append(f"  without images that stand in Training too: {points(evaluation.unseen)}")
    parts += _conditions(benched.measurements[0].conditions)
    for each in benched.measurements:
        if each.energy_mj is not None:
            parts.append(f"energy of a run, the whole device: {each.energy_mj:.3g} mJ ({_name(each).rstrip(',')})")
    if benched.soak:
        parts.append(_soak(benched.soak))
    return "\n".join(parts)


def _groups(measurements: Sequence[Measurement]) -> list[list[Measurement]]:
    """Those of one model in one runtime together."""
    groups: dict[tuple[object, ...], list[Measurement]] = {}
    for each in measurements:
        groups.setdefault((each.subject.get("sha256"), each.runtime, each.kernels), []).append(each)
    return list(groups.values())


def _stages(measurement: Measurement) -> list[str]:
    stages: dict[str, Latency | None] = {name: getattr(measurement, name) for name in STAGES}
    told = [f"{name} {stage.p50_ns / 1000:.1f}" for name, stage in stages.items() if stage is not None]
    return [f"stages, p50 us: {', '.join(told)}"] if len(told) == len(STAGES) else []


def _comparison(benched: BenchmarkResult, index: int) -> str:
    comparison = benched.comparisons[index]
    low, high = comparison.interval
    names = [_name(benched.measurements[each]) for each in (comparison.second, comparison.first)]
    text = f"{names[0]} takes {comparison.ratio:.2f} x {names[1]} (95 %: {low:.2f} to {high:.2f})"
    return textwrap.fill(text, WIDTH, subsequent_indent="  ")


def _name(measurement: Measurement) -> str:
    threads = f"{measurement.threads} thread{'s' * (measurement.threads > 1)}"
    return f"{measurement.subject['file']} on {measurement.runtime}, {threads},"


def _conditions(samples: Sequence[DeviceState]) -> list[str]:
    """What is known of the device, first to last, with the extremes between."""
    if not samples:
        return []
    told = []
    for name, unit in (("temperature_c", "C"), ("clock_mhz", "MHz"), ("power_w", "W")):
        values = [getattr(sample, name) for sample in samples if getattr(sample, name) is not None]
        if values:
            told.append(f"{min(values):.0f} to {max(values):.0f} {unit}")
    since = samples[0].throttled_since_boot
    told += [f"before the bench, since boot: {', '.join(since)}"] if since else []
    return [_folded("; ".join(told), "the device meanwhile: ")] if told else []


def _soak(rows: Sequence[SoakInterval]) -> str:
    step = max(1, len(rows) // MOST_SOAKED)
    cells = [
        [
            f"{row.conditions.elapsed_s:.0f}",
            f"{row.p50_us:.1f}",
            f"{row.p90_us:.1f}",
            None if row.conditions.temperature_c is None else f"{row.conditions.temperature_c:.0f}",
            None if row.conditions.clock_mhz is None else f"{row.conditions.clock_mhz:.0f}",
            ", ".join(row.conditions.throttled) or None,
        ]
        for row in rows[::step]
    ]
    return table(["s", "p50 us", "p90 us", "C", "MHz", "held back by"], cells)


def _folded(text: str, head: str) -> str:
    return textwrap.fill(f"{head}{text}", WIDTH, subsequent_indent="  ")
