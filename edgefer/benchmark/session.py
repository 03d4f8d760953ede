"""A Job on this device: each entry in fresh processes, in turns where there are several, and what the device was like.

    benched = carry_out(Job((Entry("small-int8.tflite"), Entry("small-float32.tflite")), rigour="standard"))

What is compared must not be told apart by the hour: a device grows warm, and another program comes and goes. So
entries take turns, A B, B A, a fresh process each time, and a comparison is of neighbours. While a model runs, the
device is looked at from outside of its process, and not often: a look is some files in /proc and /sys, a millisecond.

Which Python of this machine runs each entry of a job: two runtimes seldom live in one.

    job = with_pythons(job, "old/bin/python")
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from edgefer.benchmark.diagnosis import causes
from edgefer.benchmark.isolation import evaluate_in_subprocess, measure_in_subprocess
from edgefer.contract.artifact import Artifact
from edgefer.device import platform
from edgefer.errors import MeasurementInvalid
from edgefer.inference.evaluation import ScoreRequest
from edgefer.inference.interpreters import installed
from edgefer.inference.runtime import choose
from edgefer.progress import Progress, silent
from edgefer.results.benchmark import BenchmarkCase, BenchmarkPlan, BenchmarkResult, Comparison, SoakInterval
from edgefer.results.device_state import DeviceState
from edgefer.results.measurement import BenchRequest, Latency, Measurement

__all__ = ["run_benchmark", "select_interpreters"]

SOAK_STEP_S = 5.0
LOOK_EVERY_S = 2.0
# Long enough for a median, short enough not to be waited for.
EXPERIMENT_S = 1.0
COOLDOWN_LOOK_S, LONGEST_COOLDOWN_S = 5.0, 600.0
RESAMPLES = 2000

Look = Callable[[float], DeviceState]


def run_benchmark(
    job: BenchmarkPlan,
    *,
    device: str = "local",
    progress: Progress = silent,
    on_measurement: Callable[[Measurement], None] = lambda measurement: None,
    look: Look = platform.sample,
) -> BenchmarkResult:
    """Do what ``job`` asks for.

    Args:
        job: its paths are of this device.
        device: what to call the device.
        progress: told between rounds.
        on_measurement: given each measurement when its last round is done, before the rest of the job.
        look: asked for the device's condition, with the seconds since the begin.

    Raises:
        EdgeferError: what a bench or an evaluation raised; or the device does not cool down.
    """
    settled = job.settled
    begin = time.monotonic()
    steps = settled.rounds * len(job.entries) + (0 if job.accuracy is None else len(_scored(job))) + (job.soak_s > 0)
    seen = [look(0.0)]
    rounds: list[list[Measurement]] = [[] for _ in job.entries]
    done = 0
    for number in range(settled.rounds):
        for index in _order(len(job.entries), number):
            _cool_down(job.cooldown_c, look, progress=progress)
            progress(done, steps, f"round {number + 1} of {settled.rounds}")
            entry = job.entries[index]
            with _watched(look, begin, seen):
                rounds[index].append(measure_in_subprocess(_request(entry, job), python=entry.python))
            seen.append(look(time.monotonic() - begin))
            done += 1
            if number == settled.rounds - 1:
                on_measurement(Measurement.pooled(rounds[index], seen))
    measurements = tuple(Measurement.pooled(each, seen) for each in rounds)
    evaluations = []
    for request, python in _scored(job) if job.accuracy is not None else []:
        progress(done, steps, "accuracy")
        evaluations.append(evaluate_in_subprocess(request, python=python))
        done += 1
    soak = _soak(job, look, begin, progress=progress) if job.soak_s else ()
    progress(steps, steps, "done")
    return BenchmarkResult(
        device, measurements, _comparisons(rounds), tuple(evaluations), soak, _causes(job, measurements)
    )


@contextmanager
def _watched(look: Look, begin: float, seen: list[DeviceState]) -> Iterator[None]:
    """Look at the device every other second until the block ends, and enter what is seen."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY_S):
            seen.append(replace(look(time.monotonic() - begin), running=True))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def _order(count: int, number: int) -> Sequence[int]:
    # A B, B A: who goes first is warmed by nobody.
    return range(count) if number % 2 == 0 else range(count - 1, -1, -1)


