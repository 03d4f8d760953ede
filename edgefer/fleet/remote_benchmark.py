"""A bench on a device that is reached over a Connection: check, push, run, and take back what came of it.

    outcome = bench(device, Order(Job(...), faces=content), progress=progress)
    outcome.benched, outcome.problem
    outcomes = bench_all(devices, order, progress_of=...)       # side by side; one that fails leaves the others alone

What travels is one zipapp of edgefer's board side, the models and a test set, each kept on the device under its hash.
The device is asked first what it has, so that a model its runtime cannot load costs no copy.
"""

from __future__ import annotations

import concurrent.futures
import json
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgefer.benchmark.remote_worker import read_event
from edgefer.contract.artifact import Artifact
from edgefer.deploy.bundle import SUFFIX, bundle
from edgefer.errors import DeviceUnreachable, EdgeferError, IncompatibleError
from edgefer.fleet.agent import Facts, probe, upload
from edgefer.fleet.connection import Connection, Stream, connect
from edgefer.fleet.registry import Device
from edgefer.inspection.compatibility import targets
from edgefer.inspection.flatbuffer import Model, read
from edgefer.processes import error_from_json
from edgefer.progress import Progress, silent
from edgefer.results.benchmark import BenchmarkPlan, BenchmarkResult
from edgefer.results.measurement import Measurement

__all__ = ["Outcome", "RemoteBenchmark", "run_remote_benchmark", "run_remote_benchmarks"]

# The device gives up after edgefer.benchmark.remote_worker.SILENCE_S without one.
HEARTBEAT_S = 5.0
IO_DTYPES = ("int8", "uint8", "int16", "float32")


@dataclass(frozen=True)
class RemoteBenchmark:
    """What shall be measured, before it is known where.

    Attributes:
        job: its entries name models by their path here, and it has no faces.
        faces: the content of the .npz that goes with it, or None.
        threads_of_device: whether a device's own numbers of threads take the place of the job's.
    """

    job: BenchmarkPlan
    faces: bytes | None = None
    threads_of_device: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of a bench on one device.

    Attributes:
        device: its name.
        benched: the whole result, or None.
        measurements: what had come until then, where there is no whole result.
        problem: why there is none, or None.
    """

    device: str
    benched: BenchmarkResult | None = None
    measurements: tuple[Measurement, ...] = ()
    problem: EdgeferError | None = None


def run_remote_benchmarks(
    devices: Sequence[Device], order: RemoteBenchmark, *, progress_of: Callable[[str], Progress] = lambda name: silent
) -> tuple[Outcome, ...]:
    """bench() on each of the devices at the same time; Ctrl-C ends them all."""
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(devices))) as pool:
        futures = [
            pool.submit(run_remote_benchmark, device, order, progress=progress_of(device.name), stop=stop) for device in devices
        ]
        try:
            return tuple(future.result() for future in futures)
        finally:
            stop.set()


def run_remote_benchmark(
    device: Device, order: RemoteBenchmark, *, progress: Progress = silent, stop: threading.Event | None = None
) -> Outcome:
    """Measure on ``device``; what goes wrong stands in the outcome, with what had been measured until then.

    Args:
        device: where.
        order: what.
        progress: told of the steps, and then by the device.
        stop: when it is set, the bench is given up.
    """
    measured: list[Measurement] = []
    try:
        with closing(connect(device)) as connection:
            progress(0, 1, "asking what it has")
            facts = probe(connection, [device.python] if device.python else [])
            job = _settled(_threaded(order, device), device, facts)
            progress(0, 1, "pushing")
            program = upload(connection, bundle(), f"edgefer{SUFFIX}")
            job = _pushed(connection, job, order.faces)
            benched = _run(connection, job, program, progress=progress, measured=measured, stop=stop)
    except EdgeferError as error:
        return Outcome(device.name, measurements=tuple(measured), problem=error)
    return Outcome(device.name, benched=benched)


def _threaded(order: RemoteBenchmark, device: Device) -> BenchmarkPlan:
    if not (order.threads_of_device and device.threads):
        return order.job
    entries = [replace(entry, threads=count) for count in device.threads for entry in order.job.entries]
    return replace(order.job, entries=tuple(entries))


def _settled(job: BenchmarkPlan, device: Device, facts: Facts) -> BenchmarkPlan:
    """The job with the Python of the device that each entry runs in.

    Raises:
        IncompatibleError: no such runtime there, or one that is too old for the model.
    """
    entries = []
    for entry in job.entries:
        runtime, python, version = facts.choose(entry.runtime or device.runtime or None, device=device.name)
        _check(Path(entry.model), runtime, version, device.name)
        entries.append(replace(entry, runtime=runtime, python=python))
    return replace(job, entries=tuple(entries))


def _check(model: Path, runtime: str, version: str, device: str) -> None:
    artifact = Artifact.load(model)
    anatomy = read(artifact.model)
    _check_io(artifact, anatomy, model.name)
    # LiteRT from 2.3 on, the oldest that edgefer takes, knows all that the converter writes.
    if runtime != "tflite_runtime":
        return
    verdict = next(each for each in targets(anatomy, runtime=version) if each.name == "tflite_runtime")
    if verdict.obstacles:
        raise IncompatibleError(
            f"{model.name} does not run in {runtime} {version} on {device}",
            why="; ".join(verdict.obstacles),
            hint=f"edgefer quantize --int8 --target tflite-runtime, or edgefer devices setup {device} --runtime litert",
        )


def _check_io(artifact: Artifact, anatomy: Model, name: str) -> None:
    """What goes in and comes out is what the contract says, and of a type that the board's side fills and reads."""
    graph, spec = anatomy.main, artifact.input_spec
    wanted = {
        "input": (graph.inputs, (1, spec.height, spec.width, 1)),
        "output": (graph.outputs, (1, len(artifact.labels))),
    }
    for what, (numbers, shape) in wanted.items():
        found = [(graph.tensors[number].dtype, graph.tensors[number].shape) for number in numbers]
        if len(found) != 1 or found[0][0] not in IO_DTYPES or found[0][1] != shape:
            told = "; ".join(f"{dtype} {list(sizes)}" for dtype, sizes in found) or "nothing"
            raise IncompatibleError(
                f"{name} has another {what} than a board can be given: {told}",
                why=f"one of shape {list(shape)} and type {', '.join(IO_DTYPES)} was expected",
                hint="edgefer quantize --int8, which writes such a file",
            )


