"""Run edgefer modules in subprocesses and report crashes as errors; suppress output of native libraries.

    ended = run_module("edgefer.benchmark.runner", request_path, reply_path, folder=private)
    ended.exit_code, ended.signal, ended.stderr
    run_module(..., python=Path("old/bin/python"))  # with the packages of another interpreter
    run_code("import cv2", folder=private)          # a few lines of Python instead of a module
    raise error_from_json(error_to_json(error))     # an EdgeferError as plain values, and back

    with allow_output_suppression():                # in the main thread of a command; never in a library
        with suppress_native_output():
            interpreter.allocate_tensors()          # "INFO: Created TensorFlow Lite XNNPACK delegate for CPU."

A child starts isolated, see edgefer.child_start: a json.py in the working folder is never imported by accident.
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
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgefer import errors, files
from edgefer.child_start import START, child_environment, home
from edgefer.errors import DataError, EdgeferError

__all__ = [
    "ChildResult",
    "allow_output_suppression",
    "call_module",
    "error_from_json",
    "error_to_json",
    "run_code",
    "run_module",
    "serve_request",
    "suppress_native_output",
]

LONGEST_QUOTE = 300
# poll() takes at most 2 ** 31 milliseconds.
MAX_TIMEOUT_S = 1e6
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Environment variable with the process ID of a child's parent.
PARENT = "EDGEFER_PARENT"
# TensorFlow and OpenCV read the levels when they are imported, FFmpeg with the first video.
QUIET_VARIABLES = {"TF_CPP_MIN_LOG_LEVEL": "3", "OPENCV_LOG_LEVEL": "SILENT", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
# Output belongs to the process, so only one thread of a command may suppress it.
_thread = threading.local()
_suppressing_thread = threading.Lock()


@dataclass(frozen=True)
class ChildResult:
    """Result of a child process.

    Attributes:
        exit_code: exit code; negative if a signal ended the process.
        stderr: its standard error.
        timed_out: True if the child was killed because its time was up.
    """

    exit_code: int
    stderr: str
    timed_out: bool = False

    @property
    def signal(self) -> str | None:
        """Name of the signal that ended the process, or None."""
        return signal.Signals(-self.exit_code).name if self.exit_code < 0 else None

    @property
    def allocation_failed(self) -> bool:
        """True if Python or C++ code in the child could not allocate memory."""
        return self.last_line.startswith("MemoryError") or "std::bad_alloc" in self.stderr

    @property
    def last_line(self) -> str:
        """Last line of its standard error, which names the exception; empty if there is none.

        It is shortened, because some exceptions quote all their arguments, including the content of a model.
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
    """Run ``python -m module arguments`` isolated, and wait for it; Ctrl-C and a timeout also end the child.

    Args:
        module: name of a module; the child uses this edgefer, even if it is not installed.
        arguments: its command line; paths in it are absolute.
        folder: private working folder of the child.
        timeout_s: maximum duration in seconds, at most MAX_TIMEOUT_S, or None.
        variables: environment variables to set.
        python: another interpreter with its own packages, which also uses this edgefer.

    Raises:
        OSError: ``python`` cannot be run.
    """
    return _run(["-m", module, *map(str, arguments)], folder, timeout_s, variables, python)


def run_code(
    code: str,
    *arguments: str | Path,
    folder: Path,
    timeout_s: float | None = None,
    variables: Mapping[str, str] | None = None,
    python: Path | None = None,
) -> ChildResult:
    """Run ``python -c code arguments`` isolated, with the arguments and errors of run_module()."""
    return _run(["-c", code, *map(str, arguments)], folder, timeout_s, variables, python)


def _run(
    arguments: list[str],
    folder: Path,
    timeout_s: float | None,
    variables: Mapping[str, str] | None,
    python: Path | None,
) -> ChildResult:
    command = [str(python or sys.executable), *_site_flags(python), "-c", START, home(), *arguments]
    environment = {**child_environment(same_interpreter=python is None), PARENT: str(os.getpid()), **(variables or {})}
    timed_out, stderr = False, ""
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        errors="replace",
    ) as child:  # fmt: skip
        try:
            _, stderr = child.communicate(timeout=None if timeout_s is None else min(timeout_s, MAX_TIMEOUT_S))
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            # On Ctrl-C subprocess.run() would kill the child too, but not wait for it, and leave a zombie.
            child.kill()
            exit_code = child.wait()
    return ChildResult(exit_code, stderr, timed_out)


