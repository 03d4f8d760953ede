"""tflite-runtime: last release 2.14.0, Python up to 3.11, the only wheel for 32-bit ARM (armv7l).

The wheel has no XNNPACK kernels for int8. It reads a flatbuffer without verifying it, so a truncated model can crash
the process. Artifact.load() compares a hash and rejects a truncated model first.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from types import ModuleType

import numpy as np

from edgefer.errors import IncompatibleError
from edgefer.inference.runtime import InterpreterRuntime, Runtime
from edgefer.requirements import NUMPY_1, TFLITE_RUNTIME

__all__ = ["INSTALL", "PREFERENCE", "available", "load", "open_model"]

INSTALL = f'pip install "{TFLITE_RUNTIME}" "{NUMPY_1}"'
PREFERENCE = 2


def available() -> str | None:
    """Return the version of the installed wheel, or None, without importing it."""
    try:
        return importlib.metadata.version("tflite-runtime")
    except importlib.metadata.PackageNotFoundError:
        return None


def load() -> ModuleType:
    """Import the interpreter module of the wheel.

    Raises:
        IncompatibleError: numpy 2 is installed.
    """
    # Under numpy 2 the wheel prints a page of warnings and then raises a SystemError without a cause.
    if int(np.__version__.split(".")[0]) >= 2:
        raise IncompatibleError(
            f"tflite-runtime does not work with numpy {np.__version__}",
            why="its last release is built for numpy 1 and fails under numpy 2",
            hint=f'pip install "{NUMPY_1}"',
        )
    return importlib.import_module("tflite_runtime.interpreter")


def open_model(model: bytes, *, threads: int = 1, kernels: str = "default") -> Runtime:
    """Load a flatbuffer and allocate its tensors; RuntimeModule.open_model() lists arguments and errors."""
    return InterpreterRuntime.open(
        load(), model, threads=threads, kernels=kernels, name="tflite_runtime", version=available() or ""
    )
