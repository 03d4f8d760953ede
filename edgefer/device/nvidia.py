"""Read the NVIDIA GPUs of this machine from their driver, without a machine-learning framework.

    for gpu in nvidia_gpus():
        gpu.name, gpu.driver, gpu.memory_bytes      # "NVIDIA H200", "550.54.15", 150754820096

nvidia-smi comes with the driver. Jetson boards have none, or one that does not list their GPU.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from edgefer.errors import IncompatibleError

__all__ = ["VISIBLE_DEVICES", "Gpu", "count_equal", "nvidia_gpus"]

# Variable that selects the GPUs of a process; an empty value or -1 hides all of them.
VISIBLE_DEVICES = "CUDA_VISIBLE_DEVICES"
COMMAND = "nvidia-smi"
QUERY = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits")
TIMEOUT_S = 30.0
MAX_GPUS = 64
QUOTED_CHARACTERS = 200


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Attributes:
        name: product name, such as "NVIDIA H200".
        driver: version of the driver.
        memory_bytes: total memory, or None if the driver does not report it.
    """

    name: str
    driver: str
    memory_bytes: int | None


def nvidia_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that nvidia-smi lists; empty without nvidia-smi.

    Raises:
        IncompatibleError: nvidia-smi is installed, but fails.
    """
    program = shutil.which(COMMAND)
    if program is None:
        return ()
    try:
        ended = subprocess.run(
            [program, *QUERY], capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except OSError as error:
        raise _failure(error.strerror or str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise _failure(f"no answer after {TIMEOUT_S:g} s") from error
    if ended.returncode:
        message = " ".join((ended.stdout + ended.stderr).split()) or f"exit code {ended.returncode}"
        raise _failure(message[:QUOTED_CHARACTERS])
    rows = [line.rsplit(",", 2) for line in ended.stdout.splitlines()[:MAX_GPUS]]
    return tuple(_gpu(*(cell.strip() for cell in row)) for row in rows if len(row) == 3)


def count_equal(texts: Sequence[str], *, separator: str = ", ") -> str:
    """Return "2 x A, B" for ["A", "A", "B"]."""
    counts = {text: texts.count(text) for text in texts}
    return separator.join(f"{count} x {text}" if count > 1 else text for text, count in counts.items())


def _gpu(name: str, driver: str, memory: str) -> Gpu:
    """Return a GPU from its line; nvidia-smi prints "[N/A]" for memory that the GPU shares with the processor."""
    return Gpu(name, driver, int(memory) * 2**20 if memory.isdecimal() else None)


def _failure(why: str) -> IncompatibleError:
    hint = "restart the machine after an update of the driver, or reinstall the driver"
    return IncompatibleError(f"{COMMAND} failed", why=why, hint=hint)
