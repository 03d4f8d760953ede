"""Check the environment of this machine: Python, packages, runtimes, camera, GPU and throttling.

    for check in check_environment():
        check.name, check.status, check.text, check.fix
"""

from __future__ import annotations

import platform as python_platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

from edgefer.deploy.check import Check, Status, installed_version
from edgefer.deploy.gpu_checks import gpu_checks
from edgefer.device import platform, sysfs
from edgefer.plugins import load, names
from edgefer.processes import ChildResult, run_code
from edgefer.requirements import NUMPY, NUMPY_1, OPENCV

__all__ = ["check_disk", "check_environment", "check_import", "missing_library"]

IMPORT_TIMEOUT_S = 120.0
IS_32_BIT = sys.maxsize <= 2**32
# Metadata shows only that a package is installed; an import shows that it works on this machine.
IMPORT = """
import importlib, pathlib, sys
importlib.import_module(sys.argv[1])
version = getattr(sys.modules[sys.argv[1].partition(".")[0]], "__version__", "")
pathlib.Path(sys.argv[2]).write_text(str(version), encoding="utf-8")
"""
MIN_FREE_BYTES = 200 * 2**20
HOT_C = 80.0
# Remedies for a package that was built for another processor.
OTHER_RUNTIME = "use a 64-bit system, or tflite-runtime instead of LiteRT"
SYSTEM_PACKAGES = "sudo apt install python3-numpy python3-opencv, which are built for this processor"
# Libraries whose absence is a common reason for a failed import, and the Debian package of each.
LIBRARIES = {
    "libGL.so": "libgl1", "libgthread": "libglib2.0-0", "libopenblas": "libopenblas0", "libatlas": "libatlas3-base",
    "libcblas": "libatlas3-base", "libgfortran": "libgfortran5",
}  # fmt: skip
OPENCV_PACKAGES = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


def check_environment() -> Iterator[Check]:
    """Yield the results of all checks; packages are imported in subprocesses."""
    version = sys.version_info[:3]
    supported = (3, 10) <= version[:2] <= (3, 13)
    text = ".".join(map(str, version)) + (", 32-bit" if IS_32_BIT else "")
    yield Check("Python", "ok" if supported else "broken", text, "" if supported else "install Python 3.10 to 3.13")
    version_of_numpy, pip = installed_version("numpy"), f'pip install "{NUMPY}"'
    numpy = check_import("numpy", "numpy", version_of_numpy, pip, wrong_processor=SYSTEM_PACKAGES)
    yield numpy
    pip = f'pip install "{OPENCV}"'
    yield check_import("OpenCV", "cv2", installed_version(*OPENCV_PACKAGES), pip, wrong_processor=SYSTEM_PACKAGES)
    # The runtime plug-ins import numpy in this process.
    yield from _runtimes() if numpy.status == "ok" else [Check("runtime", "note", "not checked: it needs numpy")]
    yield from _extras()
    yield from _device()


def check_import(
    name: str, module: str, version: str | None, fix: str, *, wrong_processor: str = OTHER_RUNTIME
) -> Check:
    """Import a module in a subprocess, which may crash.

    Args:
        name: name of the check.
        module: name of the module.
        version: version of its package; None if unknown, as for the OpenCV of Debian and of NVIDIA.
        fix: command that installs the package.
        wrong_processor: remedy if the package was built for another processor.
    """
    with tempfile.TemporaryDirectory(prefix="edgefer-doctor-") as folder:
        report = Path(folder, "version")
        child = run_code(IMPORT, module, report, folder=Path(folder), timeout_s=IMPORT_TIMEOUT_S)
        version = version or (report.read_text(encoding="utf-8") if report.exists() else None)
    if child.exit_code == 0:
        return Check(name, "ok", version or "unknown version")
    if version is None and child.last_line.startswith("ModuleNotFoundError"):
        return Check(name, "broken", "not installed", fix)
    text = f"{version or 'a package'} is installed, but {_problem(child)}"
    return Check(name, "broken", text, _remedy(child, fix, wrong_processor))


def _problem(child: ChildResult) -> str:
    if child.timed_out:
        return f"its import takes more than {IMPORT_TIMEOUT_S:.0f} s"
    if child.signal == "SIGILL":
        return "its import ends with SIGILL: it was built for a newer processor"
    if child.signal:
        return f"its import ends with {child.signal}"
    return f"its import fails: {child.last_line}"


