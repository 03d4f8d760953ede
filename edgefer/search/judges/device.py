"""device: latency on boards over SSH, the 90th percentile of one thread. Several boards of one kind share the work."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from edgefer.errors import DeviceUnreachable, UsageError
from edgefer.fleet.connection import connect
from edgefer.fleet.probe import probe
from edgefer.fleet.registry import Device, Registry
from edgefer.fleet.remote_benchmark import RemoteBenchmark, run_remote_benchmark
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.search.judge import Cost, read_seconds

__all__ = ["DESCRIPTION", "OPTIONS", "DeviceJudge", "open_judge"]

DESCRIPTION = "latency on the boards of --device over SSH, p90 of one thread"
OPTIONS = {"runtime": "runtime that runs the model", "seconds": "seconds per model, 3 by default"}
# The lock of a board, and a connection that breaks, are temporary.
RETRIES, RETRY_S = 20, 15.0


class DeviceJudge:
    """Benchmarks on boards."""

    unit = "us"

    def __init__(self, devices: Sequence[Device], *, runtime: str | None, seconds: float) -> None:
        self._devices, self._runtime, self._seconds = tuple(devices), runtime, seconds
        self.places = len(self._devices)
        self.description = f"latency p90 on {', '.join(device.name for device in self._devices)}"

    @cached_property
    def _program(self) -> RemoteBenchmark:
        return RemoteBenchmark(BenchmarkPlan(()))

    def check(self) -> None:
        """Check that each board answers and has a runtime."""
        for device in self._devices:
            with closing(connect(device)) as connection:
                facts = probe(connection, [device.python] if device.python else [])
            facts.select_runtime(self._runtime or device.runtime or None, device=device.name)
        _ = self._program

    def measure(self, model: Path, *, place: int, stop: threading.Event) -> Cost:
        """Measure the p90 of a model on a board, in microseconds; wait for a board that is busy or not reachable.

        Raises:
            DeviceUnreachable: the board does not answer, or is busy, for minutes.
            EdgeferError: the model does not run on the board.
        """
        device = self._devices[place]
        plan = BenchmarkPlan((BenchmarkCase(str(model), self._runtime),), seconds=self._seconds)
        benchmark = replace(self._program, plan=plan)
        outcome = run_remote_benchmark(device, benchmark, stop=stop)
        for _ in range(RETRIES):
            if not isinstance(outcome.error, DeviceUnreachable) or stop.wait(RETRY_S):
                break
            outcome = run_remote_benchmark(device, benchmark, stop=stop)
        if outcome.result is None:
            raise outcome.error or DeviceUnreachable(f"{device.name} sent no result")
        return Cost(outcome.result.measurements[0].p90_us, device.name, outcome.result.invalid())


def open_judge(options: Mapping[str, str], devices: Sequence[str]) -> DeviceJudge:
    """Create the judge for registered devices and addresses."""
    if not devices:
        raise UsageError("the judge device without --device", why="it measures on boards", hint="--device NAME")
    seconds = read_seconds(options, judge="device")
    return DeviceJudge(Registry.read().select(devices), runtime=options.get("runtime"), seconds=seconds)
