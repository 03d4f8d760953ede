"""LiteRT, the successor of TensorFlow Lite: the wheel ai-edge-litert, Python 3.10 or later, x86_64 and aarch64."""

from __future__ import annotations

import importlib
import importlib.metadata
from types import ModuleType

from edgefer.inference.runtime import InterpreterRuntime, Runtime

__all__ = ["INSTALL", "PREFERENCE", "available", "load", "open_model"]

INSTALL = "pip install ai-edge-litert"
PREFERENCE = 1


def available() -> str | None:
    """Return the version of the installed wheel, or None, without importing it."""
    try:
        return importlib.metadata.version("ai-edge-litert")
    except importlib.metadata.PackageNotFoundError:
        return None


def load() -> ModuleType:
    """Import the interpreter module of the wheel."""
    return importlib.import_module("ai_edge_litert.interpreter")


def open_model(model: bytes, *, threads: int = 1, kernels: str = "default") -> Runtime:
    """Load a flatbuffer and allocate its tensors; RuntimeModule.open_model() lists arguments and errors."""
    return InterpreterRuntime.open(
        load(), model, threads=threads, kernels=kernels, name="litert", version=available() or ""
    )