def _remedy(child: ChildResult, fix: str, wrong_processor: str) -> str:
    if "libGL" in child.stderr or "libgthread" in child.stderr:
        return "pip uninstall opencv-python && pip install opencv-python-headless"
    if child.timed_out:
        return "edgefer doctor again, while no other program runs"
    if child.signal == "SIGKILL" or child.allocation_failed:
        return "end other programs, or add swap space: free -m"
    library = missing_library(child.stderr)
    if library:
        return f"sudo apt install {library}"
    return wrong_processor if child.signal == "SIGILL" else fix


def missing_library(message: str) -> str:
    """Return the Debian package of the library that the error of an import names, or an empty string."""
    return next((package for library, package in LIBRARIES.items() if library in message), "")


def _runtimes() -> Iterator[Check]:
    """Yield a check for each runtime of a board, and a broken one if none of them works."""
    from edgefer.inference.runtime import RUNTIMES, RuntimeModule

    # The best one first.
    packages = {"litert": "ai_edge_litert.interpreter", "tflite_runtime": "tflite_runtime.interpreter"}
    checks = []
    for name, package in packages.items():
        module = cast("RuntimeModule", load(RUNTIMES, name))
        version = module.available()
        if version is None and name == "litert" and IS_32_BIT:
            checks.append(Check(name, "note", "not available for 32-bit systems"))
        elif version is None:
            checks.append(Check(name, "note", "not installed", module.INSTALL))
        elif name == "tflite_runtime" and not str(installed_version("numpy")).startswith("1."):
            text = f"{version} is installed, but does not work with numpy {installed_version('numpy')}"
            checks.append(Check(name, "note", text, f'pip install "{NUMPY_1}"'))
        else:
            check = check_import(name, package, version, module.INSTALL)
            checks.append(Check(name, "ok" if check.status == "ok" else "note", check.text, check.fix))
    for index, check in enumerate(checks):
        # tflite-runtime is no improvement on LiteRT, and would replace the numpy 2 that OpenCV needs.
        yield replace(check, fix="") if any(better.status == "ok" for better in checks[:index]) else check
    if not any(check.status == "ok" for check in checks):
        fix = next((check.fix for check in checks if check.fix), "")
        yield Check("runtime", "broken", f"none of {', '.join(names(RUNTIMES))} works", fix)


def _extras() -> Iterator[Check]:
    tensorflow = installed_version("tensorflow", "tensorflow-cpu")
    status: Status = "note" if tensorflow is None else "ok"
    yield Check("TensorFlow", status, tensorflow or "not installed; needed only for training")
    cameras = sorted(str(path) for path in Path("/dev").glob("video*"))
    yield Check("camera", "ok" if cameras else "note", ", ".join(cameras) or "no /dev/video*")
    yield from gpu_checks()


def _device() -> Iterator[Check]:
    kind, _ = platform.detect_platform()
    state = platform.sample_state(0.0)
    board = sysfs.board_model() or sysfs.cpu_model() or python_platform.machine()
    dot_product = {True: "with int8 dot product", False: "without int8 dot product", None: "unknown processor"}
    yield Check("device", "ok", f"{board} ({kind}), {dot_product[sysfs.has_dot_product()]}")
    if state.temperature_c is not None:
        hot = state.temperature_c > HOT_C
        status: Status = "note" if hot else "ok"
        yield Check("temperature", status, f"{state.temperature_c:.0f} C", "add a fan" if hot else "")
    if kind != "generic_linux":
        times = {"now": state.throttled, "since boot": state.throttled_since_boot}
        text = "; ".join(f"{', '.join(reasons)} {when}" for when, reasons in times.items() if reasons)
        fix = "use a stronger power supply, and add a fan" if text else ""
        yield Check("throttling", "note" if text else "ok", text or "not throttled", fix)
    if state.governor not in (None, "performance"):
        command = "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
        yield Check("governor", "note", f"{state.governor}: the clock may change during a benchmark", command)
    yield check_disk(shutil.disk_usage(Path.home() if Path.home().is_dir() else Path("/")).free)


def check_disk(free_bytes: int) -> Check:
    """Check the free space of the home folder, where edgefer stores uploads."""
    low = free_bytes < MIN_FREE_BYTES
    fix = "free space: df -h, or edgefer devices clean NAME for a board" if low else ""
    return Check("disk", "note" if low else "ok", f"{free_bytes / 2**30:.1f} GiB free", fix)
