"""Requirements of a board in the syntax of pip: the only versions in code, equal to those in pyproject.toml.

    f"pip install '{NUMPY}'"

The bundle reads this module before numpy is installed, so it imports nothing.
"""

from __future__ import annotations

__all__ = ["LITERT", "LITERT_MACHINES", "NUMPY", "NUMPY_1", "OPENCV", "OPENCV_FOR_NUMPY_1", "TFLITE_RUNTIME"]

NUMPY = "numpy>=1.26.4,<3"
# OpenCV 4.10 and 4.11 write to an uninitialized pointer while they decode some JPEG files (CVE-2025-53644).
OPENCV = "opencv-python-headless>=4.12,<5"
LITERT = "ai-edge-litert>=2.3,<3"
# Values of platform.machine() with LiteRT wheels; other machines need tflite-runtime.
LITERT_MACHINES = ("x86_64", "AMD64", "aarch64", "arm64")

# The last release of tflite-runtime was built for numpy 1, and OpenCV 4.12 and later require numpy 2.
TFLITE_RUNTIME = "tflite-runtime==2.14.0"
NUMPY_1 = "numpy>=1.26.4,<2"
OPENCV_FOR_NUMPY_1 = "opencv-python-headless>=4.11,<4.12"
