"""Load and run an unknown model in a subprocess before this process loads it.

    check_first_load(artifact.model, select_runtime(None), inputs=artifact.golden.inputs)
    trust_model(flatbuffer)                         # a model that this process has converted
    python -m edgefer.inference.first_load REQUEST.json REPLY.json      # runs in the subprocess

A runtime is native code, and a malformed model can crash it, allocate gigabytes or run for minutes. The subprocess has
limits for memory and CPU time, so each of these becomes an error. A model that passes is remembered per runtime and
version: in this process, and as an empty file in the cache folder of the user. Shipped models need no check.

The check covers files that crash a runtime while it loads or runs them. It cannot prove that no input crashes it.
"""

from __future__ import annotations

import hashlib
import platform
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from edgefer import cache, files, models
from edgefer.contract.preprocessing import InputSpec, encode, encoder
from edgefer.errors import DataError, EdgeferError, IncompatibleError
from edgefer.inference.runtime import RuntimeModule, cannot_run, select_runtime
from edgefer.processes import ChildResult, call_module, serve_request

__all__ = ["CHILD_VARIABLES", "check_first_load", "is_trusted", "limit_process", "trust_model"]

MODULE = "edgefer.inference.first_load"
# Raise it when the check becomes stricter: models that an older check accepted are then checked again.
CHECK_VERSION = 1
MEMORY_BYTES = 640 * 2**20
CPU_S = 6
# Includes the start of Python, which takes seconds on a slow board.
TIMEOUT_S = 90.0
# Golden vectors to run; the caller replays all of them afterwards.
MAX_INPUTS = 3
# A reply is small. The limit also bounds other files that native code could write.
MAX_FILE_BYTES = 2**26
# OpenBLAS would reserve memory for each core. The fill byte makes reads of uninitialized memory crash in the child.
CHILD_VARIABLES = {"OPENBLAS_NUM_THREADS": "1", "MALLOC_PERTURB_": "165"}
ZIP_START = b"PK\3\4"
HINT = "edgefer inspect MODEL, or a file from a source that you trust"

_checked: set[str] = set()
_trusted: set[str] = set()
_lock = threading.Lock()


def check_first_load(
    model: bytes,
    module: RuntimeModule,
    *,
    kernels: str = "default",
    inputs: npt.NDArray[np.uint8] | None = None,
    spec: InputSpec = InputSpec(),
    sha256: str = "",
    name: str = "the model",
) -> None:
    """Load and run ``model`` in a subprocess unless it is known; threads that check at the same time take turns.

    Args:
        model: content of a .tflite.
        module: the runtime that will load it.
        kernels: "default", "builtin" or "reference".
        inputs: preprocessed faces, uint8 (n, *spec.shape), the first of which are run; None or n = 0 for zeros.
        spec: input of the model.
        sha256: hash of ``model`` in hex if the caller has it.
        name: name of the model in errors.

    Raises:
        DataError: the model crashes the runtime, or exceeds the limit of memory or CPU time.
        IncompatibleError: the runtime is not installed, or cannot load or run the model.
    """
    digest = sha256 or hashlib.sha256(model).hexdigest()
    runtime = cast("ModuleType", module).__name__.rpartition(".")[2]
    version = module.available() or ""
    key = f"{digest}-{runtime}-{version}-{kernels}-{platform.machine()}"
    if digest in _trusted or key in _checked:
        return
    with _lock:
        if key in _checked:
            return
        marker = _marker(key)
        if not (marker is not None and marker.exists()) and not _is_shipped(model):
            _check(model, runtime, version, kernels=kernels, inputs=inputs, spec=spec, name=name)
            _remember(marker)
        _checked.add(key)


def trust_model(model: bytes) -> None:
    """Skip the check of ``model`` in this process: the converter has just created it, or its original has passed."""
    _trusted.add(hashlib.sha256(model).hexdigest())


def is_trusted(model: bytes) -> bool:
    """Return True if this process has called trust_model() for ``model``."""
    return hashlib.sha256(model).hexdigest() in _trusted


def limit_process(*, memory_bytes: int | None = None, more_bytes: int | None = None, cpu_s: int | None = None) -> None:
    """Limit memory and CPU time of this process on Linux; it also writes no core dump and no large file.

    Args:
        memory_bytes: address space in total; None for no limit.
        more_bytes: growth of the address space from now on, instead of ``memory_bytes``.
        cpu_s: CPU time from now on, in seconds; None for no limit.
    """
    if sys.platform != "linux":
        return
    import resource

    limits = {resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: MAX_FILE_BYTES}
    if more_bytes is not None:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        memory_bytes = pages * resource.getpagesize() + more_bytes
    if memory_bytes is not None:
        limits[resource.RLIMIT_AS] = memory_bytes
    if cpu_s is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        limits[resource.RLIMIT_CPU] = int(usage.ru_utime + usage.ru_stime) + 1 + cpu_s
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _marker(key: str) -> Path | None:
    """Return the file that marks a model as checked; None without a home folder."""
    folder = cache.folder(f"checked-models-v{CHECK_VERSION}")
    return folder and folder / key


