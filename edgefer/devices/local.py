"""The machine that this runs on: a bench in a fresh Python process, one for every request.

    measurement = run(BenchRequest(model="small-int8.tflite", threads=2))

Fresh, because the second model in a process loads faster than the first, and the largest memory of a process never
falls again.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

from edgefer import atomic
from edgefer.child import Ended, run_module
from edgefer.errors import EdgeferError
from edgefer.measurement import BenchRequest, Measurement, read_reply

__all__ = ["run"]


def run(request: BenchRequest) -> Measurement:
    """Measure as ``request`` says and wait for it; Ctrl-C ends the child too.

    Raises:
        EdgeferError: what the bench raised, of the same kind; or the child crashed, and the message says how.
    """
    with tempfile.TemporaryDirectory(prefix="edgefer-bench-") as folder:
        request_path, reply_path = Path(folder, "request.json"), Path(folder, "reply.json")
        atomic.write_text(request_path, json.dumps(_from_anywhere(request).to_json()))
        ended = run_module("edgefer.board.bench", request_path, reply_path, folder=Path(folder))
        if not reply_path.exists():
            raise _crash(ended, request)
        return read_reply(json.loads(reply_path.read_text()))


def _from_anywhere(request: BenchRequest) -> BenchRequest:
    """The same request, with paths that hold in any working folder."""
    faces = str(Path(request.faces).absolute()) if request.faces else None
    return replace(request, model=str(Path(request.model).absolute()), faces=faces)


def _crash(ended: Ended, request: BenchRequest) -> EdgeferError:
    if ended.signal is None:
        return EdgeferError(f"the bench of {request.model} ended with code {ended.exit_code}", why=ended.last_line)
    # The kernel ends what takes too much memory with SIGKILL; all else that a signal ends is a crash in native code.
    if ended.signal == "SIGKILL":
        return EdgeferError(f"the bench of {request.model} was ended by SIGKILL", why="perhaps memory ran out")
    return EdgeferError(
        f"the bench of {request.model} was ended by {ended.signal}",
        why=ended.last_line or "the runtime crashed",
        fix="another runtime (--runtime) or --kernels reference",
    )
