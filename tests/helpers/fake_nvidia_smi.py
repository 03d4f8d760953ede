"""A stand-in for nvidia-smi, for tests on machines without a GPU."""

from pathlib import Path

import pytest


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, output: str = "", exit_code: int = 0) -> None:
    """Put a program nvidia-smi on the PATH that prints ``output`` and ends with ``exit_code``."""
    program = folder / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\nexit {exit_code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