def _pushed(connection: Connection, job: BenchmarkPlan, faces: bytes | None) -> BenchmarkPlan:
    """The job with the paths that things have on the device."""
    paths: dict[str, str] = {}
    for entry in job.entries:
        if entry.model not in paths:
            paths[entry.model] = upload(connection, Path(entry.model).read_bytes(), Path(entry.model).name)
    there = upload(connection, faces, "faces.npz") if faces is not None else None
    entries = tuple(replace(entry, model=paths[entry.model]) for entry in job.entries)
    return replace(job, entries=entries, faces=there)


def _run(
    connection: Connection,
    job: BenchmarkPlan,
    program: str,
    *,
    progress: Progress,
    measured: list[Measurement],
    stop: threading.Event | None,
) -> BenchmarkResult:
    python = job.entries[0].python
    # What the first entry runs in is where the job runs, and needs no other interpreter.
    job = replace(
        job, entries=tuple(replace(each, python="" if each.python == python else each.python) for each in job.entries)
    )
    with connection.stream([python, program, "job"]) as stream:
        threading.Thread(target=_keep_alive, args=(stream, stop or threading.Event()), daemon=True).start()
        try:
            stream.stdin.write(json.dumps({"job": job.to_json(), "device": connection.name}).encode() + b"\n")
            stream.stdin.flush()
            return _listen(stream, connection.name, progress=progress, measured=measured)
        except BrokenPipeError as error:
            raise _lost(stream, connection.name, measured) from error


def _keep_alive(stream: Stream, stop: threading.Event) -> None:
    """Give signs of life until the stream is closed, or have it end when ``stop`` is set."""
    while not stop.wait(HEARTBEAT_S):
        try:
            stream.stdin.write(b"\n")
            stream.stdin.flush()
        except (OSError, ValueError):  # the bench is over, or the link is gone, which the reader tells
            return
    stream.kill()


def _listen(stream: Stream, name: str, *, progress: Progress, measured: list[Measurement]) -> BenchmarkResult:
    for line in stream.stdout:
        try:
            event = read_event(line)
        except ValueError:
            continue  # a line that the device's own shell wrote, or half of one; an end without a result is an error
        found = _take(event, progress=progress, measured=measured)
        if found is not None:
            return found
    raise _lost(stream, name, measured)


def _take(event: Mapping[str, Any], *, progress: Progress, measured: list[Measurement]) -> BenchmarkResult | None:
    if event["event"] == "progress":
        progress(event["done"], event["total"], event["note"])
    elif event["event"] == "measurement":
        measured.append(Measurement.from_json(event["measurement"]))
    elif event["event"] == "error":
        raise error_from_json(event)
    elif event["event"] == "result":
        return BenchmarkResult.from_json(event["benched"])
    return None


def _lost(stream: Stream, name: str, measured: Sequence[Measurement]) -> EdgeferError:
    """Why the events ended before the result."""
    code = stream.wait(10.0)
    said = stream.stderr_tail()
    had = f"{len(measured)} measurement{'s' * (len(measured) != 1)} had come"
    if code == 255 or not said:
        return DeviceUnreachable(
            f"the connection to {name} was lost in mid-bench; {had}",
            why=said or "it ended without a word; the device may have been started anew",
            hint="the same again: what was pushed is still there",
        )
    return EdgeferError(f"the bench on {name} ended with code {code}; {had}", why=said)
