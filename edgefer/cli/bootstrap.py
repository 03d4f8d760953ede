"""The __main__.py of a bundle (edgefer.deploy.bundle): says what a board lacks, with the line that mends it.

Every Python from 2.7 on can read this file, so that an old one gets a sentence and no SyntaxError: no annotations, no
f-strings, and nothing of edgefer until all is there.
"""

import sys

# As in pyproject.toml; click and rich are in the bundle.
NUMPY, OPENCV = ("numpy", "numpy>=1.26.4,<3"), ("cv2", "opencv-python-headless>=4.11,<5")
RUNTIMES = ("ai_edge_litert", "tflite_runtime")
LITERT, TFLITE_RUNTIME = '"ai-edge-litert>=2.3,<3"', '"numpy<2" tflite-runtime==2.14.0'
# Where LiteRT has wheels; tflite-runtime has the others, for Python up to 3.11.
LITERT_MACHINES = ("x86_64", "AMD64", "aarch64", "arm64")

if __name__ == "__main__":
    here = ".".join(str(number) for number in sys.version_info[:3])
    if sys.version_info < (3, 10):  # noqa: UP036 - it is the boards that have older ones
        sys.exit("edgefer: this is Python " + here + ", and 3.10 to 3.13 are needed\n  try: python3.11 " + sys.argv[0])
    import importlib.util
    import platform
    import shlex
    import sysconfig
    from pathlib import Path

    # Help wants nothing but Python, and the doctor tells by itself what is missing.
    is_bare = {"--help", "-h", "--version"} & set(sys.argv[1:]) or sys.argv[1:2] == ["doctor"]
    needed = () if is_bare else (NUMPY, OPENCV)
    wanted, reasons = [], []
    for module, package in needed:
        # Finding it would not be enough: an OpenCV with windows is there and fails for want of libGL.
        try:
            importlib.import_module(module)
        except ImportError as error:
            wanted.append('"' + package + '"')
            reasons.append(str(error).splitlines()[0])
    if needed and not any(importlib.util.find_spec(module) for module in RUNTIMES):
        wanted.append(LITERT if platform.machine() in LITERT_MACHINES else TFLITE_RUNTIME)
        reasons.append("no TensorFlow Lite runtime")
    if wanted:
        if TFLITE_RUNTIME in wanted and sys.version_info >= (3, 12):
            sys.exit(
                "edgefer: Python " + here + " on " + platform.machine() + " has no TensorFlow Lite runtime\n"
                "  try: Python 3.10 or 3.11, the last for which tflite-runtime was built"
            )
        install = "-m pip install " + " ".join(wanted)
        # Debian and Raspberry Pi OS keep pip out of their own Python.
        is_guarded = Path(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED").exists() and sys.prefix == sys.base_prefix
        if is_guarded:
            line = sys.executable + " -m venv --system-site-packages ~/edgefer && ~/edgefer/bin/python " + install
            line += " && ~/edgefer/bin/python " + shlex.join(sys.argv)
        else:
            line = shlex.quote(sys.executable) + " " + install
        sys.exit("edgefer: " + "; ".join(reasons) + "\n  try: " + line)

    from edgefer.cli.bundle_main import main

    sys.exit(main(sys.argv[1:]))
