"""Run a benchmark on boards: check the models, upload them, run the plan, and read back the results.

    benchmark = RemoteBenchmark(BenchmarkPlan(...))
    outcome = run_remote_benchmark(device, benchmark, progress=progress)
    outcome.result, outcome.error
    outcomes = run_remote_benchmarks(devices, benchmark)        # in parallel; one failure does not affect the others

A bundle of edgefer, the models and the test set are uploaded, and cached on the board under their hash. The board is
probed first, so a model that its runtime cannot load is never uploaded.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgefer.benchmark.remote_worker import read_event
from edgefer.contract.artifact import Artifact
from edgefer.data.naming import counted
from edgefer.deploy.bundle import SUFFIX, bundle
from edgefer.errors import DataError, DeviceUnreachable, EdgeferError, IncompatibleError, Interrupted
from edgefer.fleet.board_errors import describe_failure
from edgefer.fleet.command_output import CommandOutput
from edgefer.fleet.connection import Connection, connect
from edgefer.fleet.local_process import Stream
from edgefer.fleet.probe import Facts, probe
from edgefer.fleet.registry import Device
from edgefer.fleet.upload import upload
from edgefer.inspection.compatibility import check_targets
from edgefer.inspection.flatbuffer import Model, read_model
from edgefer.processes import error_from_json
from edgefer.progress import Progress, silent
from edgefer.results.benchmark import BenchmarkResult
from edgefer.results.benchmark_plan import BenchmarkPlan
from edgefer.results.measurement import Measurement

__all__ = ["Outcome", "RemoteBenchmark", "check_model", "run_remote_benchmark", "run_remote_benchmarks"]

# The board ends the benchmark after edgefer.benchmark.remote_worker.SILENCE_S without a heartbeat.
HEARTBEAT_S = 5.0
EXIT_S = 10.0
# Exit codes of ssh after a failure of the connection, of the worker after it, and of ssh after SIGTERM from here.
DISCONNECTED = (255, 130, -15)
MAX_NOTE = 80
IO_DTYPES = ("int8", "uint8", "int16", "float32")


@dataclass(frozen=True)
class RemoteBenchmark:
    """A benchmark to run on any number of boards.

    Attributes:
        plan: it has the paths of models and faces on this machine.
        use_device_threads: replace the plan's thread counts by those registered for each device.
        program: content of the bundle that the boards run; it is built once, by default when this object is created.
    """

    plan: BenchmarkPlan
    use_device_threads: bool = False
    program: bytes = field(default_factory=lambda: bundle(), repr=False)


@dataclass(frozen=True)
class Outcome:
    """Outcome of a benchmark on one device.

    Attributes:
        device: name of the device.
        result: the complete result, or None.
        measurements: the measurements received before the failure; empty with a complete result.
        error: the reason for a missing or incomplete result, or None.
        received: the result without the step that failed, if all measurements were complete.
    """

    device: str
    result: BenchmarkResult | None = None
    measurements: tuple[Measurement, ...] = ()
    error: EdgeferError | None = None
    received: BenchmarkResult | None = None

    @property
    def partial(self) -> BenchmarkResult | None:
        """The result so far, with the failure; None without a measurement or a failure."""
        if self.error is None or not self.measurements:
            return None
        received = self.received or BenchmarkResult(self.device, self.measurements)
        return received.incomplete(self.error)


@dataclass
class _Received:
    """Measurements that a board sent before it failed, and the result so far after the last of them."""

    measurements: list[Measurement] = field(default_factory=list)
    result: BenchmarkResult | None = None


def run_remote_benchmarks(
    devices: Sequence[Device],
    benchmark: RemoteBenchmark,
    *,
    progress_of: Callable[[str], Progress] = lambda name: silent,
) -> tuple[Outcome, ...]:
    """Run a benchmark on several devices in parallel; Ctrl-C ends it on all of them, and what is complete is kept.

    Args:
        devices: the devices.
        benchmark: the plan and the program.
        progress_of: returns the progress callback of a device by name.

    Returns:
        The outcomes, in the order of the devices. An interrupted one has Interrupted as its error.
    """
    stop = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, len(devices))) as pool:
        futures: list[concurrent.futures.Future[Outcome]] = []
        try:
            for device in devices:
                progress = progress_of(device.name)
                futures.append(pool.submit(run_remote_benchmark, device, benchmark, progress=progress, stop=stop))
            return tuple(future.result() for future in futures)
        except KeyboardInterrupt as interrupt:
            running = [not future.done() for future in futures]
            stop.set()
            error = Interrupted.from_exception(interrupt)
            outcomes = [
                replace(future.result(), error=error) if was_running and future.result().error else future.result()
                for future, was_running in zip(futures, running)
            ]
            return (*outcomes, *(Outcome(device.name, error=error) for device in devices[len(futures) :]))
        finally:
            stop.set()


def run_remote_benchmark(
    device: Device, benchmark: RemoteBenchmark, *, progress: Progress = silent, stop: threading.Event | None = None
) -> Outcome:
    """Run a benchmark on one device.

    Args:
        device: the device.
        benchmark: the plan and the program.
        progress: called for each step here, and then with the progress on the device.
        stop: setting it aborts the benchmark.

    Returns:
        The outcome. A failure is its ``error``, next to the measurements received until then.
    """
    received = _Received()
    try:
        with closing(connect(device, stop=stop)) as connection:
            progress(0, 1, "probing")
            facts = probe(connection, [device.python] if device.python else [])
            plan = _select_runtimes(_apply_device_threads(benchmark, device), device, facts)
            progress(0, 1, "uploading")
            program = upload(connection, benchmark.program, f"edgefer{SUFFIX}")
            plan = _upload_inputs(connection, plan)
            result = _run(connection, plan, program, progress=progress, received=received, stop=stop)
    except EdgeferError as error:
        return Outcome(device.name, None, tuple(received.measurements), error, received.result)
    except Exception as error:  # noqa: BLE001 - the results of the other devices must not be lost
        what = f"the benchmark on {device.name} failed with {type(error).__name__}"
        unexpected = EdgeferError(what, why=str(error), hint="the same command with --debug")
        return Outcome(device.name, None, tuple(received.measurements), unexpected, received.result)
    return Outcome(device.name, result=result)


def _apply_device_threads(benchmark: RemoteBenchmark, device: Device) -> BenchmarkPlan:
    if not (benchmark.use_device_threads and device.threads):
        return benchmark.plan
    cases = [replace(case, threads=count) for count in device.threads for case in benchmark.plan.cases]
    return replace(benchmark.plan, cases=tuple(cases))


def _select_runtimes(plan: BenchmarkPlan, device: Device, facts: Facts) -> BenchmarkPlan:
    """Select the runtime and the interpreter on the device for each case, and check that it can run the model.

    Raises:
        IncompatibleError: the device has no such runtime, or the runtime is too old for a model.
    """
    cases = []
    for case in plan.cases:
        runtime, python, version = facts.select_runtime(case.runtime or device.runtime or None, device=device.name)
        check_model(Path(case.model), runtime, version, device.name)
        cases.append(replace(case, runtime=runtime, python=python))
    return replace(plan, cases=tuple(cases))


def check_model(path: Path, runtime: str, version: str, device: str) -> None:
    """Check that a board with the given runtime can run a model, without loading it there.

    Args:
        path: the model file on this machine.
        runtime: name of the runtime on the device.
        version: version of that runtime.
        device: name of the device, for the error message.

    Raises:
        IncompatibleError: an operator is newer than the runtime, or an input or output differs from the contract.
    """
    artifact = Artifact.load(path)
    model = read_model(artifact.model)
    _check_io(artifact, model, path.name)
    # The oldest supported LiteRT, 2.3, has every operator version that the converter writes.
    if runtime != "tflite_runtime":
        return
    target = next(target for target in check_targets(model, runtime=version) if target.name == runtime)
    if target.obstacles:
        raise IncompatibleError(
            f"{path.name} does not run in {runtime} {version} on {device}",
            why="; ".join(target.obstacles),
            hint=f"edgefer quantize --int8 --target tflite-runtime, or edgefer devices setup {device} --runtime litert",
        )


def _check_io(artifact: Artifact, model: Model, name: str) -> None:
    """Check that the model has one input and one output of the shapes in its contract."""
    graph, spec = model.main, artifact.input_spec
    expected = {
        "input": (graph.inputs, spec.tensor_shape),
        "output": (graph.outputs, (1, len(artifact.labels))),
    }
    for kind, (indices, shape) in expected.items():
        tensors = [graph.tensors[index] for index in indices]
        if len(tensors) != 1 or tensors[0].dtype not in IO_DTYPES or tensors[0].shape != shape:
            actual = "; ".join(f"{tensor.dtype} {list(tensor.shape)}" for tensor in tensors) or "none"
            raise IncompatibleError(
                f"{name} has an unsupported {kind}: {actual}",
                why=f"expected one of shape {list(shape)} and type {', '.join(IO_DTYPES)}",
                hint="edgefer quantize --int8",
            )


def _upload_inputs(connection: Connection, plan: BenchmarkPlan) -> BenchmarkPlan:
    """Upload the models and the faces, and return the plan with their paths on the device."""
    names = {case.model: Path(case.model).name for case in plan.cases}
    names |= {faces: "faces.npz" for faces in (plan.faces, *(case.faces for case in plan.cases)) if faces}
    paths = {path: upload(connection, Path(path).read_bytes(), name) for path, name in names.items()}
    cases = [
        replace(case, model=paths[case.model], faces=paths[case.faces] if case.faces else None) for case in plan.cases
    ]
    return replace(plan, cases=tuple(cases), faces=paths[plan.faces] if plan.faces else None)


def _run(
    connection: Connection,
    plan: BenchmarkPlan,
    program: str,
    *,
    progress: Progress,
    received: _Received,
    stop: threading.Event | None,
) -> BenchmarkResult:
    """Run a plan with the uploaded program; ``received`` gets what arrives before the result."""
    # The interpreter of the first case runs the whole plan; only a case for another interpreter stores its path.
    python = plan.cases[0].python
    cases = tuple(replace(case, python="" if case.python == python else case.python) for case in plan.cases)
    request = {"job": replace(plan, cases=cases).to_json(), "device": connection.name}
    with connection.stream([python, program, "job"]) as stream:
        threading.Thread(target=_send_heartbeats, args=(stream, stop or threading.Event()), daemon=True).start()
        # A command that did not start is reported with its standard error below.
        with contextlib.suppress(BrokenPipeError):
            stream.stdin.write(json.dumps(request).encode() + b"\n")
            stream.stdin.flush()
        result = _read_events(stream, connection.name, python, progress=progress, received=received)
    if len(result.measurements) != len(plan.cases):
        why = f"{len(result.measurements)} measurements, expected {len(plan.cases)}"
        hint = f"edgefer devices clean {connection.name}"
        raise DataError(f"{connection.name} sent an invalid result", why=why, hint=hint)
    return replace(result, device=connection.name)


def _send_heartbeats(stream: Stream, stop: threading.Event) -> None:
    """Send heartbeats until the stream is closed, or kill it when ``stop`` is set."""
    while not stop.wait(HEARTBEAT_S):
        try:
            stream.stdin.write(b"\n")
            stream.stdin.flush()
        except (OSError, ValueError):  # the benchmark has ended, or the reader reports the broken connection
            return
    stream.kill()


def _read_events(
    stream: Stream, name: str, python: str, *, progress: Progress, received: _Received
) -> BenchmarkResult:
    """Return the result in the events of a board, or raise the error that it sent, or that of a broken connection."""
    failure: EdgeferError | None = None
    for line in stream.lines():
        try:
            event = read_event(line)
            kind = event.text("event")
            if kind == "progress":
                progress(event.count("done"), event.count("total"), _printable(event.text("note")))
            elif kind == "measurement":
                received.measurements.append(Measurement.from_json(event.object("measurement")))
            elif kind == "result":
                return BenchmarkResult.from_json(event.object("benched"))
            elif kind == "error":
                failure = error_from_json(event)
                complete = event.optional(event.object, "benched")
                received.result = replace(BenchmarkResult.from_json(complete), device=name) if complete else None
                break
        except ValueError:
            continue  # output of the login shell, or an incomplete line before the connection broke
        except (EdgeferError, ArithmeticError, LookupError, TypeError) as error:
            raise DataError(
                f"{name} sent an invalid event", why=str(error), hint=f"edgefer devices clean {name}"
            ) from error
    raise failure or _connection_lost(stream, name, python, received.measurements)


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:MAX_NOTE]


def _connection_lost(stream: Stream, name: str, python: str, measurements: Sequence[Measurement]) -> EdgeferError:
    """Return the error for events that ended before the result."""
    exit_code = stream.wait(EXIT_S)
    stderr = stream.stderr_tail()
    received = f"{counted(len(measurements), 'measurement')} received"
    if exit_code is None or exit_code in DISCONNECTED or (exit_code == 0 and not stderr):
        return DeviceUnreachable(
            f"the connection to {name} was lost during the benchmark; {received}",
            why=stderr or "it closed without an error message; the device may have rebooted",
            hint="run the same command again; uploaded files are still on the device",
        )
    what = f"the benchmark on {name} ended with exit code {exit_code}; {received}"
    # A shell reports a signal as 128 plus its number.
    output = CommandOutput(
        exit_code if exit_code >= 0 else 128 - exit_code, b"", stream.stderr().decode(errors="replace")
    )
    return describe_failure(what, output, device=name, python=python, hint=f"edgefer doctor --device {name}")
