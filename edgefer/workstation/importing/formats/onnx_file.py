"""ONNX files, converted by onnx2tf.

onnx2tf pins its own versions of TensorFlow and numpy, so it needs a virtual environment of its own. edgefer calls the
command ``onnx2tf`` on the PATH, or the one that $EDGEFER_ONNX2TF names.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from edgefer.errors import DataError, IncompatibleError
from edgefer.workstation.importing.network import SourceNetwork

__all__ = ["DESCRIPTION", "find_code", "matches", "read"]

DESCRIPTION = "an ONNX file (.onnx)"
VARIABLE = "EDGEFER_ONNX2TF"
TIMEOUT_S = 540
INSTALL = (
    "python3 -m venv onnx2tf-venv && onnx2tf-venv/bin/pip install onnx2tf && "
    f"export {VARIABLE}=$PWD/onnx2tf-venv/bin/onnx2tf"
)
# Lines of the converter's output in an error.
SHOWN_LINES = 3


def matches(path: Path) -> bool:
    """Return True for a file whose name ends in .onnx; the format has no signature."""
    return path.suffix.lower() == ".onnx" and path.is_file()


def find_code(path: Path) -> list[str]:
    """Return nothing: an ONNX graph holds no code."""
    return []


def read(path: Path, *, trust: bool) -> SourceNetwork:
    """Convert the graph with onnx2tf, with batch 1 and the channels last."""
    program = os.environ.get(VARIABLE) or shutil.which("onnx2tf")
    if program is None or shutil.which(program) is None:
        why = f"{VARIABLE} names {program}" if program else "the command onnx2tf is not on the PATH"
        raise IncompatibleError(f"cannot convert {path.name} without onnx2tf", why=why, hint=INSTALL)
    with tempfile.TemporaryDirectory(prefix="edgefer-onnx-") as folder:
        words = [program, "-i", str(path), "-o", folder, "-b", "1", "-n"]
        try:
            done = subprocess.run(
                words, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, cwd=folder, check=False
            )
        except subprocess.TimeoutExpired as error:
            what = f"onnx2tf needs more than {TIMEOUT_S} s for {path.name}"
            raise IncompatibleError(what, hint="convert it to a SavedModel by hand") from error
        converted = sorted(Path(folder).glob("*_float32.tflite"))
        if done.returncode or not converted:
            lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
            why = "; ".join(lines[-SHOWN_LINES:]) or f"exit code {done.returncode}"
            raise DataError(f"onnx2tf cannot convert {path.name}", why=why, hint=f"onnx2tf -i {path.name}")
        return SourceNetwork(converted[0].read_bytes())
