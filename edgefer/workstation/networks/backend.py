"""Import Keras with deterministic kernels, so that training is bit-exactly reproducible.

    keras = load_keras()                            # on $KERAS_BACKEND: tensorflow (default), jax or torch
    keras = load_keras(backend="tensorflow")        # for conversion

Keras binds its backend at import. A process therefore has one backend, and no other module may import Keras first.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from edgefer.errors import EdgeferError, UsageError
from edgefer.processes import suppress_native_output

__all__ = ["load_keras"]

BACKENDS = ("tensorflow", "jax", "torch")


def load_keras(*, backend: str | None = None) -> Any:
    """Import Keras on ``backend`` (default: $KERAS_BACKEND, else tensorflow), with deterministic kernels.

    Raises:
        UsageError: the backend does not exist, or this process already runs Keras on another one.
        EdgeferError: Keras or the backend is not installed.
    """
    name = backend or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in BACKENDS:
        why = f"expected one of {', '.join(BACKENDS)}"
        raise UsageError(f"unknown Keras backend {name!r}", why=why, hint="unset KERAS_BACKEND")
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = name
        # The backend reads these at startup: deterministic reductions, and no log output on stderr.
        os.environ.setdefault("TF_DETERMINISTIC_OPS", "1")
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with suppress_native_output():
            import keras
    except ImportError as error:
        extra = "workstation" if name == "tensorflow" else f"workstation,{name}"
        hint = f"in a checkout of edgefer: pip install -e '.[{extra}]'"
        raise EdgeferError(f"cannot import Keras on {name}", why=str(error), hint=hint) from error
    if keras.backend.backend() != name:
        raise UsageError(
            f"this process runs Keras on {keras.backend.backend()}",
            why=f"the command needs {name}, and Keras binds its backend on import",
            hint=f"KERAS_BACKEND={name}",
        )
    return keras
