from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgefer
from edgefer.deploy.environment import SYSTEM, Check, examine, imported


def lend(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (folder / "odd_wheel.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_this_machine_is_fit_and_every_check_says_something() -> None:
    checks = list(examine())
    assert not [check for check in checks if check.status == "broken"]
    found = {check.name: check for check in checks}
    assert found["Python"].text == ".".join(map(str, sys.version_info[:3]))
    assert found["numpy"].status == found["OpenCV"].status == "ok"
    has_litert = importlib.util.find_spec("ai_edge_litert") is not None
    assert found["litert" if has_litert else "tflite_runtime"].status == "ok"
    assert all(check.text for check in checks)


def test_a_wheel_for_another_processor_is_a_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lend(tmp_path, monkeypatch, "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    check = imported("LiteRT", "odd_wheel", "9.9", "pip install odd-wheel")
    assert check.status == "broken"
    assert "SIGILL" in check.text
    assert "newer processor" in check.text
    assert "64-bit" in check.fix


def test_an_opencv_with_windows_on_a_board_without_is_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    lend(tmp_path, monkeypatch, f"raise ImportError({text!r})\n")
    check = imported("OpenCV", "odd_wheel", "4.11", "pip install it")
    assert (check.status, check.fix) == ("broken", "pip uninstall opencv-python && pip install opencv-python-headless")


def test_what_is_not_installed_has_the_line_that_installs_it() -> None:
    assert imported("numpy", "numpy", None, "pip install numpy") == Check(
        "numpy", "broken", "not installed", "pip install numpy"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n", "SIGILL"),
        ("raise ImportError('libopenblas.so.0: cannot open shared object file')\n", "libopenblas"),
    ],
)
def test_a_numpy_that_cannot_be_imported_is_a_line_and_ends_nothing(tmp_path: Path, code: str, said: str) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy/__init__.py").write_text(code)
    home = str(Path(edgefer.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), home])}
    ended = subprocess.run(
        [sys.executable, "-m", "edgefer", "doctor"], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 5, ended.stderr
    assert said in ended.stdout
    assert "apt install python3-numpy" in ended.stdout if said == "SIGILL" else "pip install" in ended.stdout
    assert "numpy comes first" in ended.stdout
    assert "temperature" in ended.stdout or "disk" in ended.stdout


def test_an_opencv_for_another_processor_is_not_mended_by_another_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lend(tmp_path, monkeypatch, "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    assert "tflite" not in imported("OpenCV", "odd_wheel", "4.11", "pip install it", other=SYSTEM).fix
