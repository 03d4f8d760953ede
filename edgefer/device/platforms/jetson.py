"""NVIDIA Jetson: power by an INA3221, and clocks that cooling devices hold back.

The files are those of NVIDIA's Jetson Linux Developer Guide: L4T 32 (Nano) gives milliwatts in ``in_power*_input``
below i2c, L4T 34 and later (Orin) gives millivolts and milliamperes in hwmon.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefer.device import sysfs

if TYPE_CHECKING:
    from edgefer.device.platform import RunCommand

__all__ = ["PREFERENCE", "detect", "sample"]

PREFERENCE = 1
# The rail of the whole module: the others are parts of it.
WHOLE = ("POM_5V_IN", "VDD_IN")
CHANNELS = (1, 2, 3)


def detect(*, root: Path) -> bool:
    """As PlatformModule.detect()."""
    # Some call themselves "NVIDIA Orin Nano Developer Kit"; what they are compatible with names the chip.
    compatible = sysfs.read_first_line("/proc/device-tree/compatible", root=root)
    return "Jetson" in str(sysfs.board_model(root=root)) or "nvidia,tegra" in str(compatible)


def sample(*, root: Path, ask: RunCommand) -> dict[str, Any]:
    """As PlatformModule.sample()."""
    found: dict[str, Any] = {"throttled": tuple(_held_back(root))}
    watts = _power(root)
    return found if watts is None else {**found, "power_w": watts}


def _held_back(root: Path) -> list[str]:
    """Cooling devices of the processor that are at work; a fan is one too, and holds nothing back."""
    at_work = set()
    for device in sysfs.list_paths("/sys/class/thermal", "cooling_device*", root=root):
        kind = sysfs.read_first_line(f"{device}/type", root=root) or ""
        if sysfs.read_number(f"{device}/cur_state", root=root) and "fan" not in kind.lower():
            at_work.add(f"cooling by {kind}")
    return sorted(at_work)


def _power(root: Path) -> float | None:
    for sensor in sysfs.list_paths("/sys/bus/i2c/drivers/ina3221x", "*/iio:device*", root=root):
        for channel in (0, 1, 2):
            milliwatts = sysfs.read_number(f"{sensor}/in_power{channel}_input", root=root)
            if milliwatts is not None and sysfs.read_first_line(f"{sensor}/rail_name_{channel}", root=root) in WHOLE:
                return milliwatts / 1000
    for sensor in sysfs.list_paths("/sys/class/hwmon", "hwmon*", root=root):
        for channel in CHANNELS:
            millivolts = sysfs.read_number(f"{sensor}/in{channel}_input", root=root)
            milliamperes = sysfs.read_number(f"{sensor}/curr{channel}_input", root=root)
            is_whole = sysfs.read_first_line(f"{sensor}/in{channel}_label", root=root) in WHOLE
            if is_whole and millivolts is not None and milliamperes is not None:
                return millivolts * milliamperes / 1e6
    return None
