"""LiteRT, the present TensorFlow Lite: the ai-edge-litert wheel, Python 3.10 and later on x86_64 and aarch64."""

from __future__ import annotations

import importlib
import importlib.metadata
from types import ModuleType

from edgefer.inference.runtime import InterpreterRuntime, Runtime

__all__ = ["INSTALL", "PREFERENCE", "available", "load", "open_model"]

INSTALL = "pip install ai-edge-litert"
PREFERENCE = 1


def available() -> str | None:
    """As RuntimeModule.available()."""
    try:
        return importlib.metadata.version("ai-edge-litert")
    except importlib.metadata.PackageNotFoundError:
        return None


def load() -> ModuleType:
    """As RuntimeModule.load()."""
    return importlib.import_module("ai_edge_litert.interpreter")


def open_model(model: bytes, *, threads: int = 1, kernels: str = "default") -> Runtime:
    """As RuntimeModule.open_model()."""
    return InterpreterRuntime.open(
        load(), model, threads=threads, kernels=kernels, name="litert", version=available() or ""
    )
