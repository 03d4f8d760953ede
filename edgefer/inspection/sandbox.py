"""Everything that a model file tells, taken from it in a process of its own.

    inspection = inspect_apart(Path("model.tflite"))
    python -m edgefer.inspection.sandbox REQUEST.json REPLY.json     # the child process

The interpreter is native code, and a file may be truncated, damaged or made to harm. So the child that parses and runs
it has a limit of memory and of time, and whatever becomes of the child is a message here.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import DataError, EdgeferError
from edgefer.inspection.inspector import inspect_in_process, require_litert
from edgefer.processes import ChildResult, call_module, serve_request
from edgefer.results.inspection import Inspection

__all__ = ["inspect_in_subprocess"]

USAGE = "edgefer inspect FILE.tflite"
TIMEOUT_S = 60.0
MEMORY_BYTES = 2**30
# Offsets within a flatbuffer are 32 bits wide, and signed.
LARGEST_BYTES = 2**31
# What the parent reads without a limit of its own; a thousand operators make 0.3 MiB.
LARGEST_REPLY_BYTES = 2**26
# OpenBLAS would reserve memory for each core, and none of it is used here.
CHILD_VARIABLES = {"OPENBLAS_NUM_THREADS": "1"}


def inspect_in_subprocess(path: Path, *, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> Inspection:
    """dissect() in a child with a limit of time and memory; Ctrl-C ends the child too.

    Args:
        path: the file.
        timeout_s: seconds of wall clock after which the child is ended.
        memory_bytes: how much address space the child gets; about 200 MiB of it are Python and the runtime.

    Raises:
        DataError: no such file, not a model, or a file that crashed the runtime, hung it or wanted too much memory; the
            message says which, and in which step.
        IncompatibleError: LiteRT is not installed.
    """
    _check_file(path)
    require_litert()
    with tempfile.TemporaryDirectory(prefix="edgefer-inspect-") as name:
        folder = Path(name)
        stage_path = folder / "stage"

        def describe_crash(child: ChildResult) -> EdgeferError:
            stage = stage_path.read_text() if stage_path.exists() else "starting"
            return _crash(path, child, stage=stage, timeout_s=timeout_s, memory_bytes=memory_bytes)

        request = {"path": str(path.absolute()), "stage_path": str(stage_path), "memory_bytes": memory_bytes}
        reply = call_module(
            "edgefer.inspection.sandbox", request, folder=folder, describe_crash=describe_crash, timeout_s=timeout_s,
            variables=CHILD_VARIABLES,
        )  # fmt: skip
    return Inspection.from_json(reply)


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path} is not a model file", why="a folder" if path.is_dir() else "no such file", hint=USAGE)
    if path.stat().st_size >= LARGEST_BYTES:
        raise DataError(f"{path} is not a model file", why="2 GiB are the most that a flatbuffer can have", hint=USAGE)


def _crash(path: Path, ended: ChildResult, *, stage: str, timeout_s: float, memory_bytes: int) -> EdgeferError:
    what, hint = f"{path} cannot be inspected", "a file from a source that you trust, or copy it again"
    if ended.timed_out:
        return DataError(what, why=f"{stage} took more than {timeout_s:g} s", hint="--timeout, if the model is large")
    if ended.last_line.startswith("MemoryError"):
        why = f"{stage} wanted more than {memory_bytes // 2**20:,} MiB"
        return DataError(what, why=why, hint="--memory, if the model is large")
    if ended.signal is not None:
        return DataError(what, why=f"the runtime crashed with {ended.signal} while {stage}", hint=hint)
    return DataError(what, why=f"{stage} ended with {ended.last_line or f'code {ended.exit_code}'}", hint=hint)


def _limit(memory_bytes: int) -> None:
    try:
        import resource
    except ImportError:  # not a Unix; the limit of time stays
        return
    limits = {resource.RLIMIT_AS: memory_bytes, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: LARGEST_REPLY_BYTES}
    for kind, limit in limits.items():
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    path, stage_path = Path(request["path"]), Path(request["stage_path"])
    # The limit guards against the file. Load first whatever does not depend on the file.
    require_litert().load()
    _limit(request["memory_bytes"])
    try:
        return inspect_in_process(path, stage=lambda name: files.write_text(stage_path, name)).to_json()
    except OSError as error:
        raise DataError(f"cannot read {path}", why=error.strerror or str(error), hint=USAGE) from error


def main(request_path: str, reply_path: str) -> int:
    """Serve one request of inspect_in_subprocess() and return the exit code."""
    return serve_request(request_path, reply_path, _serve)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
