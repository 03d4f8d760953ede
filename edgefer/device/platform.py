"""Kind of this board and its current state.

    name, module = detect_platform()                # "raspberry_pi"
    sample_state(elapsed_s=0.0)                     # DeviceState
    read_state()                                    # the fields that this device reports, by name

A kind of board is a file in ``platforms/`` with the members of PlatformModule. Files are read below a root and programs
are run through a function, so tests can replay texts that were recorded on a board.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from edgefer import plugins
from edgefer.device import sysfs
from edgefer.results.device_state import DeviceState

__all__ = ["PlatformModule", "RunCommand", "detect_platform", "read_state", "run_command", "sample_state"]

PLATFORMS = "edgefer.device.platforms"
TIMEOUT_S = 5.0

RunCommand = Callable[[Sequence[str]], str | None]
"""run(command): the output of a program, or None if it is missing or fails."""


class PlatformModule(Protocol):
    """Members of a file in ``platforms/``.

    Attributes:
        PREFERENCE: of several matching kinds, the one with the lowest value is used.
    """

    PREFERENCE: int

    def detect(self, *, root: Path) -> bool:
        """Return True if this device is of this kind."""

    def sample(self, *, root: Path, run: RunCommand) -> dict[str, Any]:
        """Return the fields of DeviceState that this kind reports better than generic_linux."""


def run_command(command: Sequence[str]) -> str | None:
    """Run a program and return its output, or None if it is missing, fails, or takes more than TIMEOUT_S seconds."""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.decode(errors="replace") if ended.returncode == 0 else None


def detect_platform(*, root: Path = sysfs.ROOT) -> tuple[str, PlatformModule]:
    """Return the name and the module of the kind of this device."""
    modules = {name: cast("PlatformModule", plugins.load(PLATFORMS, name)) for name in plugins.names(PLATFORMS)}
    matching = {name: module for name, module in modules.items() if module.detect(root=root)}
    return min(matching.items(), key=lambda item: item[1].PREFERENCE)


def sample_state(elapsed_s: float, *, root: Path = sysfs.ROOT, run: RunCommand = run_command) -> DeviceState:
    """Sample the device state, ``elapsed_s`` seconds after the start of a benchmark."""
    return DeviceState(elapsed_s=elapsed_s, **read_state(root=root, run=run))


def read_state(*, root: Path = sysfs.ROOT, run: RunCommand = run_command) -> dict[str, Any]:
    """Read the fields of DeviceState that this device reports; a missing field is one that it does not report."""
    _, module = detect_platform(root=root)
    general = cast("PlatformModule", plugins.load(PLATFORMS, "generic_linux")).sample(root=root, run=run)
    return {**general, **module.sample(root=root, run=run)}
