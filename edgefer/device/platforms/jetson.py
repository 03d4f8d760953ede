"""NVIDIA Jetson: power from an INA3221, and throttling by cooling devices.

The files are those of NVIDIA's Jetson Linux Developer Guide: L4T 32 (Nano) has milliwatts in ``in_power*_input``
below i2c, L4T 34 and later (Orin) has millivolts and milliamperes in hwmon.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefer.device import sysfs

if TYPE_CHECKING:
    from edgefer.device.platform import RunCommand

__all__ = ["PREFERENCE", "detect", "sample"]

PREFERENCE = 1
# Rail of the whole module; the others are parts of it.
WHOLE = ("POM_5V_IN", "VDD_IN")
CHANNELS = (1, 2, 3)


def detect(*, root: Path) -> bool:
    """Return True if the device tree names a Jetson or a Tegra chip."""
    # The model may be "NVIDIA Orin Nano Developer Kit", without the word Jetson.
    compatible = sysfs.read_first_line("/proc/device-tree/compatible", root=root)
    return "Jetson" in str(sysfs.board_model(root=root)) or "nvidia,tegra" in str(compatible)


def sample(*, root: Path, run: RunCommand) -> dict[str, Any]:
    """Return the active reasons for throttling, and the power if a sensor reports it."""
    state: dict[str, Any] = {"throttled": tuple(_throttle_reasons(root))}
    watts = _power(root)
    return state if watts is None else {**state, "power_w": watts}


def _throttle_reasons(root: Path) -> list[str]:
    """Return the active cooling devices of the processor; a fan is one too, but does not throttle."""
    active = set()
    for device in sysfs.list_paths("/sys/class/thermal", "cooling_device*", root=root):
        kind = sysfs.read_first_line(f"{device}/type", root=root) or ""
        if sysfs.read_number(f"{device}/cur_state", root=root) and "fan" not in kind.lower():
            active.add(f"cooling by {kind}")
    return sorted(active)


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
