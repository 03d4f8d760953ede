"""Train on several devices: each computes a part of every batch, and all have the same weights.

    parallel = data_parallel(keras, devices=4, batch_size=128)      # None for one device
    with parallel.active(keras):
        trainer = Trainer(keras, settings, ..., parallel=parallel)  # its variables are replicated
    parallel.is_writer                              # True in the process that writes the run folder

Batches keep their size, and batch normalization uses the statistics of the whole batch, so the learning curve is that
of one device within rounding. Only JAX does this; see https://keras.io/api/distribution/.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.errors import DataError, UsageError

__all__ = ["DataParallel", "data_parallel"]

AXIS = "batch"


@dataclass(frozen=True)
class DataParallel:
    """The devices of a training.

    Attributes:
        names: devices of all processes, as Keras names them.
        processes: number of processes.
        rank: number of this process, from 0.
    """

    names: tuple[str, ...]
    processes: int = 1
    rank: int = 0

    @property
    def is_writer(self) -> bool:
        """True in the process that writes files."""
        return self.rank == 0

    @contextlib.contextmanager
    def active(self, keras: Any) -> Iterator[None]:
        """Replicate the variables that are created meanwhile, and split the batches of fit()."""
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(devices=list(self.names), auto_shard_dataset=False)
        )
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)

    def check_images(self, images: int, batch_size: int) -> None:
        """Raise DataError if the training images do not fill a batch, which the devices could not share."""
        if images < batch_size:
            why = f"several devices need at least one batch of {batch_size}"
            hint = "a smaller batch with --set batch_size=N, or one device"
            raise DataError(f"the training split has {images} images", why=why, hint=hint)

    def rows(self, batch_size: int) -> slice:
        """Return the rows of a batch that this process feeds to its devices."""
        size = batch_size // self.processes
        return slice(self.rank * size, (self.rank + 1) * size)

    def place(self, batches: npt.NDArray[Any]) -> Any:
        """Place batches on the devices, each device with its part of every batch.

        Args:
            batches: (steps, images, ...), the same in every process.

        Returns:
            A JAX array of the same shape.
        """
        import jax

        mesh = jax.sharding.Mesh(np.array(_jax_devices(self.names)), (AXIS,))
        axes = jax.sharding.PartitionSpec(None, AXIS)  # type: ignore[no-untyped-call]
        sharding = jax.sharding.NamedSharding(mesh, axes)
        return jax.make_array_from_callback(batches.shape, sharding, lambda index: batches[index])

    def broadcast(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the values of rank 0, so that all processes take the same decisions."""
        if self.processes == 1:
            return values
        from jax.experimental import multihost_utils

        # As bytes, because JAX rounds float64 to float32.
        sent = np.frombuffer(values.tobytes(), np.uint8)
        received = np.asarray(multihost_utils.broadcast_one_to_all(sent), np.uint8)
        return np.frombuffer(received.tobytes(), values.dtype).reshape(values.shape)

    def wait(self, name: str) -> None:
        """Wait until all processes have arrived here."""
        if self.processes > 1:
            from jax.experimental import multihost_utils

            multihost_utils.sync_global_devices(name)


def data_parallel(keras: Any, *, devices: int | None, batch_size: int) -> DataParallel | None:
    """Return the devices of a training; None for one device.

    Args:
        keras: the Keras module.
        devices: number of devices in a training of one process; None for one. Several processes use all devices.
        batch_size: images per step, which the devices share.

    Raises:
        UsageError: the backend is not JAX, there are fewer devices, or they cannot share a batch equally.
    """
    backend = keras.backend.backend()
    count = 1 if devices is None else devices
    processes, rank = _processes(backend)
    if processes == 1 and count == 1:
        return None
    if backend != "jax":
        why = f"{backend} trains on one device here"
        hint = "KERAS_BACKEND=jax edgefer train ..., after: pip install -e '.[workstation,jax-cuda]'"
        raise UsageError(f"a training on {count} devices", why=why, hint=hint)
    names = tuple(keras.distribution.list_devices())
    if processes == 1:
        if not 1 <= count <= len(names):
            why = f"JAX finds {', '.join(names)}"
            raise UsageError(f"--gpus {count}", why=why, hint=f"--gpus {len(names)}, or edgefer doctor")
        names = names[:count]
    if batch_size % len(names):
        larger = -(-batch_size // len(names)) * len(names)
        why = f"{len(names)} devices cannot share it equally"
        raise UsageError(f"batch_size is {batch_size}", why=why, hint=f"--set batch_size={larger}")
    return DataParallel(names, processes, rank)


def _processes(backend: str) -> tuple[int, int]:
    """Return the number of processes and the rank of this one."""
    if backend != "jax":
        return 1, 0
    import jax

    return jax.process_count(), jax.process_index()


def _jax_devices(names: tuple[str, ...]) -> list[Any]:
    import jax

    return jax.devices()[: len(names)]
