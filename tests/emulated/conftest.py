"""An emulated arm64 board behind a real SSH server on loopback, started once for these tests.

$EDGEFER_EMULATOR is the script that runs the board (verbs: start, stop, exec, drop), and $EDGEFER_EMULATED is the
folder with its image. ``make test-board`` sets both.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgefer.fleet.registry import Device

NAMES = ("EDGEFER_EMULATOR", "EDGEFER_EMULATED")
PYTHONS = {"litert": "/opt/litert/bin/python", "tflite_runtime": "/opt/tflite/bin/python"}


@dataclass(frozen=True)
class Emulated:
    """A running board."""

    script: str
    folder: str
    facts: dict[str, str]

    def do(self, verb: str, *arguments: str) -> str:
        command = ["bash", self.script, verb, self.folder, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def processes(self, word: str) -> list[str]:
        """Return the command lines of the board's processes that contain ``word``."""
        listed = subprocess.run(["ps", "-eww", "-o", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if word in line and "qemu-aarch64" in line]

    def config(self, tmp_path: Path, **changes: str) -> str:
        """Write a copy of the board's ssh configuration with ``changes``, and return its path."""
        lines = Path(self.facts["config"]).read_text().splitlines()
        kept = [line for line in lines if not line.strip().startswith(tuple(changes))]
        path = tmp_path / "ssh_config"
        path.write_text("\n".join([*kept, *(f"    {name} {value}" for name, value in changes.items())]) + "\n")
        return str(path)


@pytest.fixture(scope="session")
def emulated() -> Iterator[Emulated]:
    if not all(os.environ.get(name) for name in NAMES):
        pytest.skip(f"needs an emulated board: make test-board sets {' and '.join(NAMES)}")
    script, folder = (str(Path(os.environ[name]).resolve()) for name in NAMES)
    started = subprocess.run(["bash", script, "start", folder], capture_output=True, text=True, check=True).stdout
    facts = dict(line.split("=", 1) for line in started.splitlines() if "=" in line)
    board = Emulated(script, folder, facts)
    board.do("exec", "rm", "-rf", "/home/pi/.cache/edgefer", "/home/pi/.local/share/edgefer")
    yield board
    board.do("stop")


@pytest.fixture
def board(emulated: Emulated, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Emulated:
    """Return the board, whose name in the ssh configuration is "board"."""
    monkeypatch.setenv("EDGEFER_SSH_CONFIG", emulated.facts["config"])
    monkeypatch.setenv("EDGEFER_DEVICES", str(tmp_path / "devices.toml"))
    return emulated


@pytest.fixture
def device() -> Callable[..., Device]:
    def make(runtime: str = "litert", **changes: object) -> Device:
        fields = {"address": "board", "python": PYTHONS[runtime], "runtime": runtime, **changes}
        return Device("shelf", **fields)  # type: ignore[arg-type]

    return make
