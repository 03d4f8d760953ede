"""What kind of board this is, and what it is like at this moment.

    name, module = current()                        # "raspberry_pi"
    sample(elapsed_s=0.0)                           # Conditions
    told()                                          # the same as far as something tells, by name

A kind is a file in ``platforms/`` that has what PlatformModule asks for. Files are read below a root and programs are
asked through a function, so that texts recorded on a board can be read anywhere.
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
ASK_S = 5.0

RunCommand = Callable[[Sequence[str]], str | None]
"""ask(command): what a program writes, or None where it is not there or fails."""


class PlatformModule(Protocol):
    """What a file in ``platforms/`` defines.

    Attributes:
        PREFERENCE: of the kinds that a device could be, the lowest is taken.
    """

    PREFERENCE: int

    def detect(self, *, root: Path) -> bool:
        """Whether this is such a device."""

    def sample(self, *, root: Path, ask: RunCommand) -> dict[str, Any]:
        """Fields of Conditions that this kind knows better than generic_linux does."""


def run_command(command: Sequence[str]) -> str | None:
    """Run a program that says something about the device."""
    try:
        ended = subprocess.run(command, capture_output=True, timeout=ASK_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        return None
    return ended.stdout.decode(errors="replace") if ended.returncode == 0 else None


def detect_platform(*, root: Path = sysfs.ROOT) -> tuple[str, PlatformModule]:
    """The kind of this device: its name, and its module."""
    modules = {name: cast("PlatformModule", plugins.load(PLATFORMS, name)) for name in plugins.names(PLATFORMS)}
    fitting = {name: module for name, module in modules.items() if module.detect(root=root)}
    return min(fitting.items(), key=lambda item: item[1].PREFERENCE)


def sample_state(elapsed_s: float, *, root: Path = sysfs.ROOT, ask: RunCommand = run_command) -> DeviceState:
    """The device now, ``elapsed_s`` seconds after a bench began."""
    return DeviceState(elapsed_s=elapsed_s, **read_state(root=root, ask=ask))


def read_state(*, root: Path = sysfs.ROOT, ask: RunCommand = run_command) -> dict[str, Any]:
    """The fields of Conditions that something on this device tells; where a field is missing, nothing does."""
    _, module = detect_platform(root=root)
    general = cast("PlatformModule", plugins.load(PLATFORMS, "generic_linux")).sample(root=root, ask=ask)
    return {**general, **module.sample(root=root, ask=ask)}