def _site_flags(python: Path | None) -> list[str]:
    """Return the flags that hide installed packages in this process, for a child with the same packages."""
    flags = {"-S": sys.flags.no_site, "-s": sys.flags.no_user_site}
    return [flag for flag, is_set in flags.items() if is_set and python is None]


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
    try:
        reply: dict[str, Any] = json.loads(reply_path.read_text())
    except ValueError as error:  # native code crashed while the reply was written
        raise describe_crash(child) from error
    if "error" in reply:
        raise error_from_json(reply)
    return reply


def serve_request(request_path: str, reply_path: str, reply: Callable[[dict[str, Any]], dict[str, Any]]) -> int:
    """Serve a request in a child: write ``reply(request)`` or the error that it raised, and return the exit code.

    The child ends with its parent, even if the parent is killed.
    """
    _end_with_parent()
    exit_code = 0
    try:
        with allow_output_suppression():
            fields = reply(json.loads(Path(request_path).read_text()))
    except EdgeferError as error:
        fields, exit_code = error_to_json(error), error.exit_code
    files.write_text(Path(reply_path), json.dumps(fields) + "\n")
    return exit_code


def _end_with_parent() -> None:
    """Let the kernel kill this process when its parent ends; only Linux supports this."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # The parent may have ended before the call of prctl().
    if os.environ.get(PARENT, str(os.getppid())) != str(os.getppid()):
        os._exit(1)


def error_to_json(error: EdgeferError) -> dict[str, Any]:
    """Return an error as JSON-compatible values; error_from_json() is the inverse."""
    return {"error": {"kind": type(error).__name__, "what": error.what, "why": error.why, "fix": error.hint}}


def error_from_json(fields: Mapping[str, Any]) -> EdgeferError:
    """Create an error from the output of error_to_json(); an unknown kind becomes a DataError.

    Raises:
        DataError: ``fields`` is not the output of error_to_json().
    """
    error = fields.get("error")
    names = ("kind", "what", "why", "fix")
    if not isinstance(error, Mapping) or not all(isinstance(error.get(name), str) for name in names):
        raise DataError("invalid description of an error", why=f"expected the strings {', '.join(names)}")
    kind: type[EdgeferError] = getattr(errors, error["kind"]) if error["kind"] in errors.__all__ else DataError
    return kind(error["what"], why=error["why"], hint=error["fix"])


@contextlib.contextmanager
def allow_output_suppression() -> Iterator[None]:
    """Let suppress_native_output() work in this thread until the block ends; commands call this, a library does not.

    Within the block, TensorFlow logs errors only, and OpenCV and FFmpeg log nothing, unless the environment sets the
    level.
    """
    if getattr(_thread, "may_suppress", False) or not _suppressing_thread.acquire(blocking=False):
        yield
        return
    variables = {name: value for name, value in QUIET_VARIABLES.items() if name not in os.environ}
    os.environ.update(variables)
    _thread.may_suppress = True
    try:
        yield
    finally:
        _thread.may_suppress = False
        for name in variables:
            os.environ.pop(name, None)
        _suppressing_thread.release()


@contextlib.contextmanager
def suppress_native_output(*, ignored_warning: str = "") -> Iterator[None]:
    """Discard output of C++ code to stderr and of Python code to stdout; an exception shows the output to stderr.

    File descriptors, sys.stdout and warning filters belong to the whole process. Without allow_output_suppression() in
    this thread the block therefore runs unchanged: a program that uses edgefer as a library keeps its own output.

    Args:
        ignored_warning: regular expression for the start of a UserWarning to discard, or "".
    """
    if not getattr(_thread, "may_suppress", False):
        yield
        return
    with contextlib.ExitStack() as stack:
        if ignored_warning:
            stack.enter_context(warnings.catch_warnings())
            warnings.filterwarnings("ignore", ignored_warning, UserWarning)
        stack.enter_context(_redirected_stderr())
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        yield


@contextlib.contextmanager
def _redirected_stderr() -> Iterator[None]:
    """Redirect descriptor 2 to a temporary file, whose content an exception writes to stderr."""
    try:
        stderr = os.dup(2)
    except OSError:  # a service without a stderr
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