def _remember(marker: Path | None) -> None:
    try:
        if marker is not None:
            files.write_bytes(marker, b"")
    except OSError:
        # The cache folder may be read-only. The check then runs once per process.
        return


def _is_shipped(model: bytes) -> bool:
    """Return True if ``model`` is the flatbuffer of a shipped model or of the model in this bundle."""
    bundled = models.bundled()
    for path in (*models.shipped().values(), *([bundled] if bundled else [])):
        with path.open("rb") as file:
            # The contract begins behind the flatbuffer. A part of the flatbuffer is a damaged model.
            if file.read(len(model) + len(ZIP_START)) == model + ZIP_START:
                return True
    return False


def _check(
    model: bytes,
    runtime: str,
    version: str,
    *,
    kernels: str,
    inputs: npt.NDArray[np.uint8] | None,
    spec: InputSpec,
    name: str,
) -> None:
    with tempfile.TemporaryDirectory(prefix="edgefer-check-") as private:
        folder = Path(private)
        stage_path = folder / "stage"
        files.write_bytes(folder / "model.tflite", model)
        np.save(folder / "inputs.npy", np.empty((0, 1, 1), np.uint8) if inputs is None else inputs[:MAX_INPUTS])

        def describe_crash(child: ChildResult) -> EdgeferError:
            stage = stage_path.read_text(encoding="utf-8") if stage_path.exists() else "starting"
            return _describe(child, stage, name=name, runtime=f"{runtime} {version}")

        request = {"folder": private, "runtime": runtime, "kernels": kernels, "input": spec.to_json()}
        call_module(
            MODULE, request, folder=folder, describe_crash=describe_crash, timeout_s=TIMEOUT_S,
            variables=CHILD_VARIABLES,
        )  # fmt: skip


def _describe(child: ChildResult, stage: str, *, name: str, runtime: str) -> EdgeferError:
    if child.timed_out or child.signal == "SIGXCPU":
        limit = f"{TIMEOUT_S:g} s" if child.timed_out else f"{CPU_S} s of CPU time"
        return DataError(f"{name} is too slow for {runtime}", why=f"{stage} takes more than {limit}", hint=HINT)
    # The kernel sends SIGKILL when memory runs out.
    if child.allocation_failed or child.signal == "SIGKILL":
        why = f"{stage} needs more than {MEMORY_BYTES // 2**20} MiB"
        return DataError(f"{name} needs too much memory", why=why, hint=HINT)
    if child.signal is not None:
        return DataError(f"{name} crashes {runtime}", why=f"{child.signal} while {stage}", hint=HINT)
    ended = child.last_line or f"exit code {child.exit_code}"
    return IncompatibleError(f"{name} cannot be checked with {runtime}", why=f"{stage}: {ended}", hint="edgefer doctor")


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    """Load a model and run it; the parent reports a crash of this process."""
    folder = Path(request["folder"])
    module = select_runtime(request["runtime"])
    module.load()
    model, inputs = (folder / "model.tflite").read_bytes(), np.load(folder / "inputs.npy")
    stage_path = folder / "stage"
    limit_process(more_bytes=MEMORY_BYTES, cpu_s=CPU_S)
    files.write_text(stage_path, "loading it")
    try:
        runtime = module.open_model(model, kernels=request["kernels"])
    except IncompatibleError as error:
        if error.why:
            raise
        # A failed allocation has an empty error message.
        raise MemoryError from error
    files.write_text(stage_path, "running it")
    shape, params = runtime.input.shape, runtime.input.params
    size = int(np.prod(shape, dtype=np.int64))
    table = encoder(params, InputSpec.from_json(request["input"]))
    arrays = [encode(table, face) for face in inputs if face.size == size] or [np.zeros(size, params.dtype)]
    try:
        for array in arrays:
            runtime.set_input(array.reshape(shape))
            runtime.invoke()
            runtime.get_output()
    except (RuntimeError, ValueError) as error:
        raise cannot_run(runtime, error) from error
    return {}


def main(request_path: str, reply_path: str) -> int:
    """Serve one request of check_first_load() and return the exit code."""
    return serve_request(request_path, reply_path, _serve)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
