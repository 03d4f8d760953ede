"""Faces that were read once, kept as .npz under the user's cache folder.

    path = entry(key, skip_bad_rows=False)          # ~/.cache/edgefer/<key>-v1.npz
    rows = restore(path)                            # None: not there, or damaged
    store(path, rows)

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


def entry(key: str, *, skip_bad_rows: bool) -> Path:
    """Where the rows of the source with ``key`` are kept: in $XDG_CACHE_HOME/edgefer, or ~/.cache/edgefer."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    suffix = "-skipped" if skip_bad_rows else ""
    return Path(home) / "edgefer" / f"{key}-v{FORMAT_VERSION}{suffix}.npz"


def restore(path: Path) -> Rows | None:
    """What store() wrote, or None where the file is missing or damaged (the checksums in a .npz tell)."""
    try:
        with np.load(path, allow_pickle=False) as archive:
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


def store(path: Path, rows: Rows) -> None:
    """Write ``rows`` to ``path`` in one step; where that cannot be written, the next load reads the source again."""
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
    except OSError:
        # A full disk or a read-only home costs time and must not cost the run.
        return
