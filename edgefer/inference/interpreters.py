"""Run a model in this process or in another Python interpreter.

    outputs = run_model(model, faces, Configuration("litert", kernels="reference"))
    outputs = run_model(model, faces, Configuration("tflite_runtime", python="/old/venv/bin/python"))
    python -m edgefer.inference.interpreters REQUEST.json REPLY.json     # runs in the other interpreter

One Python cannot hold two versions of a runtime, and tflite-runtime needs an older numpy than the others. Model, faces
and outputs are therefore exchanged as .npz files. The other interpreter needs numpy, OpenCV and a runtime; it imports
this edgefer.
"""

from __future__ import annotations

import platform
import shlex
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer import plugins
from edgefer.contract.preprocessing import InputSpec, encode, encoder
from edgefer.errors import EdgeferError, IncompatibleError, UsageError
from edgefer.inference.first_load import check_first_load, is_trusted, trust_model
from edgefer.inference.runtime import MODEL_HINT, RUNTIMES, Runtime, cannot_run, select_runtime
from edgefer.processes import ChildResult, call_module, serve_request
from edgefer.results.parity import Configuration

__all__ = ["InstalledRuntimes", "installed_runtimes", "run_faces", "run_model", "run_request"]

MODULE = "edgefer.inference.interpreters"


@dataclass(frozen=True)
class InstalledRuntimes:
    """Runtimes of one Python interpreter.

    Attributes:
        about: versions of Python and numpy, as text.
        runtimes: version of each installed runtime by name, the preferred runtime first.
    """

    about: str
    runtimes: dict[str, str]


def installed_runtimes(python: str = "") -> InstalledRuntimes:
    """Return the runtimes of this process, or of the interpreter at the path ``python``.

    Raises:
        UsageError: there is no interpreter at that path.
        IncompatibleError: it cannot run edgefer; the message names the missing package.
    """
    if python:
        with tempfile.TemporaryDirectory(prefix="edgefer-probe-") as folder:
            return InstalledRuntimes(**_call(python, {}, Path(folder)))
    modules = {name: plugins.load(RUNTIMES, name) for name in plugins.names(RUNTIMES)}
    versions = {name: version for name, module in modules.items() if (version := module.available()) is not None}
    ordered = sorted(versions, key=lambda name: int(modules[name].PREFERENCE))
    about = f"Python {platform.python_version()}, numpy {np.__version__}"
    return InstalledRuntimes(about, {name: versions[name] for name in ordered})


def run_model(
    model: bytes, faces: npt.NDArray[np.uint8], configuration: Configuration, spec: InputSpec = InputSpec()
) -> npt.NDArray[Any]:
    """Run prepared faces through a model and return the raw, flattened outputs (n, values).

    Args:
        model: content of a .tflite.
        faces: uint8 (n, *spec.shape).
        configuration: runtime, kernels, threads and interpreter.
        spec: input of the model.

    Raises:
        UsageError: the runtime, the kernels or the interpreter do not exist.
        IncompatibleError: the runtime is not installed, cannot load or run the model, or crashed.
    """
    if not configuration.python:
        module = select_runtime(configuration.runtime)
        check_first_load(model, module, kernels=configuration.kernels, inputs=faces, spec=spec)
        runtime = module.open_model(model, threads=configuration.threads, kernels=configuration.kernels)
        return run_faces(runtime, faces, spec)
    with tempfile.TemporaryDirectory(prefix="edgefer-run-") as folder:
        arrays, outputs = Path(folder, "arrays.npz"), Path(folder, "outputs.npy")
        np.savez(arrays, model=np.frombuffer(model, np.uint8), faces=faces)
        request = run_request(configuration, spec, arrays=str(arrays), outputs=str(outputs), trusted=is_trusted(model))
        _call(configuration.python, request, Path(folder))
        loaded: npt.NDArray[Any] = np.load(outputs, allow_pickle=False)
    return loaded


def run_request(
    configuration: Configuration, spec: InputSpec, *, arrays: str, outputs: str, trusted: bool
) -> dict[str, Any]:
    """Build the request with which main() runs a model in the interpreter that executes it.

    Args:
        configuration: runtime, kernels and threads; its interpreter is ignored.
        spec: input of the model.
        arrays: .npz to read: ``model``, the content of a .tflite as uint8, and ``faces``, uint8 (n, *spec.shape).
        outputs: .npy to write: the raw, flattened outputs (n, values).
        trusted: True to run the model without the check of its first load.
    """
    return {
        "configuration": asdict(replace(configuration, python="")), "arrays": arrays, "outputs": outputs,
        "trusted": trusted, "input": spec.to_json(),
    }  # fmt: skip


def run_faces(runtime: Runtime, faces: npt.NDArray[np.uint8], spec: InputSpec = InputSpec()) -> npt.NDArray[Any]:
    """Run faces through a loaded model and return the raw, flattened outputs (n, values).

    Args:
        runtime: loaded model with an output of any shape.
        faces: uint8 (n, *spec.shape).
        spec: input of the model.

    Raises:
        IncompatibleError: the faces do not fit the input of the model, or the interpreter fails.
    """
    shape = runtime.input.shape
    if int(np.prod(shape)) != int(np.prod(faces.shape[1:])):
        raise IncompatibleError(
            f"a model with an input of shape {shape}", why=f"the faces have shape {faces.shape[1:]}", hint=MODEL_HINT
        )
    table = encoder(runtime.input.params, spec)
    outputs = np.empty((len(faces), int(np.prod(runtime.output.shape))), runtime.output.params.dtype)
    for row, face in enumerate(faces):
        try:
            runtime.set_input(encode(table, face).reshape(shape))
            runtime.invoke()
            outputs[row] = runtime.get_output().reshape(-1)
        except (RuntimeError, ValueError) as error:
            raise cannot_run(runtime, error) from error
    return outputs


def _call(python: str, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Send a request to this module in another interpreter and return the reply."""

    def describe_crash(child: ChildResult) -> EdgeferError:
        why = f"ended by {child.signal}" if child.signal else child.last_line or f"exit code {child.exit_code}"
        hint = f"{shlex.quote(python)} -m pip install numpy opencv-python-headless, with Python 3.10 or later"
        return IncompatibleError(f"{python} cannot run edgefer", why=why, hint=hint)

    try:
        # The path is not resolved: a virtual environment is recognized by the link to its interpreter.
        interpreter = Path(python).absolute()
        return call_module(MODULE, request, folder=folder, describe_crash=describe_crash, python=interpreter)
    except OSError as error:
        why = error.strerror or str(error)
        raise UsageError(f"no Python at {python}", why=why, hint="--python path/to/venv/bin/python") from error


def _serve(request: dict[str, Any]) -> dict[str, Any]:
    """Return the installed runtimes for an empty request; otherwise run a model and save its outputs."""
    if not request:
        return asdict(installed_runtimes())
    with np.load(request["arrays"], allow_pickle=False) as arrays:
        model = arrays["model"].tobytes()
        if request["trusted"]:
            trust_model(model)
        spec = InputSpec.from_json(request["input"])
        outputs = run_model(model, arrays["faces"], Configuration(**request["configuration"]), spec)
    np.save(request["outputs"], outputs)
    return {}


def main(request_path: str, reply_path: str) -> int:
    """Serve one request of another process and return the exit code."""
    return serve_request(request_path, reply_path, _serve)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
