from __future__ import annotations

import pytest

from edgefer.device.cores import parse_cpu_list, parse_cpuinfo, summarize


def arm(*parts: str, implementer: str = "0x41") -> list[str]:
    """Return /proc/cpuinfo of an ARM kernel with one core per part number."""
    lines: list[str] = []
    for core, part in enumerate(parts):
        lines += [f"processor\t: {core}", "BogoMIPS\t: 48.00", f"CPU implementer\t: {implementer}"]
        lines += ["CPU architecture: 8", f"CPU part\t: {part}", "CPU revision\t: 0", ""]
    return lines


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["0xd05"] * 4 + ["0xd0b"] * 4, "4x Cortex-A55 + 4x Cortex-A76"),
        (["0xd03"] * 2 + ["0xd09"] * 4, "2x Cortex-A53 + 4x Cortex-A73"),
        (["0xd46", "0xd4d"], "1x Cortex-A510 + 1x Cortex-A715"),
        (["0xd80"] * 2 + ["0xd81"] * 5 + ["0xd82"], "2x Cortex-A520 + 5x Cortex-A720 + 1x Cortex-X4"),
        (["0xd85", "0xd87"], "1x Cortex-X925 + 1x Cortex-A725"),
        (["0xd0c"] * 64, "Neoverse-N1"),
        (["0xd08", "0xfff"], "1x Cortex-A72 + 1x ARM implementer 0x41 part 0xfff"),
    ],
)
def test_all_kinds_of_cores_are_named(parts: list[str], expected: str) -> None:
    assert summarize(parse_cpuinfo(arm(*parts))) == expected


@pytest.mark.parametrize(
    ("implementer", "part", "name"),
    [
        ("0x61", "0x023", "Firestorm-M1"),
        ("0x51", "0x001", "Oryon"),
        ("0x4e", "0x004", "Carmel"),
        ("0xc0", "0xac3", "Ampere-1"),
    ],
)
def test_cores_of_other_implementers_have_names(implementer: str, part: str, name: str) -> None:
    assert parse_cpuinfo(arm(part, implementer=implementer)) == {0: name}


def test_core_numbers_are_those_of_the_kernel_when_some_are_offline() -> None:
    lines = [line.replace("processor\t: 1", "processor\t: 6") for line in arm("0xd05", "0xd0b")]
    assert parse_cpuinfo(lines) == {0: "Cortex-A55", 6: "Cortex-A76"}


def test_one_description_after_all_cores_applies_to_each() -> None:
    lines = ["Processor\t: ARMv7 Processor rev 5 (v7l)", "processor\t: 0", "", "processor\t: 1", ""]
    lines += ["CPU implementer\t: 0x41", "CPU part\t: 0xc07", "", "Hardware\t: sun8i"]
    assert parse_cpuinfo(lines) == {0: "Cortex-A7", 1: "Cortex-A7"}


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        (
            ["processor\t: 0", "hart\t\t: 1", "isa\t\t: rv64imafdc", "mmu\t\t: sv39", "uarch\t\t: sifive,u74-mc"],
            "SiFive U74",
        ),
        (["processor\t: 0", "isa\t: rv64imafdcv", "uarch\t: thead,c910"], "T-Head C910"),
        (["processor\t: 0", "isa\t: rv64gc", "uarch\t: vendor,new"], "vendor,new"),
        (["processor\t: 0", "isa\t: rv64gc"], "RISC-V rv64gc"),
        (["system type : x", "processor : 0", "cpu model : MIPS 24KEc V5.0"], "MIPS 24KEc V5.0"),
        (["processor : 0", "Model Name : Loongson-3A5000"], "Loongson-3A5000"),
    ],
)
def test_other_architectures_have_names(lines: list[str], name: str) -> None:
    assert parse_cpuinfo(lines) == {0: name}


@pytest.mark.parametrize("lines", [[], ["processor"], ["processor : x"], ["\0\0"], [":"], ["processor : 0"]])
def test_damaged_text_has_no_cores(lines: list[str]) -> None:
    assert parse_cpuinfo(lines) == {}


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0-3", (0, 1, 2, 3)), ("0,2-3\n", (0, 2, 3)), ("", ()), (None, ()), ("a-b", ()), ("0-99999999999", ())],
)
def test_lists_of_cores(text: str | None, cores: tuple[int, ...]) -> None:
    assert parse_cpu_list(text) == cores
