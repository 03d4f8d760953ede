"""A bench, or an evaluation, in a fresh Python process of this device, one for every request.

    measurement = measure_apart(BenchRequest(model="small-int8.tflite", threads=2))
    evaluation = evaluate_apart(ScoreRequest(model="small-int8.tflite", test_set="faces.npz"), python="old/bin/python")

Fresh, because the second model in a process loads faster than the first, and the largest memory of a process never
falls again.

One bench at a time on a device: two at once would measure each other.

    with only_bench():
        ...

The lock is the kernel's and belongs to the process, so it is gone when the process is, however that ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import DeviceUnreachable, EdgeferError
from edgefer.inference.evaluation import ScoreRequest
from edgefer.processes import ChildResult, error_from_json, run_module
from edgefer.results.evaluation import Evaluation
from edgefer.results.measurement import BenchRequest, Measurement, read_reply

__all__ = ["benchmark_lock", "cache_folder", "evaluate_in_subprocess", "measure_in_subprocess"]

def measure_in_subprocess(request: BenchRequest, *, python: str = "") -> Measurement:
    """Measure as ``request`` says and wait for it; Ctrl-C ends the child too.

    Args:
        request: what to measure.
        python: another interpreter, which has the runtime; empty for this one.

    Raises:
        EdgeferError: what the bench raised, of the same kind; or the child crashed, and the message says how.
    """
    # Paths that hold in any working folder.
    faces = str(Path(request.faces).absolute()) if request.faces else None
    settled = replace(request, model=str(Path(request.model).absolute()), faces=faces)
    return read_reply(_ask("edgefer.benchmark.runner", settled.to_json(), model=request.model, python=python))


def evaluate_in_subprocess(request: ScoreRequest, *, python: str = "") -> Evaluation:
    """Score a model as ``request`` says; arguments and errors as measure_apart()."""
    settled = replace(
        request, model=str(Path(request.model).absolute()), test_set=str(Path(request.test_set).absolute())
    )
    reply = _ask("edgefer.inference.evaluation", asdict(settled), model=request.model, python=python)
    if "error" in reply:
        raise error_from_json(reply)
    return Evaluation.from_json(reply)


def _ask(module: str, request: dict[str, Any], *, model: str, python: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgefer-bench-") as folder:
        request_path, reply_path = Path(folder, "request.json"), Path(folder, "reply.json")
        files.write_text(request_path, json.dumps(request))
        other = Path(python) if python else None
        ended = run_module(module, request_path, reply_path, folder=Path(folder), python=other)
        if not reply_path.exists():
            raise _crash(ended, model)
        reply: dict[str, Any] = json.loads(reply_path.read_text())
        return reply


def _crash(ended: ChildResult, model: str) -> EdgeferError:
    if ended.signal is None:
        return EdgeferError(f"the bench of {model} ended with code {ended.exit_code}", why=ended.last_line)
    # The kernel ends what takes too much memory with SIGKILL; all else that a signal ends is a crash in native code.
    if ended.signal == "SIGKILL":
        return EdgeferError(f"the bench of {model} was ended by SIGKILL", why="perhaps memory ran out")
    return EdgeferError(
        f"the bench of {model} was ended by {ended.signal}",
        why=ended.last_line or "the runtime crashed",
        hint="another runtime (--runtime) or --kernels reference",
    )


def cache_folder() -> Path:
    """Where a device keeps what was pushed to it: edgefer/pushed in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edgefer", "pushed")


@contextlib.contextmanager
def benchmark_lock(folder: Path | None = None) -> Iterator[None]:
    """Hold the lock in ``folder`` (default: the cache).

    Raises:
        DeviceUnreachable: another bench holds it; the message says which process.
    """
    folder = folder or cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel locks what is open, so this one file must stay, and is written in place.
    handle = os.open(folder / "bench.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 20, 0).decode() or "of unknown number"
            why = f"process {holder} holds {folder / 'bench.lock'}; two at once would measure each other"
            hint = "the same when it is done"
            raise DeviceUnreachable("another bench runs on this device", why=why, hint=hint) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
