"""Plot the latency distribution in a result file of ``edgefer bench --samples``.

edgefer bench nano --samples --out bench.json
python examples/plot_benchmark.py bench.json latency.png
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # no display needed
from matplotlib import pyplot as plt

from edgefer.results.benchmark import BenchmarkResult


def main(result: str, figure: str) -> None:
    """Read a benchmark and write a histogram of the inference times of its first model."""
    benchmark = BenchmarkResult.from_json(json.loads(Path(result).read_text(encoding="utf-8")))
    measurement = benchmark.measurements[0]
    if measurement.samples is None:
        sys.exit(f"{result} has no samples: run edgefer bench with --samples")
    times_us = measurement.samples.invoke_ns / 1000
    plot, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axis.hist(times_us, bins=60)
    axis.set(xlabel="inference time, µs", ylabel="inferences", title=measurement.subject["file"])
    axis.axvline(measurement.invoke.p50_ns / 1000, linestyle="--", color="black", label="p50")
    axis.legend()
    plot.savefig(figure)
    print(f"{figure}: {len(times_us)} inferences, p50 {measurement.invoke.p50_ns / 1000:.1f} µs")


if __name__ == "__main__":
    main(*sys.argv[1:3])
