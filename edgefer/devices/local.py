"""The machine that this runs on: a bench in a fresh Python process, one for every request.

    measurement = run(BenchRequest(model="small-int8.tflite", threads=2))

Fresh, because the second model in a process loads faster than the first, and the largest memory of a process never
falls again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import edgefer
from edgefer import atomic
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
        command = [sys.executable, "-m", "edgefer.board.bench", str(request_path), str(reply_path)]
        exit_code, stderr = _run_child(command, folder=folder)
        if not reply_path.exists():
            raise _crash(exit_code, stderr, request)
        return read_reply(json.loads(reply_path.read_text()))


def _from_anywhere(request: BenchRequest) -> BenchRequest:
    """The same request, with paths that hold in any working folder."""
    faces = str(Path(request.faces).absolute()) if request.faces else None
    return replace(request, model=str(Path(request.model).absolute()), faces=faces)


def _run_child(command: list[str], *, folder: str) -> tuple[int, str]:
    """Run to the end in ``folder``; exit code and what it wrote to stderr."""
    # Python puts the working folder before everything else: in the user's own a json.py, or another edgefer, would be
    # taken for the real one.
    with subprocess.Popen(
        command, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace",
    ) as child:  # fmt: skip
        try:
            _, stderr = child.communicate()
        finally:
            # On Ctrl-C subprocess.run() would kill the child too, but not wait for it, and leave a zombie.
            child.kill()
            exit_code = child.wait()
    return exit_code, stderr


def _environment() -> dict[str, str]:
    """This process's environment, in which the child finds the same edgefer, installed or not."""
    home = str(Path(edgefer.__file__).resolve().parent.parent)
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = [home, *(str(Path(other).absolute()) for other in others if other)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _crash(exit_code: int, stderr: str, request: BenchRequest) -> EdgeferError:
    # Some errors quote all their arguments, the model's bytes among them.
    last_line = (stderr.strip().splitlines() or [""])[-1][:300]
    if exit_code >= 0:
        return EdgeferError(f"the bench of {request.model} ended with code {exit_code}", why=last_line)
    name = signal.Signals(-exit_code).name
    # The kernel ends what takes too much memory with SIGKILL; all else that a signal ends is a crash in native code.
    if name == "SIGKILL":
        return EdgeferError(f"the bench of {request.model} was ended by SIGKILL", why="perhaps memory ran out")
    return EdgeferError(
        f"the bench of {request.model} was ended by {name}",
        why=last_line or "the runtime crashed",
        fix="another runtime (--runtime) or --kernels reference",
    )
