"""Trained models that ship with edgefer, and the choice of the default model of a command.

    path, reason = find_model(None)                 # the newest artifact under runs/, else SHIPPED
    path, reason = find_model(Path("nano"))         # a shipped model by name

``nano`` suits microcontrollers and the smallest boards, ``small`` a Raspberry Pi; ``base`` is the most accurate.
A bundle (edgefer.deploy.bundle) contains at most one model and none of these.
"""

from __future__ import annotations

import atexit
import functools
import importlib.resources
import shlex
import tempfile
from pathlib import Path

from edgefer import files
from edgefer.errors import DataError
from edgefer.file_kinds import RUN, TFLITE, artifacts_in, command_for, describe_kind

__all__ = ["SHIPPED", "bundled", "find_model", "is_model", "shipped"]

ENDING = "-int8.tflite"
SHIPPED = Path(__file__).with_name(f"small{ENDING}")
RUNS = Path("runs")


def shipped() -> dict[str, Path]:
    """Return the paths of the shipped models by name."""
    return {path.name.removesuffix(ENDING): path for path in sorted(Path(__file__).parent.glob(f"*{ENDING}"))}


def is_model(name: Path) -> bool:
    """Return True for the path of a .tflite file or the name of a shipped model, unless a folder has that name."""
    return not name.is_dir() and (str(name) in shipped() or name.suffix.lower() == ".tflite")


def find_model(named: Path | None, *, runs: Path = RUNS) -> tuple[Path, str]:
    """Choose a model file.

    Args:
        named: a path or the name of a shipped model; None for the default.
        runs: folder of the run folders.

    Returns:
        The path, and the reason for the choice in a few words.

    Raises:
        DataError: ``named`` is neither a file nor a shipped model, or this is a bundle without a model.
    """
    if named is not None:
        kind = describe_kind(named)
        if kind == TFLITE:
            return named, "as named"
        if str(named) in shipped():
            return shipped()[str(named)], "a shipped model"
        why = f"it is {kind}, expected a .tflite"
        hint = f"edgefer quantize --int8 RUN, or a shipped model: {', '.join(shipped()) or 'none in a bundle'}"
        hint = _hint_for_run(named) if kind == RUN else command_for(named) or hint
        raise DataError(f"{named} is not a model file", why=why, hint=hint)
    inside = bundled()
    if inside is not None:
        return inside, "the model in this bundle"
    # runs/latest links to another of these folders.
    made = [path for run in runs.glob("*") if not run.is_symlink() for path in artifacts_in(run)]
    if made:
        return max(made, key=lambda path: path.stat().st_mtime_ns), f"the newest artifact in {runs}/"
    if not SHIPPED.is_file():
        raise DataError("no model was named", why="this bundle contains none", hint="name one, such as model.tflite")
    return SHIPPED, f"the shipped model, because {runs}/ contains no artifact"


def _hint_for_run(run: Path) -> str:
    """Return the newest artifact in a run folder, or the command that makes one."""
    made = artifacts_in(run)
    newest = max(made, key=lambda path: path.stat().st_mtime_ns) if made else None
    return shlex.quote(str(newest)) if newest else f"edgefer quantize {shlex.quote(str(run))} --int8"


@functools.cache
def bundled() -> Path | None:
    """Return the path of the model in this bundle, which exists until the process ends; None without a bundle."""
    folder = importlib.resources.files(__name__) / "bundled"
    inside = [entry for entry in folder.iterdir() if entry.name.endswith(".tflite")] if folder.is_dir() else []
    if not inside:
        return None
    # Subprocesses and native code need a file outside the zip.
    unpacked = tempfile.TemporaryDirectory(prefix="edgefer-")
    atexit.register(unpacked.cleanup)
    path = Path(unpacked.name, inside[0].name)
    files.write_bytes(path, inside[0].read_bytes())
    return path
