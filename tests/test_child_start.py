"""Isolated children: user files must not be imported in place of the standard library or an installed package."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgefer
from edgefer.processes import run_code

HOSTILE = "open({marker!r}, 'w').write('imported')"


@pytest.mark.parametrize("name", ["json", "platform", "cv2", "numpy", "runpy", "importlib", "os", "random"])
def test_modules_in_the_working_folder_are_not_imported(tmp_path: Path, monkeypatch, name: str) -> None:
    marker = tmp_path / "marker"
    (tmp_path / f"{name}.py").write_text(HOSTILE.format(marker=str(marker)))
    monkeypatch.chdir(tmp_path)
    code = "import json, platform, random, runpy, sys, edgefer.processes; assert '' not in sys.path"
    ended = run_code(code, folder=tmp_path)
    assert ended.exit_code == 0, ended.stderr
    assert not marker.exists()


@pytest.mark.parametrize("path", ["", ".", ":", "relative"])
def test_an_entry_of_pythonpath_that_depends_on_the_working_folder_is_dropped(tmp_path, monkeypatch, path) -> None:
    (tmp_path / "relative").mkdir()
    for folder in (tmp_path, tmp_path / "relative"):
        (folder / "platform.py").write_text(HOSTILE.format(marker=str(tmp_path / "marker")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", path)
    assert run_code("import platform", folder=tmp_path).exit_code == 0
    assert not (tmp_path / "marker").exists()


def test_folders_of_pythonpath_come_after_the_standard_library(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / "packages"
    folder.mkdir()
    (folder / "platform.py").write_text("raise SystemExit('shadowed')")
    (folder / "only_there.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    ended = run_code("import platform, only_there", folder=tmp_path)
    assert ended.exit_code == 0, ended.stderr
    nested = (
        "import pathlib, sys; from edgefer.processes import run_code; "
        "sys.exit(run_code('import only_there', folder=pathlib.Path(sys.argv[1])).exit_code)"
    )
    assert run_code(nested, tmp_path, folder=tmp_path).exit_code == 0


@pytest.mark.parametrize("flag", ["-S", "-s"])
def test_a_child_has_the_packages_of_its_parent(tmp_path: Path, flag: str) -> None:
    nested = (
        "import pathlib, sys; from edgefer.processes import run_code; "
        "code = 'import sys; sys.exit(40 + 2 * sys.flags.no_site + sys.flags.no_user_site)'; "
        "sys.exit(run_code(code, folder=pathlib.Path(sys.argv[1])).exit_code)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(edgefer.__file__).parent.parent)}
    ended = subprocess.run([sys.executable, flag, "-c", nested, tmp_path], env=environment, check=False)
    assert ended.returncode == {"-S": 42, "-s": 41}[flag]


@pytest.mark.parametrize("name", ["__future__", "typing", "json", "signal", "click", "numpy", "cv2", "tomlkit"])
def test_the_command_line_imports_no_module_of_the_working_folder(tmp_path: Path, name: str) -> None:
    marker = tmp_path / "marker"
    (tmp_path / f"{name}.py").write_text(HOSTILE.format(marker=str(marker)))
    home = str(Path(edgefer.__file__).parent.parent)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    for arguments in (["-m", "edgefer"], [str(Path(edgefer.__file__).parent)]):
        ended = subprocess.run(
            [sys.executable, *arguments, "bench", "--runs", "5", "--seconds", "0"], cwd=tmp_path, check=False,
            env={**environment, "PYTHONPATH": home}, capture_output=True, text=True,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        assert not marker.exists()
