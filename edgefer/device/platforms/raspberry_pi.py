"""Raspberry Pi: the firmware knows what holds the board back, and ``vcgencmd`` asks it.

The bits of ``get_throttled``, and the texts that vcgencmd writes, are those of the Raspberry Pi documentation
(Raspberry Pi OS, vcgencmd), where the soft temperature limit is of the Pi 3A+ and 3B+.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefer.device import sysfs

if TYPE_CHECKING:
    from edgefer.device.platform import RunCommand

__all__ = ["PREFERENCE", "detect", "reasons", "sample"]

PREFERENCE = 1
# What bit n says of now, and bit n + 16 of the time since the board was started.
BITS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
SINCE_BOOT = 16


def detect(*, root: Path) -> bool:
    """As PlatformModule.detect()."""
    return str(sysfs.board_model(root=root)).startswith("Raspberry Pi")


def sample(*, root: Path, ask: RunCommand) -> dict[str, Any]:
    """As PlatformModule.sample(). Without vcgencmd the kernel's sensor tells of under-voltage, and of nothing else."""
    found: dict[str, Any] = {}
    bits = _number(ask(["vcgencmd", "get_throttled"]), r"throttled=0x([0-9a-fA-F]+)", base=16)
    if bits is not None:
        found["throttled"], found["throttled_since_boot"] = reasons(int(bits)), reasons(int(bits) >> SINCE_BOOT)
    elif _voltage_is_low(root):
        found["throttled"] = BITS[:1]
    temperature = re.search(r"temp=([\d.]+)", ask(["vcgencmd", "measure_temp"]) or "")
    if temperature:
        found["temperature_c"] = float(temperature[1])
    # The kernel says what it asked for; the firmware, what the clock is, which it lowers by itself.
    hertz = _number(ask(["vcgencmd", "measure_clock", "arm"]), r"frequency\(\d+\)=(\d+)")
    if hertz:
        found["clock_mhz"] = hertz / 1e6
    watts = _power(ask(["vcgencmd", "pmic_read_adc"]))
    if watts is not None:
        found["power_w"] = watts
    return found


def reasons(bits: int) -> tuple[str, ...]:
    """The names of the low four ``bits`` that are set."""
    return tuple(name for position, name in enumerate(BITS) if bits >> position & 1)


def _number(text: str | None, pattern: str, *, base: int = 10) -> int | None:
    found = re.search(pattern, text or "")
    return int(found[1], base) if found else None


def _voltage_is_low(root: Path) -> bool:
    return any(
        sysfs.read_first_line(f"{sensor}/name", root=root) == "rpi_volt"
        and sysfs.read_first_line(f"{sensor}/in0_lcrit_alarm", root=root) == "1"
        for sensor in sysfs.list_paths("/sys/class/hwmon", "hwmon*", root=root)
    )


def _power(text: str | None) -> float | None:
    """Watts, from the rails whose current and voltage the power chip of a Pi 5 gives; None on other boards."""
    currents = dict(re.findall(r"(\w+)_A current\(\d+\)=([\d.]+)A", text or ""))
    volts = dict(re.findall(r"(\w+)_V volt\(\d+\)=([\d.]+)V", text or ""))
    rails = [float(currents[rail]) * float(volts[rail]) for rail in currents if rail in volts]
    return sum(rails) if rails else None
