from __future__ import annotations

from pathlib import Path

import pytest

from edgefer.device import sysfs
from edgefer.device.description import describe

# In the form that Linux gives it, cut to the lines that matter.
PI_5 = """processor	: 0
BogoMIPS	: 108.00
CPU implementer	: 0x41
CPU architecture: 8
CPU part	: 0xd0b

processor	: 1
CPU implementer	: 0x41
CPU part	: 0xd0b

Model		: Raspberry Pi 5 Model B Rev 1.0
"""
PI_3_32_BIT = """processor	: 0
model name	: ARMv7 Processor rev 4 (v7l)
CPU implementer	: 0x41
CPU part	: 0xd03
"""
X86 = """processor	: 0
vendor_id	: GenuineIntel
model name	: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz

processor	: 1
vendor_id	: GenuineIntel
model name	: Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz
"""


def write(root: Path, path: str, text: str) -> None:
    target = root / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text)


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        (PI_5, "Cortex-A76"),
        (PI_3_32_BIT, "Cortex-A53"),
        (X86, "Intel(R) Core(TM) i5-8250U CPU @ 1.60GHz"),
        ("CPU implementer : 0x41\nCPU part : 0xfff\n", "ARM implementer 0x41 part 0xfff"),
        ("", None),
    ],
)
def test_cpu_model(tmp_path: Path, cpuinfo: str, expected: str | None) -> None:
    write(tmp_path, "proc/cpuinfo", cpuinfo)
    assert sysfs.cpu_model(root=tmp_path) == expected


def test_the_first_line_has_no_nul_character(tmp_path: Path) -> None:
    write(tmp_path, "proc/device-tree/model", "Raspberry Pi 5 Model B Rev 1.0\0")
    assert sysfs.read_first_line("/proc/device-tree/model", root=tmp_path) == "Raspberry Pi 5 Model B Rev 1.0"
    assert describe(root=tmp_path)["board"] == "Raspberry Pi 5 Model B Rev 1.0"


def test_an_unreadable_file_is_none(tmp_path: Path) -> None:
    described = describe(root=tmp_path)
    assert [key for key, value in described.items() if value is None] == [
        "board", "cpu", "dot_product", "ram_bytes", "governor", "os", "cpu_quota", "cpuset", "ran_on",
    ]  # fmt: skip
    assert sysfs.load_average(root=tmp_path) is None
    assert sysfs.peak_rss_bytes(root=tmp_path) is None
    (tmp_path / "proc").mkdir()
    assert sysfs.read_first_line("/proc", root=tmp_path) is None


def test_governor_load_and_os(tmp_path: Path) -> None:
    write(tmp_path, "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "ondemand\n")
    write(tmp_path, "proc/loadavg", "1.25 0.80 0.40 2/345 6789\n")
    write(tmp_path, "etc/os-release", 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    assert sysfs.governor(root=tmp_path) == "ondemand"
    assert sysfs.load_average(root=tmp_path) == 1.25
    assert describe(root=tmp_path)["os"] == "Debian GNU/Linux 12 (bookworm)"


def test_peak_memory_is_the_high_water_mark(tmp_path: Path) -> None:
    write(tmp_path, "proc/self/status", "Name:\tpython\nVmHWM:\t   51200 kB\nVmRSS:\t   40960 kB\n")
    assert sysfs.peak_rss_bytes(root=tmp_path) == 50 * 1024 * 1024
    assert sysfs.rss_bytes(root=tmp_path) == 40 * 1024 * 1024


def test_the_description_has_no_host_name() -> None:
    import platform

    assert platform.node() not in describe().values()
