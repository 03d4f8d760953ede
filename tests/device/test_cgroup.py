"""CPU limits, replayed from the files of both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefer.device.cgroup import cpu_quota, cpuset

SLICE = "sys/fs/cgroup/system.slice"
DOCKER = "sys/fs/cgroup/cpu,cpuacct/docker/abc"
V2 = {"proc/self/cgroup": "0::/system.slice/bench.service\n"}
V2_CONTAINER = {"proc/self/cgroup": "0::/\n"}
V1 = {"proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:cpuset:/docker/abc\n1:name=systemd:/docker/abc\n"}
GROUP = "sys/fs/cgroup"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({**V2_CONTAINER, f"{GROUP}/cpu.max": "30000 100000\n"}, 0.3),
        ({**V2, f"{SLICE}/bench.service/cpu.max": "150000 100000\n"}, 1.5),
        ({**V2, f"{SLICE}/cpu.max": "50000 100000", f"{SLICE}/bench.service/cpu.max": "max 100000"}, 0.5),
        ({**V2, f"{SLICE}/bench.service/cpu.max": "max 100000\n"}, None),
        ({**V1, f"{DOCKER}/cpu.cfs_quota_us": "30000\n", f"{DOCKER}/cpu.cfs_period_us": "100000\n"}, 0.3),
        ({**V1, f"{GROUP}/cpu/cpu.cfs_quota_us": "200000\n", f"{GROUP}/cpu/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({**V1, f"{GROUP}/cpu/cpu.cfs_quota_us": "-1\n", f"{GROUP}/cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"proc/self/cgroup": "0::/../outside\n", f"{GROUP}/cpu.max": "25000 100000\n"}, 0.25),
        ({**V2_CONTAINER, f"{GROUP}/cpu.max": "nonsense\n"}, None),
        ({**V2_CONTAINER, f"{GROUP}/cpu.max": "1000 0\n"}, None),
        ({"proc/self/cgroup": "\0\xff::\n"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_smallest_quota_of_all_groups_applies(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(root=write(tmp_path, files)) == quota


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({**V2_CONTAINER, f"{GROUP}/cpuset.cpus.effective": "4-7\n"}, (4, 5, 6, 7)),
        ({**V1, f"{GROUP}/cpuset/docker/abc/cpuset.effective_cpus": "0,2\n"}, (0, 2)),
        ({**V1, f"{GROUP}/cpuset/cpuset.cpus": "1\n"}, (1,)),
        ({}, None),
    ],
)
def test_the_cpuset_of_the_group_is_read(tmp_path: Path, files: dict[str, str], cores: tuple[int, ...] | None) -> None:
    assert cpuset(root=write(tmp_path, files)) == cores
