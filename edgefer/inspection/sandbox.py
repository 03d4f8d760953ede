"""Everything that a model file tells, taken from it in a process of its own.

    inspection = inspect_apart(Path("model.tflite"))
    python -m edgefer.inspection.sandbox MODEL REPLY MEMORY_BYTES    # the process of its own

The interpreter is native code, and a file may be truncated, damaged or made to harm. So the child that parses and runs
it has a limit of memory and of time, and whatever becomes of the child is a message here.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import DataError, EdgeferError
from edgefer.inspection.inspector import inspect_in_process, needed_runtime
from edgefer.processes import ChildResult, error_from_json, error_to_json, run_module
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
    needed_runtime()
    with tempfile.TemporaryDirectory(prefix="edgefer-inspect-") as folder:
        reply_path = Path(folder, "reply.json")
        arguments = (path.absolute(), reply_path, str(memory_bytes))
        ended = run_module(
            "edgefer.inspection.sandbox", *arguments, folder=Path(folder), timeout_s=timeout_s, variables=CHILD_VARIABLES
        )
        reply = json.loads(reply_path.read_text()) if reply_path.exists() else {"stage": "starting"}
    if "stage" in reply:
        raise _crash(path, ended, stage=reply["stage"], timeout_s=timeout_s, memory_bytes=memory_bytes)
    if "error" in reply:
        raise error_from_json(reply)
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


def main(path: str, reply_path: str, memory_bytes: str) -> int:
    """Inspect, and write the reply that inspect_apart() reads; the exit code."""
    reply = Path(reply_path)

    def stage(name: str) -> None:
        files.write_text(reply, json.dumps({"stage": name}))

    try:
        # What the limit is to stop is the file, so load first what a file needs no say in.
        needed_runtime().load()
        _limit(int(memory_bytes))
        content: dict[str, Any] = inspect_in_process(Path(path), stage=stage).to_json()
        exit_code = 0
    except EdgeferError as error:
        content, exit_code = error_to_json(error), error.exit_code
    except OSError as error:
        unreadable = DataError(f"cannot read {path}", why=error.strerror or str(error), hint=USAGE)
        content, exit_code = error_to_json(unreadable), unreadable.exit_code
    files.write_text(reply, json.dumps(content))
    return exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
