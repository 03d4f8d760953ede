"""The trained models that ship with edgefer, and which model a command takes when none was named.

    path, reason = find_model(None)                 # the newest artifact under runs/, else SHIPPED
    path, reason = find_model(Path("nano"))         # one of shipped(), by its name

``nano`` is for microcontrollers and the smallest boards, ``small`` for a Raspberry Pi, ``base`` is the most accurate.
In a bundle (edgefer.deploy.bundle) the model inside is the only one.
"""

from __future__ import annotations

import atexit
import functools
import importlib.resources
import tempfile
from pathlib import Path

from edgefer import files
from edgefer.errors import DataError

__all__ = ["SHIPPED", "bundled", "find_model", "shipped"]

ENDING = "-int8.tflite"
SHIPPED = Path(__file__).with_name(f"small{ENDING}")
RUNS = Path("runs")


def shipped() -> dict[str, Path]:
    """The models that ship, by their names."""
    return {path.name.removesuffix(ENDING): path for path in sorted(Path(__file__).parent.glob(f"*{ENDING}"))}


def find_model(named: Path | None, *, runs: Path = RUNS) -> tuple[Path, str]:
    """The model file to use, and a few words on why it was chosen.

    Raises:
        DataError: ``named`` is neither a file nor a model that ships, or nothing was named in a bundle without a model.
    """
    if named is not None:
        if named.is_file():
            return named, "as named"
        if str(named) in shipped():
            return shipped()[str(named)], "a model that ships"
        why = "a run folder holds artifacts, this asks for one of them" if named.is_dir() else "no such file"
        hint = f"edgefer quantize --int8, or one that ships: {', '.join(shipped()) or 'none in a bundle'}"
        raise DataError(f"{named} is not a model file", why=why, hint=hint)
    inside = bundled()
    if inside is not None:
        return inside, "the model in this bundle"
    # runs/latest is a link to a folder that is listed anyway; a leading dot marks a file that is still being written.
    made = [path for path in runs.glob("*/*.tflite") if not path.parent.is_symlink() and not path.name.startswith(".")]
    if made:
        return max(made, key=lambda path: path.stat().st_mtime_ns), f"the newest artifact in {runs}/"
    if not SHIPPED.is_file():
        raise DataError("no model was named", why="this bundle carries none", hint="name one, such as model.tflite")
    return SHIPPED, f"the model that ships, as there is no artifact in {runs}/"


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
    files.write_bytes(path, inside[0].read_bytes())
    return path
