"""Errors for an OpenCV that lacks something, with real processes and stand-ins for the cv2 module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from edgefer.cli.main import load_command
from edgefer.errors import IncompatibleError
from edgefer.live.camera import Source
from edgefer.live.opencv import require_opencv, require_window

ROOT = Path(__file__).parents[2]
LIVE = [sys.executable, "-m", "edgefer", "live", "--camera", "97", "--no-window"]
HAS_WINDOWS = "GUI:                           NONE" not in cv2.getBuildInformation()
IMPORT_ERRORS = {
    "libGL.so.1: cannot open shared object file: No such file or directory": "pip install 'opencv-python-headless>=4",
    "numpy.core.multiarray failed to import": "pip install 'opencv-python-headless>=4",
}


def run_live_with(folder: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run edgefer live with a cv2 module that contains ``code``."""
    (folder / "cv2.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    return subprocess.run(LIVE, capture_output=True, text=True, check=False, env=environment, timeout=120, cwd=folder)


def test_the_installed_opencv_is_complete() -> None:
    require_opencv()


@pytest.mark.parametrize("message", IMPORT_ERRORS)
def test_an_opencv_that_cannot_be_loaded_is_an_error_with_a_command(tmp_path: Path, message: str) -> None:
    process = run_live_with(tmp_path, f"raise ImportError({message!r})")
    assert process.returncode == 5
    assert "cannot import OpenCV" in process.stderr
    assert message in process.stderr
    assert IMPORT_ERRORS[message] in process.stderr


def test_a_missing_opencv_is_an_error_with_a_command(tmp_path: Path) -> None:
    process = run_live_with(tmp_path, "raise ModuleNotFoundError(\"No module named 'cv2'\", name='cv2')")
    assert process.returncode == 5
    assert "OpenCV is not installed" in process.stderr
    assert "pip install 'opencv-python-headless>=4" in process.stderr


def test_the_remains_of_an_uninstalled_opencv_are_an_error_with_a_command(tmp_path: Path) -> None:
    process = run_live_with(tmp_path, "")
    assert process.returncode == 5
    assert "OpenCV is incomplete: cv2 has no VideoCapture" in process.stderr
    assert "pip uninstall --yes" in process.stderr


@pytest.mark.parametrize(
    ("kind", "location"), [("stream", "rtsp://127.0.0.1:9/x"), ("video", "clip.mp4"), ("v4l2", "0")]
)
def test_an_opencv_without_the_backend_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, location: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").write_bytes(b"")
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda backend: False)
    with pytest.raises(IncompatibleError, match=r"was built without (FFMPEG|V4L2)") as caught:
        Source(kind, location).open()
    assert "pip install 'opencv-python-headless" in caught.value.hint


def install_metadata(folder: Path, *packages: str) -> None:
    for package in packages:
        info = folder / f"{package.replace('-', '_')}-4.12.0.88.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 4.12.0.88\n")


@pytest.mark.skipif(HAS_WINDOWS, reason="this OpenCV has windows")
@pytest.mark.parametrize(
    ("packages", "hint", "why"),
    [
        ([], "pip install 'opencv-python>=4.11,<5'; or", "not installed by pip"),
        (
            ["opencv-python-headless"],
            "pip uninstall --yes opencv-python-headless && pip install 'opencv-python>=4.11,<5'; or",
            "opencv-python-headless 4.12.0.88 is installed",
        ),
        (
            ["opencv-python", "opencv-python-headless"],
            "pip uninstall --yes opencv-python opencv-python-headless && pip install 'opencv-python>=4.11,<5'; or",
            "opencv-python and opencv-python-headless overwrite each other",
        ),
    ],
)
def test_without_windows_the_hint_replaces_all_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packages: list[str], hint: str, why: str
) -> None:
    monkeypatch.setenv("DISPLAY", ":97")
    install_metadata(tmp_path, *packages)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(IncompatibleError, match="no window support") as caught:
        require_window()
    assert caught.value.hint.startswith(hint)
    assert why in caught.value.why


def test_the_search_for_a_window_runs_nothing_from_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("cv2", "numpy", "json", "tempfile"):
        (tmp_path / f"{module}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'a').write('{module} ')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":97")
    monkeypatch.setenv("PYTHONPATH", "")
    with pytest.raises(IncompatibleError):
        require_window()
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(("command", "flag"), [("live", "window"), ("bench", "detect"), ("evaluate", "detect")])
def test_a_flag_that_is_not_given_has_no_value_with_any_click(command: str, flag: str) -> None:
    for arguments, expected in (([], None), ([f"--{flag}"], True), ([f"--no-{flag}"], False)):
        values = load_command(command).make_context(f"edgefer {command}", arguments).params
        assert values[flag] is expected
