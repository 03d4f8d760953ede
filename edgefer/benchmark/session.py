"""Run a benchmark plan on this device: measurement rounds, accuracy, a soak test and a diagnosis.

    plan = BenchmarkPlan((BenchmarkCase("small-int8.tflite"), BenchmarkCase("small-float32.tflite")), preset="standard")
    result = run_benchmark(select_interpreters(plan, "old/bin/python"))

Temperature and load of a device change over time, so compared cases alternate: A B, B A, each in a fresh process. Every
case has its own device states. They are sampled outside the measured process, and rarely: a sample reads a few files in
/proc and /sys, which takes about a millisecond.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from edgefer.benchmark.diagnosis import diagnose_int8_latency
from edgefer.benchmark.isolation import evaluate_in_subprocess, measure_in_subprocess
from edgefer.contract.artifact import Artifact
from edgefer.device import platform
from edgefer.errors import MeasurementInvalid
from edgefer.inference.evaluation import EvaluationRequest
from edgefer.inference.interpreters import installed_runtimes
from edgefer.inference.runtime import select_runtime
from edgefer.progress import Progress, silent
from edgefer.results.benchmark import BenchmarkResult, SoakInterval, compare_rounds
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan
from edgefer.results.device_state import DeviceState, merge_states
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import BenchRequest, Measurement

__all__ = ["run_benchmark", "select_interpreters"]

SOAK_INTERVAL_S = 5.0
MIN_SOAK_INTERVAL_S = 0.1
SAMPLE_INTERVAL_S = 2.0
# A process that ends is noticed within this time.
EXIT_S = 0.1
# Long enough for a median, short enough to go unnoticed.
DIAGNOSIS_S = 1.0
COOLDOWN_POLL_S, MAX_COOLDOWN_S = 5.0, 600.0

StateReader = Callable[[float], DeviceState]
"""read_state(elapsed_s): the device state now, ``elapsed_s`` seconds after the start of the benchmark."""


def run_benchmark(
    plan: BenchmarkPlan,
    *,
    device: str = "local",
    progress: Progress = silent,
    on_measurement: Callable[[Measurement], None] = lambda measurement: None,
    on_partial: Callable[[BenchmarkResult], None] = lambda result: None,
    read_state: StateReader = platform.sample_state,
) -> BenchmarkResult:
    """Run a benchmark plan on this device.

    Args:
        plan: its paths are valid on this device.
        device: name of the device in the result.
        progress: called between rounds.
        on_measurement: called with each measurement as soon as its last round has ended.
        on_partial: called with the result so far after the last round, after each evaluation and after each interval of
            the soak test, which are lost otherwise if a later step fails.
        read_state: reads the device state.

    Raises:
        MeasurementInvalid: the device has no temperature sensor, or does not cool down.
        EdgeferError: a measurement or an evaluation failed.
    """
    evaluations, monitor = _evaluation_requests(plan), _StateMonitor(read_state)
    measuring_steps = plan.resolved.rounds * len(plan.cases)
    steps = measuring_steps + len(evaluations) + (plan.soak_s > 0)
    measurements = _measure_rounds(plan, monitor, steps=steps, progress=progress, on_measurement=on_measurement)
    result = BenchmarkResult(device, measurements, compare_rounds(measurements))
    on_partial(result)
    for done, (request, case) in enumerate(evaluations, measuring_steps):
        progress(done, steps, "accuracy")
        result = replace(result, evaluations=(*result.evaluations, _evaluate(request, case)))
        on_partial(result)
    for interval in _soak(plan, monitor, progress=progress):
        result = replace(result, soak=(*result.soak, interval))
        on_partial(result)
    progress(steps, steps, "done")
    return replace(result, causes=_diagnose(plan, measurements))


class _StateMonitor:
    """Sampler of the device state, with times relative to its creation."""

    def __init__(self, read_state: StateReader) -> None:
        self._read_state, self._begin = read_state, time.monotonic()

    def sample(self, *, running: bool = False) -> DeviceState:
        return replace(self._read_state(time.monotonic() - self._begin), running=running)

    @contextmanager
    def watch(self, states: list[DeviceState], *, interval_s: float = SAMPLE_INTERVAL_S) -> Iterator[None]:
        """Append a sample to ``states`` every ``interval_s`` seconds until the block ends."""
        ended = threading.Event()

        def sample() -> None:
            while not ended.wait(interval_s):
                state = self.sample(running=True)
                # The model may have stopped before the sensor answered.
                if not ended.wait(EXIT_S):
                    states.append(state)

        sampler = threading.Thread(target=sample, daemon=True)
        sampler.start()
        try:
            yield
        finally:
            ended.set()
            sampler.join()


def _measure_rounds(
    plan: BenchmarkPlan,
    monitor: _StateMonitor,
    *,
    steps: int,
    progress: Progress,
    on_measurement: Callable[[Measurement], None],
) -> tuple[Measurement, ...]:
    """Measure the cases in turns, round by round, and return one measurement per case with its device states.

    Args:
        plan: the cases and the number of rounds.
        monitor: samples the device states before, during and after each round.
        steps: number of steps of the whole benchmark, of which the rounds are the first.
        progress: called before each step.
        on_measurement: called with each measurement after its last round.
    """
    rounds, done, idle = plan.resolved.rounds, 0, monitor.sample()
    measured: list[list[Measurement]] = [[] for _ in plan.cases]
    states: list[list[DeviceState]] = [[] for _ in plan.cases]
    for number in range(rounds):
        for index in _alternate(len(plan.cases), number):
            _cool_down(plan.cooldown_c, monitor, progress=progress)
            progress(done, steps, f"round {number + 1} of {rounds}")
            # The sample after one round is the sample before the next, unless another case ran in between.
            if not states[index] or states[index][-1] is not idle:
                states[index].append(idle)
            with monitor.watch(states[index]):
                measured[index].append(_measure(plan.cases[index], plan))
            idle = monitor.sample()
            states[index].append(idle)
            done += 1
            if number == rounds - 1:
                on_measurement(Measurement.pooled(measured[index], states[index]))
    return tuple(map(Measurement.pooled, measured, states))


def _alternate(count: int, number: int) -> Sequence[int]:
    """Return the order of the cases in a round: reversed in every second round, so that none always runs first."""
    return range(count) if number % 2 == 0 else range(count - 1, -1, -1)


def _request(case: BenchmarkCase, plan: BenchmarkPlan, seconds: float | None = None) -> BenchRequest:
    """Return the request for one round of a case, or for ``seconds`` seconds without a minimum of runs."""
    preset = plan.resolved
    return BenchRequest(
        model=case.model,
        faces=case.faces or plan.faces,
        runtime=case.runtime,
        threads=case.threads,
        kernels=case.kernels,
        minimum_runs=1 if seconds else -(-preset.runs // preset.rounds),
        minimum_seconds=seconds or preset.seconds / preset.rounds,
        samples=True,
    )


def _measure(case: BenchmarkCase, plan: BenchmarkPlan) -> Measurement:
    """Measure one round of a case."""
    measurement = measure_in_subprocess(_request(case, plan), python=case.python)
    return replace(measurement, subject=_named(measurement.subject, case))


def _evaluate(request: EvaluationRequest, case: BenchmarkCase) -> Evaluation:
    evaluation = evaluate_in_subprocess(request, python=case.python)
    model = str(PurePath(case.name).with_suffix("")) if case.name else evaluation.model
    return replace(evaluation, model=model, subject=_named(evaluation.subject, case))


def _named(subject: Mapping[str, Any], case: BenchmarkCase) -> Mapping[str, Any]:
    return {**subject, "file": case.name} if case.name else subject


def _evaluation_requests(plan: BenchmarkPlan) -> list[tuple[EvaluationRequest, BenchmarkCase]]:
    """Return one request and its case per model, runtime and kernels; threads do not change a prediction."""
    if plan.accuracy is None:
        return []
    requests: dict[tuple[object, ...], tuple[EvaluationRequest, BenchmarkCase]] = {}
    for case in plan.cases:
        key = (case.model, case.runtime, case.kernels, case.python)
        request = EvaluationRequest(
            case.model, str(case.faces or plan.faces), plan.accuracy or None, case.runtime, 1, case.kernels
        )
        requests.setdefault(key, (request, case))
    return list(requests.values())


def _cool_down(limit_c: float | None, monitor: _StateMonitor, *, progress: Progress) -> None:
    """Wait until the device is cooler than ``limit_c`` degrees Celsius."""
    begin = time.monotonic()
    while limit_c is not None:
        temperature = monitor.sample().temperature_c
        if temperature is None:
            raise MeasurementInvalid(
                "--cooldown needs a temperature sensor", why="none found on this device", hint="omit --cooldown"
            )
        if temperature < limit_c:
            return
        if time.monotonic() - begin > MAX_COOLDOWN_S:
            raise MeasurementInvalid(
                f"the device did not cool down to {limit_c:g} C within {MAX_COOLDOWN_S / 60:.0f} minutes",
                why=f"its temperature is {temperature:g} C",
                hint="add a fan, or set a higher --cooldown",
            )
        progress(0, 1, f"cooling down from {temperature:.0f} C to {limit_c:g} C")
        time.sleep(COOLDOWN_POLL_S)


def _soak(plan: BenchmarkPlan, monitor: _StateMonitor, *, progress: Progress) -> Iterator[SoakInterval]:
    """Run the first case for ``plan.soak_s`` seconds, in intervals of a few seconds."""
    case, begin = plan.cases[0], time.monotonic()
    while (elapsed := time.monotonic() - begin) < plan.soak_s:
        progress(int(elapsed), int(plan.soak_s), "soak test")
        seconds = max(min(SOAK_INTERVAL_S, plan.soak_s - elapsed), MIN_SOAK_INTERVAL_S)
        states: list[DeviceState] = []
        # Samples in the middle and near the end of the interval.
        with monitor.watch(states, interval_s=min(SAMPLE_INTERVAL_S, seconds / 2)):
            latency = measure_in_subprocess(_request(case, plan, seconds=seconds), python=case.python).invoke
        state = merge_states(states) if states else monitor.sample()
        yield SoakInterval(latency.p50_ns / 1000, latency.p90_ns / 1000, state)


def _diagnose(plan: BenchmarkPlan, measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """Diagnose the first pair of a float and an int8 model with the same runtime, threads and kernels."""
    for float_measurement in measurements:
        for case, int8 in zip(plan.cases, measurements):
            settings = ("runtime", "threads", "kernels")
            same = all(getattr(float_measurement, name) == getattr(int8, name) for name in settings)
            schemes = float_measurement.subject["scheme"], str(int8.subject["scheme"])
            if same and schemes[0] == "float32" and schemes[1].startswith("int8"):
                model = Artifact.load(Path(case.model)).model
                measure_other = partial(_measure_other_threads, case, plan, int8)
                return diagnose_int8_latency(float_measurement, int8, model=model, measure_other_threads=measure_other)
    return ()


def _measure_other_threads(case: BenchmarkCase, plan: BenchmarkPlan, measured: Measurement) -> Measurement | None:
    """Measure a case with one thread, or with two if it had one; return None on a single core."""
    if measured.threads == 1 and int(measured.device["cores"]) < 2:
        return None
    other = replace(case, threads=2 if measured.threads == 1 else 1)
    return measure_in_subprocess(_request(other, plan, seconds=DIAGNOSIS_S), python=case.python)


def select_interpreters(plan: BenchmarkPlan, python: str | None) -> BenchmarkPlan:
    """Select the Python interpreter for each benchmark case.

    Args:
        plan: the cases and their runtimes.
        python: path of another interpreter, for runtimes that are installed only there; None if there is none.

    Raises:
        UsageError: ``python`` does not exist.
        IncompatibleError: neither interpreter has the runtime of a case.
    """
    here = installed_runtimes().runtimes
    there = installed_runtimes(python).runtimes if python else {}
    cases = []
    for case in plan.cases:
        if python and case.runtime in there and case.runtime not in here:
            cases.append(replace(case, python=python))
        else:
            select_runtime(case.runtime)  # raises an error with the command that installs it
            cases.append(case)
    return replace(plan, cases=tuple(cases))
