"""Check that the installed OpenCV supports live video; each error has the command that fixes it.

    require_opencv()                                # it can be imported, and is complete
    require_backend("FFMPEG")                       # it can read videos and streams
    require_window()                                # it can open a window on this display

Several packages contain a module named cv2, and those that are installed together overwrite each other's files.
"""

from __future__ import annotations

import importlib.metadata
import os
import tempfile
from pathlib import Path

from edgefer.errors import IncompatibleError
from edgefer.processes import run_code
from edgefer.requirements import OPENCV

__all__ = ["require_backend", "require_opencv", "require_window"]

PACKAGES = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
WITH_WINDOWS = "opencv-python>=4.11,<5"
NEEDED = ("VideoCapture", "calcOpticalFlowPyrLK", "cvtColor", "imencode", "resize")
OPEN_WINDOW = "import cv2; cv2.namedWindow('edgefer'); cv2.waitKey(1)"
DISPLAY_TIMEOUT_S = 20


def require_opencv() -> None:
    """Check that OpenCV can be imported and is complete.

    Raises:
        IncompatibleError: it is not installed, cannot be loaded, or lacks functions.
    """
    try:
        import cv2
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
            raise IncompatibleError("OpenCV is not installed", hint=f"pip install '{OPENCV}'") from error
        why = f"{_describe_packages()}; {(str(error).strip().splitlines() or ['no message'])[-1]}"
        raise IncompatibleError("cannot import OpenCV", why=why, hint=_import_command(str(error))) from error
    missing = [name for name in NEEDED if not hasattr(cv2, name)]
    if missing:
        what = f"OpenCV is incomplete: cv2 has no {missing[0]}"
        raise IncompatibleError(what, why=_describe_packages(), hint=_reinstall_command(OPENCV))


def require_backend(name: str) -> None:
    """Check that OpenCV was built with a video backend.

    Args:
        name: such as "FFMPEG" or "V4L2", after cv2.CAP_.

    Raises:
        IncompatibleError: it was built without the backend.
    """
    import cv2

    if not cv2.videoio_registry.hasBackend(getattr(cv2, f"CAP_{name}")):
        what = f"OpenCV {cv2.__version__} was built without {name}"
        raise IncompatibleError(what, why=_describe_packages(), hint=_reinstall_command(OPENCV))


def require_window() -> None:
    """Check that OpenCV can open a window on this display.

    Raises:
        IncompatibleError: it cannot; the hint lists the alternatives.
    """
    alternatives = "--serve :4912 and a browser, or --jsonl"
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        why = "neither DISPLAY nor WAYLAND_DISPLAY is set"
        raise IncompatibleError("there is no display for a window", why=why, hint=alternatives)
    # In a subprocess, because Qt aborts a process whose display it cannot open.
    with tempfile.TemporaryDirectory(prefix="edgefer-window-") as folder:
        child = run_code(OPEN_WINDOW, folder=Path(folder), timeout_s=DISPLAY_TIMEOUT_S)
    if child.timed_out:
        why = f"the display did not respond within {DISPLAY_TIMEOUT_S} s"
        raise IncompatibleError("cannot open a window", why=why, hint=alternatives)
    # A headless package has the functions without an implementation; other builds omit them.
    if "not implemented" in child.stderr or "has no attribute 'namedWindow'" in child.stderr:
        hint = f"{_reinstall_command(WITH_WINDOWS)}; or {alternatives}"
        raise IncompatibleError("this OpenCV has no window support", why=_describe_packages(), hint=hint)
    if child.exit_code:
        why = child.last_line or f"exit code {child.exit_code}"
        raise IncompatibleError("cannot open a window", why=why, hint=alternatives)


def _describe_packages() -> str:
    """Describe where cv2 comes from."""
    installed = _installed_packages()
    if len(installed) > 1:
        return f"{' and '.join(installed)} overwrite each other"
    if installed:
        return f"{installed[0]} {importlib.metadata.version(installed[0])} is installed"
    return "it was not installed by pip"


def _import_command(message: str) -> str:
    if "libGL" in message or "libgthread" in message or "libglib" in message:
        return _reinstall_command(OPENCV)
    if "numpy" in message.lower() and not _installed_packages():
        return "pip uninstall numpy && sudo apt install python3-numpy python3-opencv"
    return _reinstall_command(OPENCV)


def _reinstall_command(requirement: str) -> str:
    """Return the command that replaces all installed packages; removing one of several breaks the others."""
    installed = _installed_packages()
    remove = f"pip uninstall --yes {' '.join(installed)} && " if installed else ""
    return f"{remove}pip install '{requirement}'"


def _installed_packages() -> list[str]:
    names = {(distribution.metadata["Name"] or "").lower() for distribution in importlib.metadata.distributions()}
    return [name for name in PACKAGES if name in {installed.replace("_", "-") for installed in names}]
