"""Options of ``edgefer train`` that name the devices of a training: --gpus, --coordinator, --processes and --rank."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from edgefer.cli.options import option_group
from edgefer.errors import UsageError

if TYPE_CHECKING:
    from edgefer.workstation.networks.data_parallel import DataParallel
    from edgefer.workstation.training.run import Run

__all__ = ["DeviceOptions", "device_options", "devices_of_run", "load_backend", "new_devices"]

Callback = TypeVar("Callback", bound=Callable[..., Any])


@dataclass(frozen=True)
class DeviceOptions:
    """Devices of a training.

    Attributes:
        gpus: number of GPUs of this machine, or None for one.
        coordinator, processes, rank: address of the first process, number of processes and number of this one; None for
            a value that KERAS_DISTRIBUTION_* has, or for a training in one process.
    """

    gpus: int | None
    coordinator: str | None
    processes: int | None
    rank: int | None


device_options = option_group(
    "devices",
    DeviceOptions,
    click.option(
        "--gpus", type=click.IntRange(min=1), metavar="N", help="Train on N GPUs of this machine; needs JAX."
    ),
    click.option(
        "--coordinator", metavar="HOST:PORT",
        help="Address of rank 0, for a training in several processes on the GPUs of several machines; needs JAX.",
    ),
    click.option("--processes", type=int, metavar="N", help="Number of processes that train together."),
    click.option("--rank", type=int, metavar="I", help="Number of this process, from 0; rank 0 writes the run folder."),
)  # fmt: skip


def load_backend(devices: DeviceOptions, *, backend: str | None = None) -> Any:
    """Import Keras, and join the other processes of the training if the options name any.

    Raises:
        UsageError: the options are incomplete or exclude each other, or the backend trains on one device.
    """
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.networks.process_group import process_group

    group = process_group(coordinator=devices.coordinator, processes=devices.processes, rank=devices.rank)
    if group is not None and devices.gpus is not None:
        why = "several processes use all GPUs that they find"
        raise UsageError("--gpus with --processes", why=why, hint="omit --gpus; CUDA_VISIBLE_DEVICES hides GPUs")
    return load_keras(backend=backend, group=group)


def new_devices(
    keras: Any, devices: DeviceOptions, *, batch_size: int, run_folder: Path | None
) -> DataParallel | None:
    """Return the devices of a new run; None for one device.

    Raises:
        UsageError: they do not exist or cannot share a batch, or the processes have no common run folder.
    """
    from edgefer.workstation.networks.data_parallel import data_parallel

    parallel = data_parallel(keras, devices=devices.gpus, batch_size=batch_size)
    if parallel is not None and parallel.processes > 1 and run_folder is None:
        why = "all processes need the same folder, on a file system that they share"
        raise UsageError("--processes without --run", why=why, hint="--run runs/NAME, with equal options everywhere")
    return parallel


def devices_of_run(keras: Any, run: Run) -> DataParallel | None:
    """Return as many devices as a run was started on; None for one device.

    Raises:
        UsageError: there are fewer devices, or more in the processes that were started.
    """
    from edgefer.workstation.networks.data_parallel import data_parallel

    count = run.environment().get("devices", 1)
    parallel = data_parallel(keras, devices=count, batch_size=run.settings().batch_size)
    found = len(parallel.names) if parallel else 1
    if found != count:
        why = "a resumed run gives the same weights only on as many devices"
        raise UsageError(f"{run.folder} was started on {count} devices, and these are {found}", why=why,
                         hint="the same --coordinator, --processes and --rank as before")  # fmt: skip
    return parallel
