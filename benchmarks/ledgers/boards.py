"""Latencies that users contributed from their boards.

    boards_table(read([Path("benchmarks/boards")]).results.benches)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgefer.report.tables import Table
from edgefer.results.benchmark import BenchmarkResult

__all__ = ["boards_table"]

HEADERS = ("board", "model", "runtime", "system", "date", "threads", "p50, us", "p90, us")
LEGEND = "Latency of the model alone, without preprocessing, measured by users."


def boards_table(results: Sequence[BenchmarkResult]) -> Table:
    """Tabulate the measurements by board, model, runtime and threads; those of equal ones by date."""
    rows = sorted(row for result in results for row in _rows(result))
    return Table(HEADERS, [list(row) for _, row in rows], LEGEND, text_columns=5)


def _rows(result: BenchmarkResult) -> Iterator[tuple[tuple[str, str, str, int, str], tuple[str, ...]]]:
    for measurement in result.measurements:
        model = str(measurement.subject.get("file", "")).removesuffix(".tflite")
        runtime = f"{measurement.runtime} {measurement.runtime_version}"
        bits = measurement.device.get("bits")
        system = f"{measurement.device.get('os')}{f', {bits} bits' if bits else ''}"
        key = (result.device, model, runtime, measurement.threads, measurement.started_at)
        yield key, (
            result.device, model, runtime, system, measurement.started_at, str(measurement.threads),
            f"{measurement.p50_us:,.0f}", f"{measurement.p90_us:,.0f}",
        )  # fmt: skip
