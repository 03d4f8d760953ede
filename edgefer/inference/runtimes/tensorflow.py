"""Interpreter of the TensorFlow wheel: a second, independently built runtime on machines that train.

The wheel has 600 MB and contains another version of LiteRT's code, so "auto" selects it last. This is the only module
outside edgefer.workstation that may import TensorFlow, and only load() does.
"""

from __future__ import annotations

import importlib.metadata
from types import ModuleType

from edgefer.errors import IncompatibleError
from edgefer.inference.runtime import InterpreterRuntime, Runtime
from edgefer.processes import suppress_native_output

__all__ = ["INSTALL", "PREFERENCE", "available", "load", "open_model"]

INSTALL = "pip install tensorflow"
PREFERENCE = 9
NEEDS_WORKSTATION = True


def available() -> str | None:
    """Return the version of the installed wheel, or None, without importing it."""
    try:
        return importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        return None


def load() -> ModuleType:
    """Import TensorFlow and return its interpreter module.

    Raises:
        IncompatibleError: TensorFlow cannot be imported.
    """
    try:
        with suppress_native_output():
            from tensorflow.lite.python import interpreter
    except ImportError as error:
        raise IncompatibleError("TensorFlow cannot be imported", why=str(error), hint=INSTALL) from error
    wheel: ModuleType = interpreter
    return wheel


def open_model(model: bytes, *, threads: int = 1, kernels: str = "default") -> Runtime:
    """Load a flatbuffer and allocate its tensors; RuntimeModule.open_model() lists arguments and errors."""
    # The message recommends LiteRT, which "auto" prefers anyway.
    with suppress_native_output(ignored_warning=r"\s*Warning: tf\.lite\.Interpreter is deprecated"):
        return InterpreterRuntime.open(
            load(), model, threads=threads, kernels=kernels, name="tensorflow", version=available() or ""
        )
