from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgefer.device.description import CoreUsage, describe

CPU = "sys/devices/system/cpu"


@pytest.fixture
def rk3588(tmp_path: Path) -> Path:
    """Return the root of a board with four Cortex-A55 and four Cortex-A76."""
    (tmp_path / "proc").mkdir()
    parts = ["0xd05"] * 4 + ["0xd0b"] * 4
    text = "".join(f"processor\t: {i}\nCPU implementer\t: 0x41\nCPU part\t: {part}\n\n" for i, part in enumerate(parts))
    (tmp_path / "proc/cpuinfo").write_text(text)
    for core in range(8):
        folder = tmp_path / f"{CPU}/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "cpuinfo_max_freq").write_text("1800000\n" if core < 4 else "2400000\n")
        (folder / "scaling_governor").write_text("schedutil\n" if core < 4 else "performance\n")
    return tmp_path


def test_all_clusters_are_described(rk3588: Path) -> None:
    device = describe(root=rk3588, affinity=range(8))
    assert device["cpu"] == "4x Cortex-A55 + 4x Cortex-A76"
    assert device["clusters"] == [
        {"cpu": "Cortex-A55", "cores": [0, 1, 2, 3], "max_mhz": 1800.0, "governor": "schedutil"},
        {"cpu": "Cortex-A76", "cores": [4, 5, 6, 7], "max_mhz": 2400.0, "governor": "performance"},
    ]
    assert (device["cores"], device["governor"], device["ran_on"]) == (8, "schedutil, performance", None)


def test_the_cores_that_ran_are_named_with_their_governor(rk3588: Path) -> None:
    device = describe(root=rk3588, affinity=(4, 5), ran_on=(5,))
    assert device["ran_on"] == {"cores": [5], "cpu": "Cortex-A76"}
    assert (device["cores"], device["affinity"], device["governor"]) == (2, [4, 5], "performance")


def test_usage_has_the_core_of_the_calling_thread() -> None:
    allowed = os.sched_getaffinity(0)
    core = max(allowed)
    os.sched_setaffinity(0, {core})
    try:
        usage = CoreUsage()
        usage.sample()
    finally:
        os.sched_setaffinity(0, allowed)
    assert usage.cores == (core,)
