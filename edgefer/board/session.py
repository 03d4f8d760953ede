"""A Job on this device: each entry in fresh processes, in turns where there are several, and what the device was like.

    benched = carry_out(Job((Entry("small-int8.tflite"), Entry("small-float32.tflite")), rigour="standard"))

What is compared must not be told apart by the hour: a device grows warm, and another program comes and goes. So
entries take turns, A B, B A, a fresh process each time, and a comparison is of neighbours. While a model runs, the
device is looked at from outside of its process, and not often: a look is some files in /proc and /sys, a millisecond.
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

from edgefer.artefact import Artefact
from edgefer.benched import Benched, Comparison, Soaked
from edgefer.board import platform
from edgefer.board.apart import evaluate_apart, measure_apart
from edgefer.board.score import ScoreRequest
from edgefer.board.why import causes
from edgefer.conditions import Conditions
from edgefer.errors import MeasurementInvalid
from edgefer.job import Entry, Job
from edgefer.measurement import BenchRequest, Latency, Measurement
from edgefer.progress import Progress, silent

__all__ = ["carry_out"]

SOAK_STEP_S = 5.0
LOOK_EVERY_S = 2.0
# Long enough for a median, short enough not to be waited for.
EXPERIMENT_S = 1.0
COOLDOWN_LOOK_S, LONGEST_COOLDOWN_S = 5.0, 600.0
RESAMPLES = 2000

Look = Callable[[float], Conditions]


def carry_out(
    job: Job,
    *,
    device: str = "local",
    progress: Progress = silent,
    on_measurement: Callable[[Measurement], None] = lambda measurement: None,
    look: Look = platform.sample,
) -> Benched:
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
                rounds[index].append(measure_apart(_request(entry, job), python=entry.python))
            seen.append(look(time.monotonic() - begin))
            done += 1
            if number == settled.rounds - 1:
                on_measurement(Measurement.pooled(rounds[index], seen))
    measurements = tuple(Measurement.pooled(each, seen) for each in rounds)
    evaluations = []
    for request, python in _scored(job) if job.accuracy is not None else []:
        progress(done, steps, "accuracy")
        evaluations.append(evaluate_apart(request, python=python))
        done += 1
    soak = _soak(job, look, begin, progress=progress) if job.soak_s else ()
    progress(steps, steps, "done")
    return Benched(
        device, measurements, _comparisons(rounds), tuple(evaluations), soak, _causes(job, measurements)
    )


@contextmanager
def _watched(look: Look, begin: float, seen: list[Conditions]) -> Iterator[None]:
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


def _request(entry: Entry, job: Job, seconds: float | None = None) -> BenchRequest:
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


def _scored(job: Job) -> list[tuple[ScoreRequest, str]]:
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
            raise MeasurementInvalid("the device tells no temperature", why=why, fix="leave it out")
        if temperature < limit_c:
            return
        if time.monotonic() - begin > LONGEST_COOLDOWN_S:
            raise MeasurementInvalid(
                f"the device is at {temperature:.0f} C and does not cool down to {limit_c:g} C",
                why=f"waited {LONGEST_COOLDOWN_S / 60:.0f} minutes",
                fix="a fan, or a higher --cooldown",
            )
        progress(0, 1, f"{temperature:.0f} C, waiting for {limit_c:g} C")
        time.sleep(COOLDOWN_LOOK_S)


def _soak(job: Job, look: Look, begin: float, *, progress: Progress) -> tuple[Soaked, ...]:
    """The first entry for a long time, a row every few seconds."""
    entry, rows, soak_begin = job.entries[0], list[Soaked](), time.monotonic()
    while (elapsed := time.monotonic() - soak_begin) < job.soak_s:
        progress(int(elapsed), int(job.soak_s), "soaking")
        step = min(SOAK_STEP_S, job.soak_s - elapsed)
        invoke: Latency = measure_apart(_request(entry, job, seconds=max(step, 0.1)), python=entry.python).invoke
        rows.append(Soaked(invoke.p50_ns / 1000, invoke.p90_ns / 1000, look(time.monotonic() - begin)))
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


def _causes(job: Job, measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """For the first pair of a float and an int8 model that ran in the same way."""
    for plain in measurements:
        for entry, int8 in zip(job.entries, measurements):
            same = (plain.runtime, plain.threads, plain.kernels) == (int8.runtime, int8.threads, int8.kernels)
            if same and plain.subject["scheme"] == "float32" and str(int8.subject["scheme"]).startswith("int8"):
                model = Artefact.load(Path(entry.model)).model
                return causes(plain, int8, model=model, other_threads=partial(_other_threads, entry, job, int8))
    return ()


def _other_threads(entry: Entry, job: Job, measured: Measurement) -> Measurement | None:
    """The same with one thread, or with two where that was one; None on a single core."""
    if measured.threads == 1 and int(measured.device["cores"]) < 2:
        return None
    other = replace(entry, threads=2 if measured.threads == 1 else 1)
    return measure_apart(_request(other, job, seconds=EXPERIMENT_S), python=entry.python)

