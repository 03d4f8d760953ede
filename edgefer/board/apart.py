"""A bench, or an evaluation, in a fresh Python process of this device, one for every request.

    measurement = measure_apart(BenchRequest(model="small-int8.tflite", threads=2))
    evaluation = evaluate_apart(ScoreRequest(model="small-int8.tflite", test_set="faces.npz"), python="old/bin/python")

Fresh, because the second model in a process loads faster than the first, and the largest memory of a process never
falls again.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from edgefer import atomic
from edgefer.board.score import ScoreRequest
from edgefer.child import Ended, revive, run_module
from edgefer.errors import EdgeferError
from edgefer.evaluation import Evaluation
from edgefer.measurement import BenchRequest, Measurement, read_reply

__all__ = ["evaluate_apart", "measure_apart"]


def measure_apart(request: BenchRequest, *, python: str = "") -> Measurement:
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
    return read_reply(_ask("edgefer.board.bench", settled.to_json(), model=request.model, python=python))


def evaluate_apart(request: ScoreRequest, *, python: str = "") -> Evaluation:
    """Score a model as ``request`` says; arguments and errors as measure_apart()."""
    settled = replace(
        request, model=str(Path(request.model).absolute()), test_set=str(Path(request.test_set).absolute())
    )
    reply = _ask("edgefer.board.score", asdict(settled), model=request.model, python=python)
    if "error" in reply:
        raise revive(reply)
    return Evaluation.from_json(reply)


def _ask(module: str, request: dict[str, Any], *, model: str, python: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="edgefer-bench-") as folder:
        request_path, reply_path = Path(folder, "request.json"), Path(folder, "reply.json")
        atomic.write_text(request_path, json.dumps(request))
        other = Path(python) if python else None
        ended = run_module(module, request_path, reply_path, folder=Path(folder), python=other)
        if not reply_path.exists():
            raise _crash(ended, model)
        reply: dict[str, Any] = json.loads(reply_path.read_text())
        return reply


def _crash(ended: Ended, model: str) -> EdgeferError:
    if ended.signal is None:
        return EdgeferError(f"the bench of {model} ended with code {ended.exit_code}", why=ended.last_line)
    # The kernel ends what takes too much memory with SIGKILL; all else that a signal ends is a crash in native code.
    if ended.signal == "SIGKILL":
        return EdgeferError(f"the bench of {model} was ended by SIGKILL", why="perhaps memory ran out")
    return EdgeferError(
        f"the bench of {model} was ended by {ended.signal}",
        why=ended.last_line or "the runtime crashed",
        fix="another runtime (--runtime) or --kernels reference",
    )
