"""Inspect a model file in a subprocess with limits for time and memory.

    inspection = inspect_in_subprocess(Path("model.tflite"))
    python -m edgefer.inspection.sandbox REQUEST.json REPLY.json     # runs in the subprocess

A runtime is native code, and a file can be truncated, damaged or malicious. Whatever happens to the subprocess becomes
an error here.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from edgefer import files
from edgefer.errors import DataError, EdgeferError
from edgefer.inference.first_load import CHILD_VARIABLES, limit_process
from edgefer.inspection.inspector import inspect_in_process, require_litert
from edgefer.processes import ChildResult, call_module, serve_request
from edgefer.results.inspection import Inspection

__all__ = ["inspect_in_subprocess"]

HINT = "a file from a source that you trust, or copy it again"
USAGE = "edgefer inspect FILE.tflite"
TIMEOUT_S = 60.0
MEMORY_BYTES = 2**30
# Offsets in a flatbuffer are signed 32-bit integers.
MAX_FILE_BYTES = 2**31


def inspect_in_subprocess(path: Path, *, timeout_s: float = TIMEOUT_S, memory_bytes: int = MEMORY_BYTES) -> Inspection:
    """Inspect a model file in a subprocess; Ctrl-C also ends the subprocess.

    Args:
        path: the file.
        timeout_s: time limit in seconds.
        memory_bytes: limit of the address space, of which Python and the runtime take about 200 MiB.

    Raises:
        DataError: the file does not exist or is not a model, or it crashed the runtime or exceeded a limit; the message
            names the step.
        IncompatibleError: LiteRT is not installed.
    """
    _check_file(path)
    require_litert()
    with tempfile.TemporaryDirectory(prefix="edgefer-inspect-") as name:
        folder = Path(name)
        stage_path = folder / "stage"

        def describe_crash(child: ChildResult) -> EdgeferError:
            stage = stage_path.read_text(encoding="utf-8") if stage_path.exists() else "starting"
            return _describe(path, child, stage=stage, timeout_s=timeout_s, memory_bytes=memory_bytes)

        request = {"path": str(path.absolute()), "stage_path": str(stage_path), "memory_bytes": memory_bytes}
        reply = call_module(
            "edgefer.inspection.sandbox", request, folder=folder, describe_crash=describe_crash, timeout_s=timeout_s,
            variables=CHILD_VARIABLES,
        )  # fmt: skip
    try:
        return Inspection.from_json(reply)
    except DataError as error:  # an operator of version -5, a tolerance of 1e300
        raise DataError(f"{path} cannot be inspected", why=f"{error.what}: {error.why}", hint=HINT) from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        why = "it is a folder" if path.is_dir() else "no such file"
        raise DataError(f"{path} is not a model file", why=why, hint=USAGE)
    if path.stat().st_size >= MAX_FILE_BYTES:
        raise DataError(f"{path} is not a model file", why="a flatbuffer has less than 2 GiB", hint=USAGE)


def _describe(path: Path, child: ChildResult, *, stage: str, timeout_s: float, memory_bytes: int) -> EdgeferError:
    what = f"{path} cannot be inspected"
    if child.timed_out:
        why, hint = f"{stage} takes more than {timeout_s:g} s", "a larger --timeout if the model is large"
    elif child.allocation_failed:
        why, hint = f"{stage} needs more than {memory_bytes // 2**20:,} MiB", "a larger --memory if the model is large"
    elif child.signal is not None:
        why, hint = f"the runtime crashed with {child.signal} while {stage}", HINT
    else:
        why, hint = f"{stage} ended with {child.last_line or f'exit code {child.exit_code}'}", HINT
    return DataError(what, why=why, hint=hint)


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    path, stage_path = Path(request["path"]), Path(request["stage_path"])
    # Load everything that does not depend on the file before the limit applies.
    require_litert().load()
    limit_process(memory_bytes=request["memory_bytes"])
    try:
        return inspect_in_process(path, stage=lambda name: files.write_text(stage_path, name)).to_json()
    except OSError as error:
        raise DataError(f"cannot read {path}", why=error.strerror or str(error), hint=USAGE) from error


def main(request_path: str, reply_path: str) -> int:
    """Serve one request of inspect_in_subprocess() and return the exit code."""
    return serve_request(request_path, reply_path, _serve)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