def _request(entry: BenchmarkCase, job: BenchmarkPlan, seconds: float | None = None) -> BenchRequest:
    settled = job.settled
    return BenchRequest(
        model=entry.model,
        faces=job.faces,
        runtime=entry.runtime,
        threads=entry.threads,
        kernels=entry.kernels,
        minimum_runs=1 if seconds else -(-settled.runs // settled.rounds),
        minimum_seconds=seconds or settled.seconds / settled.rounds,
        samples=True,
    )


def _scored(job: BenchmarkPlan) -> list[tuple[ScoreRequest, str]]:
    """One for each model, runtime and kernels; threads do not change an answer."""
    found: dict[tuple[object, ...], tuple[ScoreRequest, str]] = {}
    for entry in job.entries:
        key = (entry.model, entry.runtime, entry.kernels, entry.python)
        request = ScoreRequest(entry.model, str(job.faces), job.accuracy or None, entry.runtime, 1, entry.kernels)
        found.setdefault(key, (request, entry.python))
    return list(found.values())


def _cool_down(limit_c: float | None, look: Look, *, progress: Progress) -> None:
    begin = time.monotonic()
    while limit_c is not None:
        temperature = look(0.0).temperature_c
        if temperature is None:
            why = "--cooldown waits for one"
            raise MeasurementInvalid("the device tells no temperature", why=why, hint="leave it out")
        if temperature < limit_c:
            return
        if time.monotonic() - begin > LONGEST_COOLDOWN_S:
            raise MeasurementInvalid(
                f"the device is at {temperature:.0f} C and does not cool down to {limit_c:g} C",
                why=f"waited {LONGEST_COOLDOWN_S / 60:.0f} minutes",
                hint="a fan, or a higher --cooldown",
            )
        progress(0, 1, f"{temperature:.0f} C, waiting for {limit_c:g} C")
        time.sleep(COOLDOWN_LOOK_S)


def _soak(job: BenchmarkPlan, look: Look, begin: float, *, progress: Progress) -> tuple[SoakInterval, ...]:
    """The first entry for a long time, a row every few seconds."""
    entry, rows, soak_begin = job.entries[0], list[SoakInterval](), time.monotonic()
    while (elapsed := time.monotonic() - soak_begin) < job.soak_s:
        progress(int(elapsed), int(job.soak_s), "soaking")
        step = min(SOAK_STEP_S, job.soak_s - elapsed)
        invoke: Latency = measure_in_subprocess(_request(entry, job, seconds=max(step, 0.1)), python=entry.python).invoke
        rows.append(SoakInterval(invoke.p50_ns / 1000, invoke.p90_ns / 1000, look(time.monotonic() - begin)))
    return tuple(rows)


def _comparisons(rounds: Sequence[Sequence[Measurement]]) -> tuple[Comparison, ...]:
    """Each but the first with the first, round by round; none where there were no turns."""
    medians = np.array([[each.invoke.p50_ns for each in one] for one in rounds], np.float64)
    found = []
    for second in range(1, len(rounds)):
        ratios = medians[second] / medians[0]
        drawn = np.random.default_rng(0).choice(ratios, (RESAMPLES, len(ratios)))
        low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
        found.append(Comparison(0, second, float(np.median(ratios)), (float(low), float(high))))
    return tuple(found)


def _causes(job: BenchmarkPlan, measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """For the first pair of a float and an int8 model that ran in the same way."""
    for plain in measurements:
        for entry, int8 in zip(job.entries, measurements):
            same = (plain.runtime, plain.threads, plain.kernels) == (int8.runtime, int8.threads, int8.kernels)
            if same and plain.subject["scheme"] == "float32" and str(int8.subject["scheme"]).startswith("int8"):
                model = Artifact.load(Path(entry.model)).model
                return causes(plain, int8, model=model, other_threads=partial(_other_threads, entry, job, int8))
    return ()


def _other_threads(entry: BenchmarkCase, job: BenchmarkPlan, measured: Measurement) -> Measurement | None:
    """The same with one thread, or with two where that was one; None on a single core."""
    if measured.threads == 1 and int(measured.device["cores"]) < 2:
        return None
    other = replace(entry, threads=2 if measured.threads == 1 else 1)
    return measure_in_subprocess(_request(other, job, seconds=EXPERIMENT_S), python=entry.python)


def select_interpreters(job: BenchmarkPlan, python: str | None) -> BenchmarkPlan:
    """The job with ``python`` in the entries whose runtime is not installed here and is there.

    Raises:
        UsageError: no such interpreter.
        IncompatibleError: a runtime is in neither.
    """
    here = installed().runtimes
    there = installed(python).runtimes if python else {}
    entries = []
    for entry in job.entries:
        if python and entry.runtime in there and entry.runtime not in here:
            entries.append(replace(entry, python=python))
        else:
            choose(entry.runtime)  # raises, and names what to install
            entries.append(entry)
    return replace(job, entries=tuple(entries))
