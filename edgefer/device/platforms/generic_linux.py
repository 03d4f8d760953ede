"""Any Linux: the kernel's thermal zones, hwmon, cpufreq and load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefer.device import sysfs

if TYPE_CHECKING:
    from edgefer.device.platform import RunCommand

__all__ = ["PREFERENCE", "detect", "sample"]

PREFERENCE = 9
# Zones and sensors that are of the processor; others are of batteries, disks and radios.
PROCESSOR = ("cpu", "soc", "x86_pkg", "coretemp", "k10temp", "bigcore", "littlecore", "acpitz")


def detect(*, root: Path) -> bool:
    """As PlatformModule.detect(): it always is."""
    return True


def sample(*, root: Path, ask: RunCommand) -> dict[str, Any]:
    """As PlatformModule.sample()."""
    clock_khz = sysfs.read_number("/sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq", root=root)
    return {
        "temperature_c": _temperature(root),
        "clock_mhz": None if clock_khz is None else clock_khz / 1000,
        "governor": sysfs.governor(root=root),
        "load_average": sysfs.load_average(root=root),
        "power_w": _power(root),
    }


def _temperature(root: Path) -> float | None:
    """The hottest sensor of the processor, else the hottest of all."""
    found = []
    for zone in sysfs.list_paths("/sys/class/thermal", "thermal_zone*", root=root):
        found.append((sysfs.read_first_line(f"{zone}/type", root=root), sysfs.read_number(f"{zone}/temp", root=root)))
    for sensor in sysfs.list_paths("/sys/class/hwmon", "hwmon*", root=root):
        name = sysfs.read_first_line(f"{sensor}/name", root=root)
        paths = sysfs.list_paths(sensor, "temp*_input", root=root)
        found += [(name, sysfs.read_number(path, root=root)) for path in paths]
    known = [(name or "", value) for name, value in found if value is not None]
    own = [value for name, value in known if name.lower().startswith(PROCESSOR)]
    # Thousandths of a degree. A zone that is switched off says zero or less.
    plausible = [value / 1000 for value in own or [value for _, value in known] if value > 0]
    return max(plausible, default=None)


def _power(root: Path) -> float | None:
    """Watts, by the sensors that give power itself (microwatts), together; None without any."""
    watts = [
        value / 1e6
        for sensor in sysfs.list_paths("/sys/class/hwmon", "hwmon*", root=root)
        for path in sysfs.list_paths(sensor, "power*_input", root=root)
        if (value := sysfs.read_number(path, root=root)) is not None
    ]
    return sum(watts) if watts else None
