"""What a Linux device says of itself in /proc, /sys and /etc.

    cpu_model()                                     # "Cortex-A76", "AMD EPYC 7763 64-Core Processor"
    governor(), load_average(), rss_bytes(), peak_rss_bytes(), describe()

Every function takes ``root``, so that the text recorded on a board can be read on any machine. What cannot be read is
None, never an error: a container hides half of these files.
"""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

__all__ = [
    "board_model",
    "cpu_model",
    "describe",
    "governor",
    "has_dot_product",
    "list_paths",
    "load_average",
    "peak_rss_bytes",
    "ram_bytes",
    "read_first_line",
    "read_number",
    "rss_bytes",
]

ROOT = Path("/")
DOT_PRODUCT = {"asimddp", "avx512_vnni", "avx_vnni"}

# (implementer, part) of the cores on the boards that people run this on, from util-linux, sys-utils/lscpu-arm.c.
ARM_CORES = {
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}


def read_first_line(path: str, *, root: Path = ROOT) -> str | None:
    """The first line of ``path`` (such as "/proc/loadavg") below ``root``, stripped of blanks and NULs, or None."""
    lines = _read_lines(path, root=root)
    return lines[0].strip("\0 \t") if lines else None


def read_number(path: str, *, root: Path = ROOT) -> float | None:
    """The number in the first line of ``path``, or None where there is none."""
    try:
        return float(read_first_line(path, root=root) or "")
    except ValueError:
        return None


def list_paths(folder: str, pattern: str, *, root: Path = ROOT) -> list[str]:
    """Paths below ``folder`` that fit ``pattern``, in order, as the other functions take them."""
    found = (root / folder.lstrip("/")).glob(pattern)
    return sorted("/" + str(path.relative_to(root)) for path in found)


def board_model(*, root: Path = ROOT) -> str | None:
    """What the device tree calls the board, or None: a PC has none."""
    places = ("/proc/device-tree/model", "/sys/firmware/devicetree/base/model")
    return next((name for place in places if (name := read_first_line(place, root=root))), None)


def has_dot_product(*, root: Path = ROOT) -> bool | None:
    """Whether the processor has an instruction for dot products of int8: asimddp on ARM, VNNI on x86."""
    for line in _read_lines("/proc/cpuinfo", root=root):
        key, _, value = line.partition(":")
        if key.strip() in ("Features", "flags"):
            return bool(DOT_PRODUCT.intersection(value.split()))
    return None


def ram_bytes(*, root: Path = ROOT) -> int | None:
    """All memory of the device."""
    for line in _read_lines("/proc/meminfo", root=root):
        key, _, value = line.partition(":")
        if key == "MemTotal":
            return int(value.split()[0]) * 1024
    return None


def cpu_model(*, root: Path = ROOT) -> str | None:
    """The processor's name: as x86 kernels give it, or from the part number of the first ARM core."""
    fields: dict[str, str] = {}
    for line in _read_lines("/proc/cpuinfo", root=root):
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    # 32-bit ARM kernels have a "model name" too ("ARMv7 Processor rev 3 (v7l)"), which says less than the part number.
    if "CPU part" in fields:
        part = (fields.get("CPU implementer", ""), fields["CPU part"])
        return ARM_CORES.get(part, f"ARM implementer {part[0]} part {part[1]}")
    return fields.get("model name")


def governor(*, root: Path = ROOT) -> str | None:
    """How the clock of the first core is governed: "performance", "ondemand", "schedutil" and so on."""
    return read_first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", root=root)


def load_average(*, root: Path = ROOT) -> float | None:
    """How many processes wanted to run, averaged over the last minute."""
    line = read_first_line("/proc/loadavg", root=root)
    return float(line.split()[0]) if line else None


def peak_rss_bytes(*, root: Path = ROOT) -> int | None:
    """The largest resident memory that this process has had.

    VmHWM, because getrusage() also counts what the process was before exec(): a child of a large process would be told
    the memory of its parent.
    """
    return _own_bytes("VmHWM", root=root)


def rss_bytes(*, root: Path = ROOT) -> int | None:
    """The resident memory that this process has now."""
    return _own_bytes("VmRSS", root=root)


def _own_bytes(name: str, *, root: Path) -> int | None:
    for line in _read_lines("/proc/self/status", root=root):
        key, _, value = line.partition(":")
        if key == name:
            return int(value.split()[0]) * 1024
    return None


def describe(*, root: Path = ROOT) -> dict[str, Any]:
    """The machine in plain values, without the host's name: what latencies depend on. None where it is not known."""
    return {
        "board": board_model(root=root),
        "machine": platform.machine(),
        "cpu": cpu_model(root=root),
        "cores": _usable_cores(),
        "dot_product": has_dot_product(root=root),
        "ram_bytes": ram_bytes(root=root),
        "governor": governor(root=root),
        "os": _os_name(root=root),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _usable_cores() -> int:
    # In a container or under taskset fewer than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _os_name(*, root: Path) -> str | None:
    for line in _read_lines("/etc/os-release", root=root):
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip('"')
    return None


def _read_lines(path: str, *, root: Path) -> list[str]:
    try:
        return (root / path.lstrip("/")).read_text(errors="replace").splitlines()
    except OSError:
        return []
