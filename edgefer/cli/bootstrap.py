"""The __main__.py of a bundle: check Python and the packages, and show how to install missing ones.

Every Python from 2.7 on must be able to parse this file, so that an old one prints a message instead of a SyntaxError.
It therefore has no annotations and no f-strings, and imports edgefer only after the version check.
"""

import sys

# Import names of the runtimes; one is enough.
RUNTIMES = ("ai_edge_litert", "tflite_runtime")

if __name__ == "__main__":
    version = ".".join(str(number) for number in sys.version_info[:3])
    if sys.version_info < (3, 10):  # noqa: UP036 - a board may have an older one
        sys.exit("edgefer: Python 3.10 to 3.13 is required, this is " + version + "\n  try: python3.11 " + sys.argv[0])
    import importlib.util
    import os
    import platform
    import shlex
    import sysconfig
    from pathlib import Path

    from edgefer import requirements
    from edgefer.child_start import extend_path

    # Over SSH, the folders of $PYTHONPATH come after the standard library.
    extend_path()
    # Help needs only Python, and the doctor command reports missing packages itself.
    needs_packages = not {"--help", "-h", "--version"} & set(sys.argv[1:]) and sys.argv[1:2] != ["doctor"]
    # A 32-bit Python on a 64-bit kernel has the kernel's machine, but needs 32-bit packages.
    if platform.machine() in requirements.LITERT_MACHINES and sys.maxsize > 2**32:
        packages = {"numpy": requirements.NUMPY, "cv2": requirements.OPENCV}
        runtime = [requirements.LITERT]
    else:
        packages = {"numpy": requirements.NUMPY_1, "cv2": requirements.OPENCV_FOR_NUMPY_1}
        runtime = [requirements.NUMPY_1, requirements.TFLITE_RUNTIME]
    # OpenCV reads its log level when it is imported, see edgefer.processes.QUIET_VARIABLES.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    missing, reasons = [], []
    for module, requirement in packages.items() if needs_packages else ():
        # Import instead of find: an OpenCV with window support is found but fails to load without libGL.
        try:
            importlib.import_module(module)
        except ImportError as error:
            missing.append(requirement)
            reasons.append(str(error).splitlines()[0])
    if needs_packages and not any(importlib.util.find_spec(module) for module in RUNTIMES):
        missing += [requirement for requirement in runtime if requirement not in missing]
        reasons.append("no TensorFlow Lite runtime")
    if missing:
        if requirements.TFLITE_RUNTIME in missing and sys.version_info >= (3, 12):
            sys.exit(
                "edgefer: no TensorFlow Lite runtime for Python " + version + " on " + platform.machine()
                + "\n  try: Python 3.10 or 3.11, the last versions with tflite-runtime"
            )
        install = "-m pip install " + " ".join('"' + requirement + '"' for requirement in missing)
        # Debian and Raspberry Pi OS do not allow pip to change the system's own Python.
        is_managed = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists() and sys.prefix == sys.base_prefix
        if is_managed:
            command = sys.executable + " -m venv --system-site-packages ~/edgefer && ~/edgefer/bin/python " + install
            command += " && ~/edgefer/bin/python " + shlex.join(sys.argv)
        else:
            command = shlex.quote(sys.executable) + " " + install
        sys.exit("edgefer: " + "; ".join(reasons) + "\n  try: " + command)

    from edgefer.cli.bundle_main import main

    sys.exit(main(sys.argv[1:]))
