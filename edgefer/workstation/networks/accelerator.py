"""Name the processor or the GPUs on which Keras trains, and find a GPU that it leaves unused.

    describe_accelerator(keras)                     # "NVIDIA H200", "2 x NVIDIA H200" or "CPU"
    unused_gpus(keras)                              # "NVIDIA H200", if Keras trains on the CPU of this machine
"""

from __future__ import annotations

import os
from typing import Any

from edgefer.device.nvidia import VISIBLE_DEVICES, count_equal, nvidia_gpus
from edgefer.errors import IncompatibleError

__all__ = ["describe_accelerator", "unused_gpus"]


def describe_accelerator(keras: Any) -> str:
    """Return the names of the GPUs that Keras uses, or "CPU".

    TensorFlow, JAX and PyTorch place a training on a GPU, if they find one.
    """
    return count_equal(_device_names(keras)) or "CPU"


def unused_gpus(keras: Any) -> str:
    """Return the names of the GPUs of this machine if Keras uses none of them, or an empty string.

    A user who sets CUDA_VISIBLE_DEVICES, or whose driver does not work, has no unused GPU.
    """
    if VISIBLE_DEVICES in os.environ or _device_names(keras):
        return ""
    try:
        return count_equal([gpu.name for gpu in nvidia_gpus()])
    except IncompatibleError:
        return ""


def _device_names(keras: Any) -> list[str]:
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow

        config = tensorflow.config
        gpus = config.list_physical_devices("GPU")
        return [str(config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in gpus]
    if backend == "jax":
        import jax

        return [str(device.device_kind) for device in jax.devices() if device.platform != "cpu"]
    import torch

    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
