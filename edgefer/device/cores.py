"""Names of processor cores, from the text of /proc/cpuinfo.

    cores = parse_cpuinfo(text.splitlines())        # {0: "Cortex-A55", ..., 7: "Cortex-A76"}
    summarize(cores)                                # "4x Cortex-A55 + 4x Cortex-A76"

The kernel lists only the cores that are online. ARM kernels give numbers instead of names. The names are those of
util-linux (sys-utils/lscpu-arm.c) and Linux (arch/arm64/include/asm/cputype.h).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

__all__ = ["parse_cpu_list", "parse_cpuinfo", "summarize"]

ARM, BROADCOM, CAVIUM, FUJITSU, HISILICON, NVIDIA = 0x41, 0x42, 0x43, 0x46, 0x48, 0x4E
APM, QUALCOMM, SAMSUNG, MARVELL, APPLE, MICROSOFT, PHYTIUM, AMPERE = 0x50, 0x51, 0x53, 0x56, 0x61, 0x6D, 0x70, 0xC0

# Implementer and part number of the register MIDR.
PARTS: Mapping[int, Mapping[int, str]] = {
    ARM: {
        0xB36: "ARM1136", 0xB56: "ARM1156", 0xB76: "ARM1176", 0xC05: "Cortex-A5", 0xC07: "Cortex-A7",
        0xC08: "Cortex-A8", 0xC09: "Cortex-A9", 0xC0D: "Cortex-A12", 0xC0E: "Cortex-A17", 0xC0F: "Cortex-A15",
        0xD01: "Cortex-A32", 0xD02: "Cortex-A34", 0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55",
        0xD06: "Cortex-A65", 0xD07: "Cortex-A57", 0xD08: "Cortex-A72", 0xD09: "Cortex-A73", 0xD0A: "Cortex-A75",
        0xD0B: "Cortex-A76", 0xD0C: "Neoverse-N1", 0xD0D: "Cortex-A77", 0xD0E: "Cortex-A76AE", 0xD40: "Neoverse-V1",
        0xD41: "Cortex-A78", 0xD42: "Cortex-A78AE", 0xD43: "Cortex-A65AE", 0xD44: "Cortex-X1", 0xD46: "Cortex-A510",
        0xD47: "Cortex-A710", 0xD48: "Cortex-X2", 0xD49: "Neoverse-N2", 0xD4A: "Neoverse-E1", 0xD4B: "Cortex-A78C",
        0xD4C: "Cortex-X1C", 0xD4D: "Cortex-A715", 0xD4E: "Cortex-X3", 0xD4F: "Neoverse-V2", 0xD80: "Cortex-A520",
        0xD81: "Cortex-A720", 0xD82: "Cortex-X4", 0xD83: "Neoverse-V3AE", 0xD84: "Neoverse-V3", 0xD85: "Cortex-X925",
        0xD87: "Cortex-A725", 0xD88: "Cortex-A520AE", 0xD89: "Cortex-A720AE", 0xD8A: "C1-Nano", 0xD8B: "C1-Pro",
        0xD8C: "C1-Ultra", 0xD8E: "Neoverse-N3", 0xD8F: "Cortex-A320", 0xD90: "C1-Premium",
    },
    BROADCOM: {0x00F: "Brahma-B15", 0x100: "Brahma-B53", 0x516: "ThunderX2"},
    CAVIUM: {
        0x0A0: "ThunderX", 0x0A1: "ThunderX-88XX", 0x0A2: "ThunderX-81XX", 0x0A3: "ThunderX-83XX",
        0x0AF: "ThunderX2-99xx", 0x0B0: "OcteonTX2", 0x0B1: "OcteonTX2-98XX", 0x0B2: "OcteonTX2-96XX",
        0x0B3: "OcteonTX2-95XX", 0x0B4: "OcteonTX2-95XXN", 0x0B5: "OcteonTX2-95XXMM", 0x0B6: "OcteonTX2-95XXO",
        0x0B8: "ThunderX3-T110",
    },
    FUJITSU: {0x001: "A64FX", 0x003: "MONAKA"},
    HISILICON: {0xD01: "TaiShan-v110", 0xD02: "TaiShan-v120", 0xD40: "Cortex-A76", 0xD41: "Cortex-A77"},
    NVIDIA: {0x000: "Denver", 0x003: "Denver 2", 0x004: "Carmel", 0x010: "Olympus"},
    APM: {0x000: "X-Gene"},
    QUALCOMM: {
        0x001: "Oryon", 0x00F: "Scorpion", 0x02D: "Scorpion", 0x04D: "Krait", 0x06F: "Krait", 0x201: "Kryo Silver",
        0x205: "Kryo Gold", 0x211: "Kryo", 0x800: "Kryo-2XX-Gold", 0x801: "Kryo-2XX-Silver", 0x802: "Kryo-3XX-Gold",
        0x803: "Kryo-3XX-Silver", 0x804: "Kryo-4XX-Gold", 0x805: "Kryo-4XX-Silver", 0xC00: "Falkor", 0xC01: "Saphira",
    },
    SAMSUNG: {0x001: "Exynos-M1", 0x002: "Exynos-M3", 0x003: "Exynos-M4", 0x004: "Exynos-M5"},
    MARVELL: {0x131: "Feroceon-88FR131", 0x581: "PJ4", 0x584: "PJ4B-MP"},
    APPLE: {
        0x012: "Lightning", 0x013: "Thunder", 0x020: "Icestorm-A14", 0x021: "Firestorm-A14", 0x022: "Icestorm-M1",
        0x023: "Firestorm-M1", 0x024: "Icestorm-M1-Pro", 0x025: "Firestorm-M1-Pro", 0x028: "Icestorm-M1-Max",
        0x029: "Firestorm-M1-Max", 0x030: "Blizzard-A15", 0x031: "Avalanche-A15", 0x032: "Blizzard-M2",
        0x033: "Avalanche-M2", 0x034: "Blizzard-M2-Pro", 0x035: "Avalanche-M2-Pro", 0x036: "Sawtooth-A16",
        0x037: "Everest-A16", 0x038: "Blizzard-M2-Max", 0x039: "Avalanche-M2-Max",
    },
    MICROSOFT: {0xD49: "Azure-Cobalt-100"},
    PHYTIUM: {
        0x303: "FTC310", 0x660: "FTC660", 0x661: "FTC661", 0x662: "FTC662", 0x663: "FTC663", 0x664: "FTC664",
        0x862: "FTC862",
    },
    AMPERE: {0xAC3: "Ampere-1", 0xAC4: "Ampere-1a"},
}  # fmt: skip
# The "uarch" of RISC-V kernels is the first compatible string of the core in the device tree.
RISCV = {
    "sifive,bullet0": "SiFive U74", "sifive,p550": "SiFive P550", "sifive,u54": "SiFive U54",
    "sifive,u54-mc": "SiFive U54", "sifive,u74": "SiFive U74", "sifive,u74-mc": "SiFive U74",
    "spacemit,x60": "SpacemiT X60", "thead,c906": "T-Head C906", "thead,c908": "T-Head C908",
    "thead,c910": "T-Head C910", "thead,c920": "T-Head C920", "eswin,eic770x": "SiFive P550",
}  # fmt: skip
# Fields with a readable name, best first: x86, LoongArch, MIPS, PowerPC.
NAMES = ("model name", "Model Name", "cpu model", "cpu")
MAX_CORE = 4095


def parse_cpuinfo(lines: Iterable[str]) -> dict[int, str]:
    """Return the name of each core that /proc/cpuinfo lists, by number; an unknown name has the numbers in it.

    Old 32-bit ARM kernels describe the processor once, after all cores; a text without numbered cores is core 0.
    """
    blocks: list[dict[str, str]] = [{}]
    for line in lines:
        key, _, value = (part.strip() for part in line.partition(":"))
        if key == "processor":
            blocks.append({})
        # A blank line ends the description of one core; the next may be about the whole machine.
        if not key:
            blocks.append({})
        else:
            blocks[-1].setdefault(key, value)
    numbered = {int(block["processor"]): block for block in blocks if block.get("processor", "").isdecimal()}
    machine = {key: value for block in reversed(blocks) if "processor" not in block for key, value in block.items()}
    if not numbered:
        name = _name(machine)
        return {0: name} if name else {}
    names = {core: _name({**machine, **block}) for core, block in sorted(numbered.items())}
    return {core: name for core, name in names.items() if name}


def _name(block: Mapping[str, str]) -> str | None:
    # 32-bit ARM kernels have a "model name" too ("ARMv7 Processor rev 3 (v7l)"), which is less specific.
    if "CPU part" in block:
        implementer, part = block.get("CPU implementer", ""), block["CPU part"]
        known = PARTS.get(_number(implementer), {}).get(_number(part))
        return known or f"ARM implementer {implementer or 'unknown'} part {part}"
    uarch = block.get("uarch")
    if uarch and uarch != "unknown":
        return RISCV.get(uarch, uarch)
    name = next((block[key] for key in NAMES if block.get(key)), None)
    return name or (f"RISC-V {block['isa']}" if block.get("isa") else None)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        return -1


def summarize(cores: Mapping[int, str]) -> str | None:
    """Return the names of all kinds of cores on one line, in the order of their numbers; None without cores."""
    kinds = Counter(cores[core] for core in sorted(cores))
    if len(kinds) < 2:
        return next(iter(kinds), None)
    return " + ".join(f"{count}x {name}" for name, count in kinds.items())


def parse_cpu_list(text: str | None) -> tuple[int, ...]:
    """Parse a list of cores as the kernel writes it, such as "0-3,6"; a damaged list is empty."""
    cores: set[int] = set()
    for part in (text or "").split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()) or int(last or first) > MAX_CORE:
            return ()
        cores.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(cores))
