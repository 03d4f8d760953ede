from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import edgefer
from edgefer.deploy import environment
from edgefer.deploy.check import Check
from edgefer.deploy.environment import SYSTEM_PACKAGES, check_disk, check_environment, check_import
from edgefer.inference.runtimes import litert, tflite_runtime


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    (folder / "odd_wheel.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(folder))


def test_the_fix_of_a_full_disk_is_a_complete_command() -> None:
    assert check_disk(2**30) == Check("disk", "ok", "1.0 GiB free")
    check = check_disk(2**20)
    assert (check.status, check.fix) == ("note", "free space: df -h, or edgefer devices clean NAME for a board")


def test_this_machine_passes_every_check() -> None:
    checks = list(check_environment())
    assert not [check for check in checks if check.status == "broken"]
    by_name = {check.name: check for check in checks}
    assert by_name["Python"].text == ".".join(map(str, sys.version_info[:3]))
    assert by_name["numpy"].status == by_name["OpenCV"].status == "ok"
    has_litert = importlib.util.find_spec("ai_edge_litert") is not None
    assert by_name["litert" if has_litert else "tflite_runtime"].status == "ok"
    assert all(check.text for check in checks)


@pytest.mark.parametrize(
    ("version", "fix"), [(None, tflite_runtime.INSTALL), ("9.9", "")], ids=["no runtime", "a better runtime"]
)
def test_tflite_runtime_is_suggested_only_without_a_better_runtime(
    monkeypatch: pytest.MonkeyPatch, version: str | None, fix: str
) -> None:
    monkeypatch.setattr(litert, "available", lambda: version)
    monkeypatch.setattr(tflite_runtime, "available", lambda: None)
    monkeypatch.setattr(environment, "check_import", lambda name, *others, **options: Check(name, "ok", "9.9"))
    checks = {check.name: check for check in check_environment()}
    assert checks["litert"].status == ("ok" if version else "note")
    assert checks["tflite_runtime"] == Check("tflite_runtime", "note", "not installed", fix)


def test_wheel_for_another_processor_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    check = check_import("LiteRT", "odd_wheel", "9.9", "pip install odd-wheel")
    assert check.status == "broken"
    assert "SIGILL" in check.text
    assert "newer processor" in check.text
    assert "64-bit" in check.fix


def test_opencv_with_missing_gui_libraries_has_a_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "libGL.so.1: cannot open shared object file: No such file or directory"
    install(tmp_path, monkeypatch, f"raise ImportError({text!r})\n")
    check = check_import("OpenCV", "odd_wheel", "4.11", "pip install it")
    assert (check.status, check.fix) == ("broken", "pip uninstall opencv-python && pip install opencv-python-headless")


def test_missing_package_has_the_command_that_installs_it() -> None:
    assert check_import("OpenCV", "edgefer_no_such_module", None, "pip install it") == Check(
        "OpenCV", "broken", "not installed", "pip install it"
    )


def test_a_package_without_metadata_is_found_by_its_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "__version__ = '4.6.0'\n")
    assert check_import("OpenCV", "odd_wheel", None, "pip install it") == Check("OpenCV", "ok", "4.6.0")


@pytest.mark.parametrize(
    ("code", "fix"),
    [
        ("raise MemoryError", "add swap space"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "add swap space"),
        ("raise ImportError('libatlas.so.3: cannot open shared object file')", "sudo apt install libatlas3-base"),
        ("raise ImportError('something else')", "pip install odd-wheel"),
    ],
)
def test_the_fix_of_a_failed_import_follows_from_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, fix: str
) -> None:
    install(tmp_path, monkeypatch, code)
    check = check_import("LiteRT", "odd_wheel", "9.9", "pip install odd-wheel")
    assert (check.status, fix in check.fix) == ("broken", True)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n", "SIGILL"),
        ("raise ImportError('libopenblas.so.0: cannot open shared object file')\n", "libopenblas"),
    ],
)
def test_numpy_that_fails_to_import_does_not_end_the_checks(tmp_path: Path, code: str, message: str) -> None:
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy/__init__.py").write_text(code)
    home = str(Path(edgefer.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), home])}
    ended = subprocess.run(
        [sys.executable, "-m", "edgefer", "doctor"], capture_output=True, text=True, env=environment, check=False
    )
    assert ended.returncode == 5, ended.stderr
    assert message in ended.stdout
    assert ("apt install python3-numpy" if message == "SIGILL" else "apt install libopenblas0") in ended.stdout
    assert "it needs numpy" in ended.stdout
    assert "temperature" in ended.stdout or "disk" in ended.stdout


def test_opencv_for_another_processor_has_a_fix_other_than_a_runtime(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    check = check_import("OpenCV", "odd_wheel", "4.11", "pip install it", wrong_processor=SYSTEM_PACKAGES)
    assert "tflite" not in check.fix
