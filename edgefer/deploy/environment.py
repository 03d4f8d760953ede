"""What this machine has of what edgefer needs, and the line that mends what it has not.

    for check in examine():
        check.name, check.status, check.text, check.fix
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform as python_platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from edgefer import files
from edgefer.device import platform, sysfs
from edgefer.plugins import load, names
from edgefer.processes import ChildResult, run_module
from edgefer.requirements import NUMPY, NUMPY_1, OPENCV

__all__ = ["Check", "examine", "imported"]

Status = Literal["ok", "note", "broken"]
IMPORT_S = 120.0
LEAST_FREE_BYTES = 200 * 2**20
HOT_C = 80.0
# For a processor that a wheel was not built for.
OTHER_RUNTIME = "a 64-bit system, or tflite-runtime in place of LiteRT"
SYSTEM = "sudo apt install python3-numpy python3-opencv, which are built for the system's processor"
OPENCV_PACKAGES = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: of it.
        status: "ok"; "note", which is no obstacle; "broken", with which benches do not run.
        text: what was found.
        fix: the line that mends it, or empty.
    """

    name: str
    status: Status
    text: str
    fix: str = ""


def examine() -> Iterator[Check]:
    """Look at everything, the imports in processes of their own."""
    version = sys.version_info[:3]
    fits = (3, 10) <= version[:2] <= (3, 13)
    number = ".".join(map(str, version))
    yield Check("Python", "ok" if fits else "broken", number, "" if fits else "Python 3.10 to 3.13")
    numpy = imported("numpy", "numpy", _version("numpy"), f'pip install "{NUMPY}"', other=SYSTEM)
    yield numpy
    pip = f'pip install "{OPENCV}"'
    yield imported("OpenCV", "cv2", _version(*OPENCV_PACKAGES), pip, other=SYSTEM)
    # All that knows a runtime needs numpy, in this process too.
    yield from _runtimes() if numpy.status == "ok" else [Check("runtime", "note", "not looked at: numpy comes first")]
    yield from _extras()
    yield from _device()


def imported(name: str, module: str, version: str | None, fix: str, *, other: str = OTHER_RUNTIME) -> Check:
    """Whether ``module`` can be imported; tried in another process, which may crash.

    Args:
        name: what to call it.
        module: what is imported.
        version: of the package that has it; None where it is not installed.
        fix: the line that installs it.
        other: what to do where it was built for another processor.
    """
    if version is None:
        return Check(name, "broken", "not installed", fix)
    with tempfile.TemporaryDirectory(prefix="edgefer-doctor-") as folder:
        files.write_text(Path(folder, "tried.py"), f"import {module}\n")
        # Python puts the folder that a module is run from before everything else.
        ended = run_module("tried", folder=Path(folder), timeout_s=IMPORT_S)
    if ended.exit_code == 0:
        return Check(name, "ok", version)
    return Check(name, "broken", f"{version} is installed, and {_cause(ended)}", _cure(ended, fix, other))


def _cause(ended: ChildResult) -> str:
    if ended.timed_out:
        return f"its import does not end within {IMPORT_S:.0f} s"
    if ended.signal == "SIGILL":
        return "its import ends by SIGILL: it was built for a newer processor than this one"
    if ended.signal:
        return f"its import ends by {ended.signal}"
    return f"its import fails: {ended.last_line}"


def _cure(ended: ChildResult, fix: str, other: str) -> str:
    if "libGL" in ended.stderr or "libgthread" in ended.stderr:
        return "pip uninstall opencv-python && pip install opencv-python-headless"
    if ended.signal == "SIGILL":
        return other
    return fix


def _runtimes() -> Iterator[Check]:
    """Each of the runtimes; one that works is enough."""
    from edgefer.inference.runtime import RUNTIMES, RuntimeModule

    packages = {"litert": "ai_edge_litert.interpreter", "tflite_runtime": "tflite_runtime.interpreter"}
    found = []
    for name, package in packages.items():
        module = cast("RuntimeModule", load(RUNTIMES, name))
        version = module.available()
        if version is None:
            found.append(Check(name, "note", "not installed", module.INSTALL))
        elif name == "tflite_runtime" and not str(_version("numpy")).startswith("1."):
            text = f"{version} is installed, and does not work with numpy {_version('numpy')}"
            found.append(Check(name, "note", text, f'pip install "{NUMPY_1}"'))
        else:
            check = imported(name, package, version, module.INSTALL)
            found.append(Check(name, "ok" if check.status == "ok" else "note", check.text, check.fix))
    yield from found
    if not any(check.status == "ok" for check in found):
        fix = next((check.fix for check in found if check.fix), "")
        yield Check("runtime", "broken", f"none of {', '.join(names(RUNTIMES))} works here", fix)


def _extras() -> Iterator[Check]:
    tensorflow = _version("tensorflow", "tensorflow-cpu")
    yield Check("TensorFlow", "note" if tensorflow is None else "ok", tensorflow or "not there; a board needs none")
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    yield Check("camera", "ok" if cameras else "note", ", ".join(cameras) or "no /dev/video*")
    gpus = [str(path) for path in (Path("/dev/nvidia0"), Path("/dev/nvhost-gpu")) if path.exists()]
    yield Check("GPU", "ok" if gpus else "note", ", ".join(gpus) or "none of NVIDIA; int8 models need none")


def _device() -> Iterator[Check]:
    kind, _ = platform.detect_platform()
    now = platform.sample_state(0.0)
    board = sysfs.board_model() or sysfs.cpu_model() or python_platform.machine()
    dot = {True: "with int8 dot product", False: "without int8 dot product", None: "processor unknown"}
    yield Check("device", "ok", f"{board} ({kind}), {dot[sysfs.has_dot_product()]}")
    if now.temperature_c is not None:
        hot = now.temperature_c > HOT_C
        yield Check("temperature", "note" if hot else "ok", f"{now.temperature_c:.0f} C", "a fan" if hot else "")
    if kind != "generic_linux":
        times = {"now": now.throttled, "since boot": now.throttled_since_boot}
        text = "; ".join(f"{', '.join(reasons)} {when}" for when, reasons in times.items() if reasons)
        fix = "a better power supply, and a fan" if text else ""
        yield Check("throttling", "note" if text else "ok", text or "not held back", fix)
    if now.governor not in (None, "performance"):
        line = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Check("governor", "note", f"{now.governor}: the clock changes in the midst of a bench", line)
    free = shutil.disk_usage(Path.home() if Path.home().is_dir() else Path("/")).free
    low = free < LEAST_FREE_BYTES
    yield Check("disk", "note" if low else "ok", f"{free / 2**30:.1f} GiB free", "edgefer devices clean" if low else "")


def _version(*packages: str) -> str | None:
    for package in packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None
