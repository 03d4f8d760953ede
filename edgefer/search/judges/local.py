"""local: latency on this machine, the 90th percentile of one thread. Trainings on the same cores distort it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgefer.benchmark.isolation import benchmark_lock
from edgefer.benchmark.session import run_benchmark
from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.inference.runtime import select_runtime
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.search.judge import Cost, read_seconds

__all__ = ["DESCRIPTION", "OPTIONS", "LocalJudge", "open_judge"]

DESCRIPTION = "latency on this machine, p90 of one thread"
OPTIONS = {"runtime": "runtime that runs the model", "seconds": "seconds per model, 3 by default"}
# Another benchmark on this machine takes seconds to minutes.
LOCK_POLL_S = 1.0


class LocalJudge:
    """A benchmark on this machine."""

    unit, description, places = "us", DESCRIPTION, 1

    def __init__(self, *, runtime: str | None, seconds: float) -> None:
        self._runtime, self._seconds = runtime, seconds

    def check(self) -> None:
        """Check that the runtime is installed."""
        select_runtime(self._runtime)

    def measure(self, model: Path, *, place: int, stop: threading.Event) -> Cost:
        """Measure the p90 of a model, in microseconds, after other benchmarks on this machine have ended."""
        plan = BenchmarkPlan((BenchmarkCase(str(model), self._runtime),), seconds=self._seconds)
        while True:
            try:
                with benchmark_lock():
                    result = run_benchmark(plan)
            except DeviceUnreachable:
                if stop.wait(LOCK_POLL_S):
                    raise
                continue
            return Cost(result.measurements[0].p90_us, "this machine", result.invalid())


def open_judge(options: Mapping[str, str], devices: Sequence[str]) -> LocalJudge:
    """Create the judge."""
    if devices and set(devices) != {"local"}:
        raise UsageError(f"--device {devices[0]} with the judge local", why="it measures here", hint="--judge device")
    seconds = read_seconds(options, judge="local")
    return LocalJudge(runtime=options.get("runtime"), seconds=seconds)
