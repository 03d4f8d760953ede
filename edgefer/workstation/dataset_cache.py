"""Faces that were read once, kept as .npz under the user's cache folder.

    path = entry(key, skip_bad_rows=False)          # ~/.cache/edgefer/<key>-v1.npz
    rows = restore(path)                            # None: not there, or damaged
    problem = store(path, rows)                     # "": kept

An entry is named by the content of its source and never by its path, so it can be old but not wrong. Whether bad rows
were left out and the version of this format are part of the name.
"""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np

from edgefer import atomic
from edgefer.workstation.rows import Rows

__all__ = ["entry", "restore", "store"]

# Raise it whenever a reader would give other rows for the same source.
FORMAT_VERSION = 1


def entry(key: str, *, skip_bad_rows: bool) -> Path | None:
    """Where the rows of the source with ``key`` are kept: in $XDG_CACHE_HOME/edgefer, or ~/.cache/edgefer.

    None for a user without a home, as services and containers have.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    suffix = "-skipped" if skip_bad_rows else ""
    return Path(home) / "edgefer" / f"{key}-v{FORMAT_VERSION}{suffix}.npz"


def restore(path: Path) -> Rows | None:
    """What store() wrote, or None where the file is missing or damaged (the checksums in a .npz tell)."""
    try:
        # Where the file is damaged, np.load() would not close what it opened itself.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            facts = json.loads(str(archive["facts"]))
            return Rows(
                pixels=archive["pixels"],
                labels=archive["labels"],
                usage=archive["usage"],
                rows=archive["rows"],
                votes=None,
                layout=facts["layout"],
                row_count=facts["row_count"],
                numbered=facts["numbered"],
                notes=tuple(facts["notes"]),
            )
    except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile):
        return None


def store(path: Path | None, rows: Rows) -> str:
    """Write ``rows`` to ``path`` in one step; return why they could not be kept, or "".

    A full disk or a read-only home costs time and must not cost the run, so it is no error.
    """
    if path is None:
        return "this user has no home folder"
    facts = json.dumps(
        {"layout": rows.layout, "row_count": rows.row_count, "numbered": rows.numbered, "notes": rows.notes}
    )
    try:
        with atomic.writing(path) as temporary:
            np.savez(
                temporary,
                pixels=rows.pixels,
                labels=rows.labels,
                usage=rows.usage,
                rows=rows.rows,
                facts=np.array(facts),
            )
    except OSError as error:
        return error.strerror or str(error)
    return ""
