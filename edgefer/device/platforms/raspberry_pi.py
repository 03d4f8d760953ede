"""Raspberry Pi: throttling, temperature, clock and power from the firmware, through ``vcgencmd``.

The bits of ``get_throttled`` and the output of vcgencmd are described in the Raspberry Pi documentation (Raspberry Pi
OS, vcgencmd). Only the Pi 3A+ and 3B+ have the soft temperature limit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgefer.device import sysfs

if TYPE_CHECKING:
    from edgefer.device.platform import RunCommand

__all__ = ["PREFERENCE", "detect", "sample", "throttle_reasons"]

PREFERENCE = 1
# Bit n is set while the condition lasts, bit n + 16 if it has occurred since the board booted.
BITS = ("under-voltage", "frequency capped", "throttled", "soft temperature limit")
SINCE_BOOT = 16


def detect(*, root: Path) -> bool:
    """Return True if the device tree names a Raspberry Pi."""
    return str(sysfs.board_model(root=root)).startswith("Raspberry Pi")


def sample(*, root: Path, run: RunCommand) -> dict[str, Any]:
    """Return the values of vcgencmd; without it, the kernel's sensor still reports under-voltage."""
    state: dict[str, Any] = {}
    bits = _number(run(["vcgencmd", "get_throttled"]), r"throttled=0x([0-9a-fA-F]+)", base=16)
    if bits is not None:
        state["throttled"] = throttle_reasons(bits)
        state["throttled_since_boot"] = throttle_reasons(bits >> SINCE_BOOT)
    elif _voltage_is_low(root):
        state["throttled"] = BITS[:1]
    temperature = re.search(r"temp=(\d+(?:\.\d+)?)", run(["vcgencmd", "measure_temp"]) or "")
    if temperature:
        state["temperature_c"] = float(temperature[1])
    # The kernel reports the clock that it requested; the firmware reports the real one, which it may lower.
    hertz = _number(run(["vcgencmd", "measure_clock", "arm"]), r"frequency\(\d+\)=(\d+)")
    if hertz:
        state["clock_mhz"] = hertz / 1e6
    watts = _power(run(["vcgencmd", "pmic_read_adc"]))
    if watts is not None:
        state["power_w"] = watts
    return state


def throttle_reasons(bits: int) -> tuple[str, ...]:
    """Return the names of the set bits among the low four of ``bits``."""
    return tuple(name for position, name in enumerate(BITS) if bits >> position & 1)


def _number(text: str | None, pattern: str, *, base: int = 10) -> int | None:
    match = re.search(pattern, text or "")
    return int(match[1], base) if match else None


def _voltage_is_low(root: Path) -> bool:
    return any(
        sysfs.read_first_line(f"{sensor}/name", root=root) == "rpi_volt"
        and sysfs.read_first_line(f"{sensor}/in0_lcrit_alarm", root=root) == "1"
        for sensor in sysfs.list_paths("/sys/class/hwmon", "hwmon*", root=root)
    )


def _power(text: str | None) -> float | None:
    """Return the power of all rails that the power chip of a Pi 5 measures, in watts; None on other boards."""
    currents = dict(re.findall(r"(\w+)_A current\(\d+\)=(\d+(?:\.\d+)?)A", text or ""))
    volts = dict(re.findall(r"(\w+)_V volt\(\d+\)=(\d+(?:\.\d+)?)V", text or ""))
    rails = [float(currents[rail]) * float(volts[rail]) for rail in currents if rail in volts]
    return sum(rails) if rails else None
