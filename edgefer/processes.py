"""Run edgefer modules in subprocesses and report crashes as errors; suppress output of native libraries.

    ended = run_module("edgefer.benchmark.runner", request_path, reply_path, folder=private)
    ended.exit_code, ended.signal, ended.stderr
    run_module(..., python=Path("old/bin/python"))  # with the packages of another interpreter
    raise error_from_json(error_to_json(error))     # an EdgeferError as plain values, and back

    with suppress_native_output():
        interpreter.allocate_tensors()              # "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer import errors, files
from edgefer.errors import DataError, EdgeferError

__all__ = [
    "ChildResult",
    "call_module",
    "error_from_json",
    "error_to_json",
    "run_module",
    "serve_request",
    "suppress_native_output",
]

LONGEST_QUOTE = 300
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# The environment variable in which a child finds who started it.
PARENT = "EDGEFER_PARENT"


@dataclass(frozen=True)
class ChildResult:
    """How a child ended.

    Attributes:
        exit_code: as the operating system gives it; below zero, a signal ended it.
        stderr: what it wrote there.
        timed_out: whether it was ended here, because its time was up.
    """

    exit_code: int
    stderr: str
    timed_out: bool = False

    @property
    def signal(self) -> str | None:
        """The name of the signal that ended it, or None."""
        return signal.Signals(-self.exit_code).name if self.exit_code < 0 else None

    @property
    def last_line(self) -> str:
        """The last line on stderr, where Python says what was raised; empty if there is none.

        Cut off, because some errors quote all their arguments, and a model's bytes may be among them.
        """
        return (self.stderr.strip().splitlines() or [""])[-1][:LONGEST_QUOTE]


def run_module(
    module: str,
    *arguments: str | Path,
    folder: Path,
    timeout_s: float | None = None,
    variables: Mapping[str, str] | None = None,
    python: Path | None = None,
) -> ChildResult:
    """Run ``python -m module arguments`` and wait for it; Ctrl-C, and the end of ``timeout_s``, end the child too.

    Args:
        module: the same edgefer is found in the child, installed or not.
        arguments: its command line; paths in it are absolute.
        folder: where it runs, a private one. Python puts the working folder before everything else: in the user's own a
            json.py, or another edgefer, would be taken for the real one.
        timeout_s: seconds of wall clock, or None.
        variables: environment variables to set for it.
        python: another interpreter, with packages of its own; this edgefer is lent to it.

    Raises:
        OSError: ``python`` cannot be run.
    """
    command = [str(python or sys.executable), "-m", module, *map(str, arguments)]
    own = _environment() if python is None else _lent_to_another(folder)
    environment = {**own, PARENT: str(os.getpid()), **(variables or {})}
    timed_out, stderr = False, ""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace",
    ) as child:  # fmt: skip
        try:
            _, stderr = child.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            # On Ctrl-C subprocess.run() would kill the child too, but not wait for it, and leave a zombie.
            child.kill()
            exit_code = child.wait()
    return ChildResult(exit_code, stderr, timed_out)


def call_module(
    module: str,
    request: Mapping[str, Any],
    *,
    folder: Path,
    describe_crash: Callable[[ChildResult], EdgeferError],
    timeout_s: float | None = None,
    variables: Mapping[str, str] | None = None,
    python: Path | None = None,
) -> dict[str, Any]:
    """Run a module whose main() is serve_request(), and return its reply.

    Args:
        module: name of the module; its arguments are the paths of the request and the reply.
        request: JSON-compatible values; paths in it are absolute.
        folder: private working folder of the child, which also holds the request and the reply.
        describe_crash: returns the error to raise if the child ended without a reply.
        timeout_s, variables, python: as in run_module().

    Raises:
        EdgeferError: the error that the child raised, of the same kind, or the one from ``describe_crash``.
        OSError: ``python`` cannot be run.
    """
    request_path, reply_path = folder / "request.json", folder / "reply.json"
    files.write_text(request_path, json.dumps(request))
    child = run_module(
        module, request_path, reply_path, folder=folder, timeout_s=timeout_s, variables=variables, python=python
    )
    if not reply_path.exists():
        raise describe_crash(child)
    reply: dict[str, Any] = json.loads(reply_path.read_text())
    if "error" in reply:
        raise error_from_json(reply)
    return reply


def serve_request(request_path: str, reply_path: str, reply: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """The child's side: read a request, write ``reply(request)`` or the failure() of what it raised; the exit code.

    The child ends when the process that started it is gone, however that ended.
    """
    _end_with_parent()
    exit_code = 0
    try:
        fields = reply(json.loads(Path(request_path).read_text()))
    except EdgeferError as error:
        fields, exit_code = error_to_json(error), error.exit_code
    files.write_text(Path(reply_path), json.dumps(fields) + "\n")
    return exit_code


def _end_with_parent() -> None:
    """Have the kernel end this process when its parent is gone; on Linux alone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have gone before the kernel was asked.
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
        os._exit(1)


def error_to_json(error: EdgeferError) -> dict[str, Any]:
    """The reply of a child that could not do it: an error in plain values."""
    return {"error": {"kind": type(error).__name__, "what": error.what, "why": error.why, "fix": error.hint}}


def error_from_json(fields: Mapping[str, Any]) -> EdgeferError:
    """The inverse of failure(): an error of the same kind with the same text; an unknown kind becomes a DataError."""
    error = fields["error"]
    kind: type[EdgeferError] = getattr(errors, error["kind"]) if error["kind"] in errors.__all__ else DataError
    return kind(error["what"], why=error["why"], hint=error["fix"])


def _environment() -> dict[str, str]:
    """This process's environment, in which the child finds the same edgefer, installed or not."""
    home = str(Path(errors.__file__).resolve().parent.parent)
    others = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = [home, *(str(Path(other).absolute()) for other in others if other)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _lent_to_another(folder: Path) -> dict[str, str]:
    """This process's environment, in which another interpreter finds the same edgefer and nothing else of this one's.

    The folder in which an installed edgefer lies holds this interpreter's numpy too, so the other is shown a folder
    with a link to edgefer alone.
    """
    home = Path(errors.__file__).parent.parent
    others = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    if home.is_file():  # a bundle, which holds nothing that is compiled
        return {**others, "PYTHONPATH": str(home)}
    shown = folder / "lent"
    shown.mkdir(exist_ok=True)
    link = shown / "edgefer"
    if not link.is_symlink():
        link.symlink_to(Path(errors.__file__).resolve().parent, target_is_directory=True)
    return {**others, "PYTHONPATH": str(shown)}


@contextlib.contextmanager
def suppress_native_output() -> Iterator[None]:
    """Keep what C++ code writes to stderr, and Python code to stdout; what stderr got is shown if the block raises."""
    try:
        kept = os.dup(2)
    except OSError:  # a service without a stderr
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                yield
        except BaseException:
            log.seek(0)
            os.write(kept, log.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)
