"""Description of this device for a result: board, cores, limits, system; and the cores that a process ran on.

    usage = CoreUsage()
    run_model()
    usage.sample()
    describe(ran_on=usage.cores)

The cores of a big.LITTLE processor differ in speed by a factor of two or more. A result therefore lists all clusters
and the cores that ran the model.
"""

from __future__ import annotations

import platform
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgefer.device import cgroup, sysfs
from edgefer.device.cores import summarize

__all__ = ["CoreUsage", "clusters", "describe"]

# Fields of /proc/PID/task/TID/stat after the name of the thread, see proc(5).
UTIME, STIME, PROCESSOR = 11, 12, 36


def describe(
    *, root: Path = sysfs.ROOT, affinity: Sequence[int] | None = None, ran_on: Sequence[int] = ()
) -> dict[str, Any]:
    """Describe the device in JSON-compatible values, without the host name; an unknown value is None.

    Args:
        root: root of the file system.
        affinity: cores that this process may run on; None reads them.
        ran_on: cores that ran the model; empty if unknown.

    Returns:
        ``machine`` is that of the kernel and ``bits`` that of Python, which may be 32 on a 64-bit kernel. ``cores`` is
        the number of usable cores and ``affinity`` lists them. ``cpu_quota`` is the number of cores that the control
        group allows on average. ``clusters`` is the output of clusters(). ``ran_on`` has the cores that ran the model
        and their name. ``governor`` is that of these cores, or of all usable cores.
    """
    usable = tuple(sysfs.affinity() if affinity is None else affinity)
    names = sysfs.core_names(root=root)
    return {
        "board": sysfs.board_model(root=root),
        "machine": platform.machine(),
        "bits": 64 if sys.maxsize > 2**32 else 32,
        "cpu": summarize(names),
        "cores": len(usable),
        "dot_product": sysfs.has_dot_product(root=root),
        "ram_bytes": sysfs.ram_bytes(root=root),
        "governor": sysfs.governor(tuple(ran_on) or usable, root=root),
        "os": sysfs.os_name(root=root),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "affinity": list(usable),
        "cpu_quota": cgroup.cpu_quota(root=root),
        "cpuset": _as_list(cgroup.cpuset(root=root)),
        "clusters": clusters(names, root=root),
        "ran_on": {"cores": sorted(ran_on), "cpu": _kinds(names, ran_on)} if ran_on else None,
    }


def _as_list(cores: Sequence[int] | None) -> list[int] | None:
    return None if cores is None else list(cores)


def _kinds(names: Mapping[int, str], cores: Sequence[int]) -> str | None:
    return " and ".join(dict.fromkeys(names[core] for core in sorted(cores) if core in names)) or None


def clusters(names: Mapping[int, str], *, root: Path = sysfs.ROOT) -> list[dict[str, Any]]:
    """Group the cores by name and maximum clock.

    Args:
        names: name of each core by number.
        root: root of the file system.

    Returns:
        One dictionary per cluster with ``cpu``, ``cores``, ``max_mhz`` and ``governor``, in the order of the cores.
    """
    groups: dict[tuple[str, float | None], list[int]] = {}
    for core in sorted(names):
        khz = sysfs.read_number(f"{sysfs.CPU}/cpu{core}/cpufreq/cpuinfo_max_freq", root=root)
        groups.setdefault((names[core], None if khz is None else khz / 1000), []).append(core)
    return [
        {"cpu": name, "cores": cores, "max_mhz": max_mhz, "governor": sysfs.governor(cores, root=root)}
        for (name, max_mhz), cores in groups.items()
    ]


class CoreUsage:
    """The cores that the threads of this process run on, sampled between runs.

    A thread counts if it is the calling thread, or if it has used CPU time since the previous sample. Idle threads of
    a library stay on a core without using it.
    """

    def __init__(self) -> None:
        self._cores: set[int] = set()
        self._ticks = {thread: ticks for thread, (_, ticks) in self._threads().items()}

    @property
    def cores(self) -> tuple[int, ...]:
        """Cores of all samples so far, in order; empty without /proc."""
        return tuple(sorted(self._cores))

    def sample(self) -> None:
        """Add the cores of the threads that have run."""
        caller = threading.get_native_id()
        for thread, (core, ticks) in self._threads().items():
            if thread == caller or ticks > self._ticks.get(thread, 0):
                self._cores.add(core)
            self._ticks[thread] = ticks

    @staticmethod
    def _threads() -> dict[int, tuple[int, int]]:
        """Return the core and the CPU time in clock ticks of each thread of this process, by ID."""
        threads = {}
        for thread in sysfs.list_paths("/proc/self/task", "[0-9]*"):
            fields = (sysfs.read_first_line(f"{thread}/stat") or "").rpartition(")")[2].split()
            if len(fields) > PROCESSOR:
                ticks = int(fields[UTIME]) + int(fields[STIME])
                threads[int(thread.rpartition("/")[2])] = (int(fields[PROCESSOR]), ticks)
        return threads
