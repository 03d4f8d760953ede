"""Faces through a model, in this process or by the runtimes of another Python.

    outputs = execute(model, faces, Configuration("litert", kernels="reference"))
    outputs = execute(model, faces, Configuration("tflite_runtime", python="/old/venv/bin/python"))
    python -m edgefer.inference.interpreters REPLY.npz [REQUEST.npz]     # the other Python's side

Two versions of a runtime cannot live in one Python, and tflite-runtime does not even share numpy with the others. So
model, faces and outputs go there and back as .npz files; the other Python needs numpy, OpenCV and its runtime, and gets
edgefer from here.
"""

from __future__ import annotations

import json
import platform
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import files, plugins
from edgefer.contract.preprocessing import encoder
from edgefer.errors import EdgeferError, IncompatibleError, UsageError
from edgefer.inference.runtime import RUNTIMES, Runtime, choose
from edgefer.processes import error_from_json, error_to_json, run_module
from edgefer.results.parity import Configuration

__all__ = ["Installed", "execute", "installed", "run_faces"]

MODULE = "edgefer.inference.interpreters"


@dataclass(frozen=True)
class Installed:
    """What a Python has.

    Attributes:
        about: its version and numpy's, for people.
        runtimes: versions of the runtimes that are installed, by name; the preferred one first.
    """

    about: str
    runtimes: dict[str, str]


def installed(python: str = "") -> Installed:
    """The runtimes of this process, or of the interpreter at the path ``python``.

    Raises:
        UsageError: there is no interpreter at that path.
        IncompatibleError: it cannot run edgefer; the message says what it lacks.
    """
    if python:
        return Installed(**json.loads(str(_ask(python)["installed"])))
    modules = {name: plugins.load(RUNTIMES, name) for name in plugins.names(RUNTIMES)}
    found = {name: version for name, module in modules.items() if (version := module.available()) is not None}
    ordered = sorted(found, key=lambda name: int(modules[name].PREFERENCE))
    about = f"Python {platform.python_version()}, numpy {np.__version__}"
    return Installed(about, {name: found[name] for name in ordered})


def execute(model: bytes, faces: npt.NDArray[np.uint8], configuration: Configuration) -> npt.NDArray[Any]:
    """uint8 (n, height, width), prepared faces -> (n, values), the raw output of each, flat.

    Raises:
        UsageError: no such runtime, kernels or interpreter.
        IncompatibleError: the runtime is not installed, cannot load or run the model, or crashed.
    """
    if not configuration.python:
        module = choose(configuration.runtime)
        return run_faces(
            module.open_model(model, threads=configuration.threads, kernels=configuration.kernels), faces
        )
    settings = json.dumps(asdict(replace(configuration, python="")))
    reply = _ask(configuration.python, model=np.frombuffer(model, np.uint8), faces=faces, configuration=settings)
    return reply["outputs"]


def run_faces(runtime: Runtime, faces: npt.NDArray[np.uint8]) -> npt.NDArray[Any]:
    """As execute(), by a model that is loaded; its output may have any shape.

    Raises:
        IncompatibleError: the faces do not fit the model, or a run fails.
    """
    wanted = runtime.input.shape
    if int(np.prod(wanted)) != int(np.prod(faces.shape[1:])):
        raise IncompatibleError(f"a model with an input of shape {wanted}", why=f"the faces are {faces.shape[1:]}")
    table = encoder(runtime.input.params)
    outputs = np.empty((len(faces), int(np.prod(runtime.output.shape))), runtime.output.params.dtype)
    for row, face in enumerate(faces):
        runtime.set_input(table[face].reshape(wanted))
        try:
            runtime.invoke()
        except RuntimeError as error:
            why = " ".join(str(error).split())
            raise IncompatibleError(f"{runtime.name} {runtime.version} cannot run the model", why=why) from error
        outputs[row] = runtime.get_output().reshape(-1)
    return outputs


def _ask(python: str, **request: Any) -> dict[str, npt.NDArray[Any]]:
    """What main() replies when the interpreter ``python`` runs it; without a request, what is installed there."""
    with tempfile.TemporaryDirectory(prefix="edgefer-execute-") as folder:
        reply_path, request_path = Path(folder, "reply.npz"), Path(folder, "request.npz")
        if request:
            np.savez(request_path, **request)
        paths = [reply_path, request_path] if request else [reply_path]
        try:
            # A link to an interpreter is what makes it one of a virtual environment, so it is not resolved.
            ended = run_module(MODULE, *paths, folder=Path(folder), python=Path(python).absolute())
        except OSError as error:
            why = error.strerror or str(error)
            raise UsageError(f"no Python at {python}", why=why, hint="--python path/to/venv/bin/python") from error
        if not reply_path.exists():
            why = f"ended by {ended.signal}" if ended.signal else ended.last_line or f"code {ended.exit_code}"
            hint = f"{python} -m pip install numpy opencv-python-headless, and Python 3.10 or later"
            raise IncompatibleError(f"{python} cannot run edgefer", why=why, hint=hint)
        with np.load(reply_path, allow_pickle=False) as reply:
            found = {name: reply[name] for name in reply.files}
    if "error" in found:
        raise error_from_json(json.loads(str(found["error"])))
    return found


def _reply(request_path: str | None) -> dict[str, Any]:
    if request_path is None:
        return {"installed": json.dumps(asdict(installed()))}
    with np.load(request_path, allow_pickle=False) as request:
        configuration = Configuration(**json.loads(str(request["configuration"])))
        return {"outputs": execute(request["model"].tobytes(), request["faces"], configuration)}


def main(reply_path: str, request_path: str | None = None) -> int:
    """Do what the request asks and write the reply; the exit code."""
    exit_code = 0
    try:
        reply = _reply(request_path)
    except EdgeferError as error:
        reply, exit_code = {"error": json.dumps(error_to_json(error))}, error.exit_code
    with files.atomic_write(Path(reply_path)) as temporary:
        np.savez(temporary, **reply)
    return exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
