"""Isolate measurements: a fresh process for every request, and one benchmark at a time on a device.

    with benchmark_lock():
        measurement = measure_in_subprocess(BenchRequest("small-int8.tflite", threads=2))
        evaluation = evaluate_in_subprocess(EvaluationRequest("small-int8.tflite", "faces.npz"))

The second model in a process loads faster than the first, and the peak memory of a process never falls. The kernel
releases the lock when its process ends, even after a crash.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgefer import cache
from edgefer.errors import DeviceUnreachable, EdgeferError, MeasurementInvalid
from edgefer.inference.evaluation import EvaluationRequest, count_faces
from edgefer.processes import ChildResult, call_module
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import BenchRequest, Measurement

__all__ = ["benchmark_lock", "cache_folder", "evaluate_in_subprocess", "measure_in_subprocess"]

# Parts of the time limits. Reference kernels take about one second per run on the slowest board.
START_S, SECONDS_PER_RUN, SECONDS_FACTOR = 60.0, 2.0, 10.0
MORE_MEMORY = "close other programs, or add swap space: free -m"


def measure_in_subprocess(request: BenchRequest, *, python: str = "", timeout_s: float | None = None) -> Measurement:
    """Measure a model in a fresh process; Ctrl-C also ends the child.

    Args:
        request: the model and the settings of the measurement.
        python: path of another interpreter that has the runtime; empty for this one.
        timeout_s: time limit in seconds; None for a limit that follows from the number and duration of the runs.

    Raises:
        MeasurementInvalid: the measurement exceeds its time limit.
        EdgeferError: the error that the child raised, of the same kind, or a description of its crash.
    """
    # The child runs in another working folder.
    faces = str(Path(request.faces).absolute()) if request.faces else None
    absolute = replace(request, model=str(Path(request.model).absolute()), faces=faces)
    limit_s = _time_limit_s(request) if timeout_s is None else timeout_s
    module, smaller = "edgefer.benchmark.runner", "a smaller --runs"
    reply = _call(module, absolute.to_json(), request.model, python, timeout_s=limit_s, smaller=smaller)
    return Measurement.from_json(reply)


def _time_limit_s(request: BenchRequest) -> float:
    """Return the time limit of a measurement: seconds per run far above those of the slowest supported board."""
    runs = request.warmup_runs + request.minimum_runs
    seconds = request.warmup_seconds + request.minimum_seconds
    return START_S + SECONDS_PER_RUN * runs + SECONDS_FACTOR * seconds


def evaluate_in_subprocess(
    request: EvaluationRequest, *, python: str = "", timeout_s: float | None = None
) -> Evaluation:
    """Score a model on a test set in a fresh process; Ctrl-C also ends the child.

    Args:
        request: the model, the test set and the settings of the runtime.
        python: path of another interpreter that has the runtime; empty for this one.
        timeout_s: time limit in seconds; None for a limit that follows from the number of faces.

    Raises:
        MeasurementInvalid: the evaluation exceeds its time limit.
        EdgeferError: the error that the child raised, of the same kind, or a description of its crash.
    """
    model, test_set = str(Path(request.model).absolute()), str(Path(request.test_set).absolute())
    absolute = asdict(replace(request, model=model, test_set=test_set))
    limit_s = START_S + SECONDS_PER_RUN * count_faces(request) if timeout_s is None else timeout_s
    module, smaller = "edgefer.inference.evaluation", "--accuracy with fewer faces"
    return Evaluation.from_json(_call(module, absolute, request.model, python, timeout_s=limit_s, smaller=smaller))


def _call(
    module: str, request: dict[str, Any], model: str, python: str, *, timeout_s: float, smaller: str
) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgefer-bench-") as folder:
        return call_module(
            module, request, folder=Path(folder), describe_crash=lambda child: _describe_crash(child, model, smaller),
            timeout_s=timeout_s, python=Path(python) if python else None,
        )  # fmt: skip


def _describe_crash(child: ChildResult, model: str, smaller: str) -> EdgeferError:
    what = f"the benchmark process of {model} ended"
    if child.timed_out:
        return MeasurementInvalid(f"{what} at its time limit", why="the runs take too long", hint=smaller)
    if child.allocation_failed:
        return EdgeferError(f"{what} with exit code {child.exit_code}", why="the memory ran out", hint=MORE_MEMORY)
    if child.signal is None:
        return EdgeferError(f"{what} with exit code {child.exit_code}", why=child.last_line, hint="edgefer doctor")
    # The kernel sends SIGKILL when memory runs out. Any other signal is a crash in native code.
    if child.signal == "SIGKILL":
        return EdgeferError(f"{what} by SIGKILL", why="the device may have run out of memory", hint=MORE_MEMORY)
    return EdgeferError(
        f"{what} by {child.signal}", why=child.last_line or "the runtime crashed", hint="choose another --runtime"
    )


def cache_folder() -> Path:
    """Return the folder of uploaded files on a device: edgefer/pushed in $XDG_CACHE_HOME or ~/.cache."""
    folder = cache.folder("pushed")
    if folder is None:
        raise EdgeferError("this user has no home folder", hint="export XDG_CACHE_HOME=/var/cache/edgefer")
    return folder


@contextlib.contextmanager
def benchmark_lock(folder: Path | None = None) -> Iterator[None]:
    """Hold the lock of this device, so that no two benchmarks run at the same time.

    Args:
        folder: folder of the lock file; the default is cache_folder().

    Raises:
        DeviceUnreachable: another process holds the lock; the message has its process ID.
    """
    folder = folder or cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # flock() locks the open file, so the file is never replaced, only written in place.
    handle = os.open(folder / "bench.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(handle, 20, 0).decode(errors="replace") or "(unknown ID)"
            why = f"process {holder} holds {folder / 'bench.lock'}; simultaneous benchmarks distort each other"
            hint = "wait until it has ended, and run the command again"
            raise DeviceUnreachable("another benchmark is running on this device", why=why, hint=hint) from error
        except OSError:  # some network file systems have no locks
            pass
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
