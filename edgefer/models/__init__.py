"""The trained models that ship with edgefer, and which model a command takes when none was named.

    path, reason = find_model(None)                 # the newest artefact under runs/, else the model that ships

In a bundle (edgefer.bundle) it is the model inside.
"""

from __future__ import annotations

import atexit
import functools
import importlib.resources
import tempfile
from pathlib import Path

from edgefer import atomic
from edgefer.errors import DataError

__all__ = ["SHIPPED", "bundled", "find_model"]

SHIPPED = Path(__file__).with_name("compact_small-int8.tflite")
RUNS = Path("runs")


def find_model(named: Path | None, *, runs: Path = RUNS) -> tuple[Path, str]:
    """The model file to use, and a few words on why it was chosen.

    Raises:
        DataError: ``named`` does not exist or is a folder, or nothing was named in a bundle without a model.
    """
    if named is not None:
        if not named.is_file():
            why = "a run folder holds artefacts, this asks for one of them" if named.is_dir() else "no such file"
            raise DataError(f"{named} is not a model file", why=why, fix="edgefer quantize --int8")
        return named, "as named"
    inside = bundled()
    if inside is not None:
        return inside, "the model in this bundle"
    # runs/latest is a link to a folder that is listed anyway; a leading dot marks a file that is still being written.
    made = [path for path in runs.glob("*/*.tflite") if not path.parent.is_symlink() and not path.name.startswith(".")]
    if made:
        return max(made, key=lambda path: path.stat().st_mtime_ns), f"the newest artefact in {runs}/"
    if not SHIPPED.is_file():
        raise DataError("no model was named", why="this bundle carries none", fix="name one, such as model.tflite")
    return SHIPPED, f"the model that ships, as there is no artefact in {runs}/"


@functools.cache
def bundled() -> Path | None:
    """The model in the bundle that this edgefer runs from, as a file for as long as the process lives; else None."""
    folder = importlib.resources.files(__name__) / "bundled"
    inside = [entry for entry in folder.iterdir() if entry.name.endswith(".tflite")] if folder.is_dir() else []
    if not inside:
        return None
    # Other processes, and code that is not Python's, take the path of a file and no place in a zip.
    unpacked = tempfile.TemporaryDirectory(prefix="edgefer-")
    atexit.register(unpacked.cleanup)
    path = Path(unpacked.name, inside[0].name)
    atomic.write_bytes(path, inside[0].read_bytes())
    return path
