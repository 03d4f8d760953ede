"""Import Keras with deterministic kernels and fixed defaults, so that training is bit-exactly reproducible.

    keras = load_keras()                            # on $KERAS_BACKEND: tensorflow (default), jax or torch
    keras = load_keras(backend="tensorflow")        # for conversion
    pin_environment()                               # ("floatx float16 in /home/me/.keras/keras.json", "XLA_FLAGS")

Keras binds its backend at import. A process therefore has one backend, and no other module may import Keras first.

Settings of the user's own Keras, TensorFlow or JAX projects do not apply here: keras.json is not read, and variables
that change what is computed are unset. Variables that select hardware or threads stay, such as CUDA_VISIBLE_DEVICES,
and so does TF_ENABLE_ONEDNN_OPTS, the workaround for a defect in TensorFlow. numeric_choices() lists those of them that
change the last bits of the weights.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from edgefer.errors import EdgeferError, UsageError
from edgefer.processes import suppress_native_output
from edgefer.workstation.networks.process_group import ProcessGroup

__all__ = ["load_keras", "numeric_choices", "pin_environment"]

BACKENDS = ("tensorflow", "jax", "torch")
DEFAULTS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last", "nnx_enabled": False}
# Sums of float32 depend on the kernel and on the number of threads.
NUMERIC_CHOICES = ("TF_ENABLE_ONEDNN_OPTS", "TF_NUM_INTRAOP_THREADS")
# No file can exist below this path, so neither Keras nor tf_keras reads or writes a keras.json.
NO_HOME = os.devnull
# The backends read these at startup: deterministic reductions, and no log output on stderr.
PINNED = {"TF_DETERMINISTIC_OPS": "1", "TF_CUDNN_DETERMINISTIC": "1", "TF2_BEHAVIOR": "1"}
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3"}
# Variables that change the numbers, or the number of steps, of a training. Each is unset.
UNSET = (
    "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED", "TF_USE_LEGACY_KERAS",
    "TF_XLA_FLAGS", "TF_ENABLE_AUTO_MIXED_PRECISION", "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_IGNORE_PERFORMANCE",
    "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32", "TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32", "TF_SET_ONEDNN_FPMATH_MODE",
    "ONEDNN_DEFAULT_FPMATH_MODE", "DNNL_DEFAULT_FPMATH_MODE", "NVIDIA_TF32_OVERRIDE",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "JAX_ENABLE_X64", "JAX_DEFAULT_DTYPE_BITS", "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_NUMPY_DTYPE_PROMOTION", "JAX_DEFAULT_PRNG_IMPL", "JAX_THREEFRY_PARTITIONABLE", "JAX_ENABLE_CUSTOM_PRNG",
    "JAX_DISABLE_JIT", "JAX_DEBUG_NANS", "JAX_DEBUG_INFS", "JAX_NUMPY_RANK_PROMOTION", "JAX_TRANSFER_GUARD",
    "JAX_CHECK_TRACER_LEAKS", "JAX_LEGACY_PRNG_KEY",
)  # fmt: skip
# Flags of XLA_FLAGS that do not change what is computed: a path, and the number of virtual devices of a processor.
KEPT_XLA_FLAGS = ("--xla_gpu_cuda_data_dir=", "--xla_force_host_platform_device_count=")


def pin_environment() -> tuple[str, ...]:
    """Fix the environment variables that a training depends on, before Keras is imported.

    Returns:
        Descriptions of the settings that no longer apply; empty from the second call on.
    """
    if os.environ.get("KERAS_HOME") == NO_HOME:
        return ()
    ignored = _keras_settings(Path(os.environ.get("KERAS_HOME") or "~/.keras", "keras.json"))
    for name, value in PINNED.items():
        if os.environ.get(name, value) != value:
            ignored.append(f"{name}={os.environ[name]}")
        os.environ[name] = value
    for name in UNSET:
        value = os.environ.pop(name, "")
        ignored += [f"{name}={value}"] if value else []
    flags = os.environ.pop("XLA_FLAGS", "").split()
    kept = [flag for flag in flags if flag.startswith(KEPT_XLA_FLAGS)]
    if kept:
        os.environ["XLA_FLAGS"] = " ".join(kept)
    ignored += ["XLA_FLAGS"] if kept != flags else []
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["KERAS_HOME"] = NO_HOME
    return tuple(ignored)


def numeric_choices() -> dict[str, str]:
    """Return the variables that stay and change the last bits of the weights, with their values."""
    return {name: os.environ[name] for name in NUMERIC_CHOICES if os.environ.get(name)}


def _keras_settings(path: Path) -> list[str]:
    """Describe the entries of a keras.json that differ from what edgefer uses."""
    try:
        path = path.expanduser()
        entries = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, RuntimeError, RecursionError):
        return [f"{path}, which cannot be read"]
    if not isinstance(entries, dict):
        return [f"{path}, which cannot be read"]
    # Keras itself prefers $KERAS_BACKEND to the file.
    expected = DEFAULTS if os.environ.get("KERAS_BACKEND") else {**DEFAULTS, "backend": "tensorflow"}
    return [f"{key} {value} in {path}" for key, value in entries.items() if expected.get(key, value) != value]


def load_keras(*, backend: str | None = None, group: ProcessGroup | None = None) -> Any:
    """Import Keras on ``backend`` (default: $KERAS_BACKEND, else tensorflow), with deterministic kernels.

    Args:
        backend: tensorflow, jax or torch.
        group: processes that train together; this process joins them before it computes anything.

    Raises:
        UsageError: the backend does not exist, or this process already runs Keras on another one or with other
            defaults.
        EdgeferError: Keras or the backend is not installed, or finds no device.
    """
    name = backend or os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name not in BACKENDS:
        why = f"expected one of {', '.join(BACKENDS)}"
        raise UsageError(f"unknown Keras backend {name!r}", why=why, hint="unset KERAS_BACKEND")
    if "keras" not in sys.modules:
        pin_environment()
        os.environ["KERAS_BACKEND"] = name
    try:
        with suppress_native_output():
            import keras

            if group is not None:
                _join(keras, group)
            if name != "tensorflow":
                keras.ops.zeros(())  # starts the device
    except ImportError as error:
        extra = "workstation" if name == "tensorflow" else f"workstation,{name}"
        hint = f"in a checkout of edgefer: pip install -e '.[{extra}]'"
        if not isinstance(error, ModuleNotFoundError):  # installed, but damaged or without a library of the system
            hint = f"python -c 'import {name}'   (the complete message), then: pip install --force-reinstall {name}"
        raise EdgeferError(f"cannot import Keras on {name}", why=str(error), hint=hint) from error
    except RuntimeError as error:  # such as JAX_PLATFORMS=tpu on a machine without one
        hint = "unset JAX_PLATFORMS" if os.environ.get("JAX_PLATFORMS") else "KERAS_BACKEND=tensorflow"
        if group is not None:
            hint = f"start all {group.processes} processes; each must reach {group.coordinator}"
        raise EdgeferError(f"cannot start Keras on {name}", why=str(error), hint=hint) from error
    if keras.backend.backend() != name:
        raise UsageError(
            f"this process runs Keras on {keras.backend.backend()}",
            why=f"the command needs {name}, and Keras binds its backend on import",
            hint=f"KERAS_BACKEND={name}",
        )
    _check_defaults(keras)
    return keras


def _join(keras: Any, group: ProcessGroup) -> None:
    """Join the processes of a training; the call returns when all of them have joined."""
    if keras.backend.backend() != "jax":
        why = f"{keras.backend.backend()} trains in one process here"
        raise UsageError(f"--processes {group.processes}", why=why, hint="KERAS_BACKEND=jax edgefer train ...")
    keras.distribution.initialize(group.coordinator, group.processes, group.rank)


def _check_defaults(keras: Any) -> None:
    """Raise UsageError if a program that uses edgefer has changed what Keras computes."""
    settings = {
        "floatx": keras.config.floatx(),
        "epsilon": keras.config.epsilon(),
        "image_data_format": keras.config.image_data_format(),
    }
    for name, value in settings.items():
        if value != DEFAULTS[name]:
            why = f"edgefer needs {DEFAULTS[name]}"
            raise UsageError(f"Keras has {name} {value}", why=why, hint=f"keras.config.set_{name}({DEFAULTS[name]!r})")
    policy = keras.config.dtype_policy().name
    if policy != "float32":
        hint = "keras.config.set_dtype_policy('float32')"
        raise UsageError(f"Keras has the dtype policy {policy}", why="edgefer needs float32", hint=hint)
