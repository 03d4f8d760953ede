"""Join the processes of one training, on one machine or on several, before Keras computes anything.

    group = process_group(coordinator="10.0.0.1:1234", processes=2, rank=0)
    keras = load_keras(backend="jax", group=group)

Keras reads the same three values from KERAS_DISTRIBUTION_JOB_ADDRESSES, KERAS_DISTRIBUTION_NUM_PROCESSES and
KERAS_DISTRIBUTION_PROCESS_ID, which a job scheduler can set.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from edgefer.errors import UsageError

__all__ = ["ProcessGroup", "process_group"]

OPTIONS = {
    "--coordinator": "KERAS_DISTRIBUTION_JOB_ADDRESSES",
    "--processes": "KERAS_DISTRIBUTION_NUM_PROCESSES",
    "--rank": "KERAS_DISTRIBUTION_PROCESS_ID",
}
EXAMPLE = "--coordinator 10.0.0.1:1234 --processes 2 --rank 0"


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of one training.

    Attributes:
        coordinator: HOST:PORT of the process with rank 0.
        processes: number of processes.
        rank: number of this process, from 0.
    """

    coordinator: str
    processes: int
    rank: int


def process_group(
    *,
    coordinator: str | None = None,
    processes: int | None = None,
    rank: int | None = None,
    environ: Mapping[str, str] = os.environ,
) -> ProcessGroup | None:
    """Return the process group that options or variables describe; None for a training in one process.

    Args:
        coordinator, processes, rank: options, which override the variables.
        environ: environment variables.

    Raises:
        UsageError: a value is missing or invalid.
    """
    options = {"--coordinator": coordinator, "--processes": processes, "--rank": rank}
    given = {name: environ.get(OPTIONS[name], "") if value is None else str(value) for name, value in options.items()}
    if not any(given.values()):
        return None
    missing = [f"{name} or {OPTIONS[name]}" for name, value in given.items() if not value]
    if missing:
        raise UsageError("the process group is incomplete", why=f"missing: {', '.join(missing)}", hint=EXAMPLE)
    # Keras takes a list of addresses; the first is that of rank 0.
    address = given["--coordinator"].partition(",")[0]
    if not address.rpartition(":")[0] or not address.rpartition(":")[2].isdecimal():
        raise UsageError(f"--coordinator is {address!r}", why="expected HOST:PORT", hint=EXAMPLE)
    count, number = (_integer(name, given[name]) for name in ("--processes", "--rank"))
    if count < 1 or not 0 <= number < count:
        why = f"expected a rank from 0 to {count - 1}" if count > 0 else "expected at least 1 process"
        raise UsageError(f"--processes {count} --rank {number}", why=why, hint=EXAMPLE)
    return ProcessGroup(address, count, number) if count > 1 else None


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r}", why="expected an integer", hint=EXAMPLE) from None
