"""Any Linux device: the thermal zones, hwmon, cpufreq and load of the kernel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefer.device import sysfs

if TYPE_CHECKING:
    from edgefer.device.platform import RunCommand

__all__ = ["PREFERENCE", "detect", "sample"]

PREFERENCE = 9
# Prefixes of the processor's zones and sensors; others belong to batteries, disks and radios.
PROCESSOR = ("cpu", "soc", "x86_pkg", "coretemp", "k10temp", "bigcore", "littlecore", "acpitz")


def detect(*, root: Path) -> bool:
    """Return True."""
    return True


def sample(*, root: Path, run: RunCommand) -> dict[str, Any]:
    """Return temperature, clock, governor, load and power; the clock is the highest of all usable cores."""
    cores = sysfs.affinity()
    return {
        "temperature_c": _temperature(root),
        "clock_mhz": sysfs.clock_mhz(cores, root=root),
        "governor": sysfs.governor(cores, root=root),
        "load_average": sysfs.load_average(root=root),
        "power_w": _power(root),
    }


def _temperature(root: Path) -> float | None:
    """Return the temperature of the processor's hottest sensor, or of the hottest of all if none is the processor's."""
    readings = []
    for zone in sysfs.list_paths("/sys/class/thermal", "thermal_zone*", root=root):
        kind = sysfs.read_first_line(f"{zone}/type", root=root)
        readings.append((kind, sysfs.read_number(f"{zone}/temp", root=root)))
    for sensor in sysfs.list_paths("/sys/class/hwmon", "hwmon*", root=root):
        name = sysfs.read_first_line(f"{sensor}/name", root=root)
        paths = sysfs.list_paths(sensor, "temp*_input", root=root)
        readings += [(name, sysfs.read_number(path, root=root)) for path in paths]
    known = [(name or "", value) for name, value in readings if value is not None]
    processor = [value for name, value in known if name.lower().startswith(PROCESSOR)]
    # Thousandths of a degree. A disabled zone reports zero or less.
    plausible = [value / 1000 for value in processor or [value for _, value in known] if value > 0]
    return max(plausible, default=None)


def _power(root: Path) -> float | None:
    """Return the sum of all sensors that report power (microwatts) in watts, or None without such a sensor."""
    watts = [
        value / 1e6
        for sensor in sysfs.list_paths("/sys/class/hwmon", "hwmon*", root=root)
        for path in sysfs.list_paths(sensor, "power*_input", root=root)
        if (value := sysfs.read_number(path, root=root)) is not None
    ]
    return sum(watts) if watts else None
