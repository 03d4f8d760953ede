"""The trained models that ship with edgefer, and which model a command takes when none was named.

    path, reason = find_model(None)                 # the newest artefact under runs/, else the model that ships
"""

from __future__ import annotations

from pathlib import Path

from edgefer.errors import DataError

__all__ = ["SHIPPED", "find_model"]

SHIPPED = Path(__file__).with_name("compact_small-int8.tflite")
RUNS = Path("runs")


def find_model(named: Path | None, *, runs: Path = RUNS) -> tuple[Path, str]:
    """The model file to use, and a few words on why it was chosen.

    Raises:
        DataError: ``named`` does not exist or is a folder.
    """
    if named is not None:
        if not named.is_file():
            why = "a run folder holds artefacts, this asks for one of them" if named.is_dir() else "no such file"
            raise DataError(f"{named} is not a model file", why=why, fix="edgefer quantize --int8")
        return named, "as named"
    # runs/latest is a link to a folder that is listed anyway; a leading dot marks a file that is still being written.
    made = [path for path in runs.glob("*/*.tflite") if not path.parent.is_symlink() and not path.name.startswith(".")]
    if made:
        return max(made, key=lambda path: path.stat().st_mtime_ns), f"the newest artefact in {runs}/"
    return SHIPPED, f"the model that ships, as there is no artefact in {runs}/"
