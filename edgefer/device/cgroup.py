"""CPU limits of a container or a systemd unit: the quota and the cpuset of the control groups of this process.

    cpu_quota()                                     # 0.3: thirty percent of one core
    cpuset()                                        # (0, 1)

Version 1 has one hierarchy per controller, version 2 one for all. A limit of any ancestor applies, so all of them are
read. In a container, its own group is often the root of the mounted hierarchy, so the root is read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from edgefer.device import sysfs
from edgefer.device.cores import parse_cpu_list

__all__ = ["cpu_quota", "cpuset"]

MOUNT = "/sys/fs/cgroup"


def cpu_quota(*, root: Path = sysfs.ROOT) -> float | None:
    """Return the number of cores that this process may use on average, such as 0.3, or None without a quota."""
    quotas = []
    for folder in _folders("cpu", root=root):
        quota, _, period = (sysfs.read_first_line(f"{folder}/cpu.max", root=root) or "").partition(" ")
        pairs = [(quota, period or "100000")]
        pairs.append(
            (
                sysfs.read_first_line(f"{folder}/cpu.cfs_quota_us", root=root) or "",
                sysfs.read_first_line(f"{folder}/cpu.cfs_period_us", root=root) or "",
            )
        )
        # No quota is "max" in version 2 and -1 in version 1.
        quotas += [int(most) / int(of) for most, of in pairs if most.isdecimal() and of.isdecimal() and int(of)]
    return min((quota for quota in quotas if quota), default=None)


def cpuset(*, root: Path = sysfs.ROOT) -> tuple[int, ...] | None:
    """Return the cores that the control group of this process may use, or None without a list."""
    for folder in _folders("cpuset", root=root):
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
            cores = parse_cpu_list(sysfs.read_first_line(f"{folder}/{name}", root=root))
            if cores:
                return cores
    return None


def _folders(controller: str, *, root: Path) -> Iterator[str]:
    """Yield the folders of this process's groups with ``controller``, each before its parent."""
    for line in sysfs.read_lines("/proc/self/cgroup", root=root):
        hierarchy, _, remainder = line.partition(":")
        controllers, _, path = remainder.partition(":")
        if hierarchy == "0":
            # With both versions mounted, version 2 is in "unified".
            mounts = [MOUNT, f"{MOUNT}/unified"]
        elif controller in controllers.split(","):
            mounts = [f"{MOUNT}/{name}" for name in dict.fromkeys((controllers, controller))]
        else:
            continue
        # A group outside of the namespace is shown as "/../group".
        group = PurePosixPath("/", *(part for part in PurePosixPath(path).parts if part not in ("/", "..")))
        for mount in mounts:
            for folder in (group, *group.parents):
                yield f"{mount}{'' if folder == PurePosixPath('/') else folder}"
