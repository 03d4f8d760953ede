"""Small readers of /proc, /sys and /etc.

    cpu_model()                                     # "4x Cortex-A55 + 4x Cortex-A76", "AMD EPYC 7763 64-Core Processor"
    governor(), load_average(), rss_bytes(), peak_rss_bytes()

Every function takes ``root``, so tests can replay texts that were recorded on a board. An unreadable file is None and
not an error, because a container hides many of these files.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgefer.device.cores import parse_cpu_list, parse_cpuinfo, summarize

__all__ = [
    "affinity",
    "board_model",
    "clock_mhz",
    "core_names",
    "cpu_model",
    "governor",
    "has_dot_product",
    "list_paths",
    "load_average",
    "os_name",
    "peak_rss_bytes",
    "ram_bytes",
    "read_first_line",
    "read_lines",
    "read_number",
    "rss_bytes",
]

ROOT = Path("/")
DOT_PRODUCT = {"asimddp", "avx512_vnni", "avx_vnni"}
CPU = "/sys/devices/system/cpu"
# Performance counters of hybrid x86 processors, whose cores all have the same model name.
HYBRID = {"cpu_core": "performance core", "cpu_atom": "efficient core"}


def read_lines(path: str, *, root: Path = ROOT) -> list[str]:
    """Return the lines of ``path`` (such as "/proc/cpuinfo") below ``root``; empty if it cannot be read."""
    try:
        return (root / path.lstrip("/")).read_text(errors="replace").splitlines()
    except OSError:
        return []


def read_first_line(path: str, *, root: Path = ROOT) -> str | None:
    """Return the first line of ``path`` below ``root`` without blanks and NULs at its ends, or None."""
    lines = read_lines(path, root=root)
    return lines[0].strip("\0 \t") if lines else None


def read_number(path: str, *, root: Path = ROOT) -> float | None:
    """Return the number in the first line of ``path``, or None if there is none."""
    try:
        return float(read_first_line(path, root=root) or "")
    except ValueError:
        return None


def list_paths(folder: str, pattern: str, *, root: Path = ROOT) -> list[str]:
    """Return the sorted paths below ``folder`` that match ``pattern``, in the form that the other functions take."""
    matches = (root / folder.lstrip("/")).glob(pattern)
    return sorted("/" + str(path.relative_to(root)) for path in matches)


def board_model(*, root: Path = ROOT) -> str | None:
    """Return the name of the board in the device tree, or None; a PC has none."""
    places = ("/proc/device-tree/model", "/sys/firmware/devicetree/base/model")
    return next((name for place in places if (name := read_first_line(place, root=root))), None)


def has_dot_product(*, root: Path = ROOT) -> bool | None:
    """Return True if the processor has int8 dot product instructions (asimddp, VNNI), None if unknown."""
    for line in read_lines("/proc/cpuinfo", root=root):
        key, _, value = line.partition(":")
        if key.strip() in ("Features", "flags"):
            return bool(DOT_PRODUCT.intersection(value.split()))
    return None


def ram_bytes(*, root: Path = ROOT) -> int | None:
    """Return the total memory of the device in bytes."""
    return _kibibytes("/proc/meminfo", "MemTotal", root=root)


def core_names(*, root: Path = ROOT) -> dict[int, str]:
    """Return the name of each core that is online, by number; empty if unknown."""
    names = parse_cpuinfo(read_lines("/proc/cpuinfo", root=root))
    for counter, kind in HYBRID.items():
        for core in parse_cpu_list(read_first_line(f"/sys/devices/{counter}/cpus", root=root)):
            if core in names:
                names[core] = f"{names[core]} {kind}"
    return names


def cpu_model(*, root: Path = ROOT) -> str | None:
    """Return the name of the processor; with different cores, the number and the name of each kind."""
    return summarize(core_names(root=root))


def affinity() -> tuple[int, ...]:
    """Return the cores that this process may run on; taskset and cpusets restrict them."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def governor(cores: Sequence[int] = (0,), *, root: Path = ROOT) -> str | None:
    """Return the frequency governor of ``cores``, such as "ondemand"; different ones are joined by a comma."""
    names = [read_first_line(f"{CPU}/cpu{core}/cpufreq/scaling_governor", root=root) for core in cores]
    return ", ".join(dict.fromkeys(name for name in names if name)) or None


def clock_mhz(cores: Sequence[int] = (0,), *, root: Path = ROOT) -> float | None:
    """Return the highest current clock of ``cores`` in MHz, or None if unknown."""
    clocks = [read_number(f"{CPU}/cpu{core}/cpufreq/scaling_cur_freq", root=root) for core in cores]
    return max((khz / 1000 for khz in clocks if khz is not None), default=None)


def load_average(*, root: Path = ROOT) -> float | None:
    """Return the number of runnable processes, averaged over the last minute."""
    try:
        return float((read_first_line("/proc/loadavg", root=root) or "").split()[0])
    except (IndexError, ValueError):
        return None


def peak_rss_bytes(*, root: Path = ROOT) -> int | None:
    """Return the largest resident memory that this process has had, in bytes.

    The source is VmHWM. getrusage() includes the time before exec(), so a child of a large process would report the
    memory of its parent.
    """
    return _kibibytes("/proc/self/status", "VmHWM", root=root)


def rss_bytes(*, root: Path = ROOT) -> int | None:
    """Return the current resident memory of this process in bytes."""
    return _kibibytes("/proc/self/status", "VmRSS", root=root)


def _kibibytes(path: str, name: str, *, root: Path) -> int | None:
    """Return the field ``name`` of ``path``, given in KiB, in bytes."""
    for line in read_lines(path, root=root):
        key, _, value = line.partition(":")
        if key == name and value.split()[:1] and value.split()[0].isdecimal():
            return int(value.split()[0]) * 1024
    return None


def os_name(*, root: Path = ROOT) -> str | None:
    """Return the name of the operating system, such as "Debian GNU/Linux 12 (bookworm)"."""
    for line in read_lines("/etc/os-release", root=root):
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip("\"'")
    return None
