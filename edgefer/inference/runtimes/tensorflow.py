"""TensorFlow's own interpreter, for comparisons: where TensorFlow is, there is a second runtime that was built apart.

It is the same code as LiteRT at another state, in a wheel of 600 MB, so "auto" takes it only where nothing else is
installed. This is the one module outside edgefer.workstation that may import TensorFlow, and only load() does.
"""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from types import ModuleType

from edgefer.errors import IncompatibleError
from edgefer.inference.runtime import InterpreterRuntime, Runtime
from edgefer.processes import suppress_native_output

__all__ = ["INSTALL", "PREFERENCE", "available", "load", "open_model"]

INSTALL = "pip install tensorflow"
PREFERENCE = 9
NEEDS_WORKSTATION = True


def available() -> str | None:
    """As RuntimeModule.available()."""
    try:
        return importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        return None


def load() -> ModuleType:
    """As RuntimeModule.load()."""
    # Read once, when TensorFlow starts: no chatter about GPUs that are not there.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with suppress_native_output():
            from tensorflow.lite.python import interpreter
    except ImportError as error:
        raise IncompatibleError("TensorFlow cannot be imported", why=str(error), hint=INSTALL) from error
    wheel: ModuleType = interpreter
    return wheel


def open_model(model: bytes, *, threads: int = 1, kernels: str = "default") -> Runtime:
    """As RuntimeModule.open_model()."""
    with warnings.catch_warnings():
        # That LiteRT is to be used instead, which is why this one comes last.
        warnings.filterwarnings("ignore", r"\s*Warning: tf\.lite\.Interpreter is deprecated", UserWarning)
        return InterpreterRuntime.open(
            load(), model, threads=threads, kernels=kernels, name="tensorflow", version=available() or ""
        )
