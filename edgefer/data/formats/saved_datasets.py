"""Hugging Face data sets on disk: folders of ``datasets.save_to_disk()``, and Arrow or Feather files.

    faces/dataset_dict.json                         # {"splits": ["train", "test"]}
    faces/train/state.json                          # the names of the Arrow files
    faces/train/data-00000-of-00001.arrow
    faces-train.arrow, faces-test.arrow             # the cache of Hugging Face datasets

edgefer.data.arrow_columns finds the columns. Reading needs pyarrow, and not the package ``datasets``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edgefer.data.arrow_files import open_arrow
from edgefer.data.arrow_tables import read_shards
from edgefer.data.naming import quote_name
from edgefer.data.records import BadRows, ReadOptions, SampleTable
from edgefer.data.shards import Shard, find_shards, has_shards, shards_key
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

STATE, SPLITS_FILE = "state.json", "dataset_dict.json"
# A file of the file format, which Feather uses, and a stream.
MAGICS = (b"ARROW1", b"\xff\xff\xff\xff")
SUFFIXES = (".arrow", ".feather")
HAS_COLUMNS = True
LAYOUT = "Hugging Face"


def matches(path: Path) -> bool:
    """Return True for a folder that save_to_disk() wrote or that has Arrow files, and for an Arrow file."""
    if path.is_dir():
        return (path / SPLITS_FILE).is_file() or has_shards(path, suffixes=SUFFIXES)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        head = file.read(len(MAGICS[0]))
    return head.startswith(MAGICS[0]) or (path.suffix.lower() in SUFFIXES and head.startswith(MAGICS[1]))


def is_complete(path: Path) -> bool:
    """Return True: the columns are found when the files are read."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over names, bytes and times of all files; see shards_key()."""
    return shards_key(_shards(path), options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all labeled pictures of a data set for a model.

    Raises:
        DataError: a file is missing or damaged, or has no column of pictures or of classes.
        IncompatibleError: pyarrow is not installed.
    """
    return read_shards(path, _shards(path), open_arrow, layout=LAYOUT, options=options, bad=bad, progress=progress)


def _shards(path: Path) -> list[Shard]:
    """Return the files of the splits; those of save_to_disk() are the ones that the states of the splits list."""
    if not path.is_dir():
        return find_shards(path, suffixes=SUFFIXES)
    if (path / SPLITS_FILE).is_file():
        names = _load(path / SPLITS_FILE).get("splits")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"{quote_name(path / SPLITS_FILE)} has no list of splits", hint="save the data set again")
        return [shard for name in names for shard in _saved_split(path / name, split=name)]
    if (path / STATE).is_file():
        return _saved_split(path, split="")
    return find_shards(path, suffixes=SUFFIXES)


def _saved_split(folder: Path, *, split: str) -> list[Shard]:
    state = _load(folder / STATE)
    if state.get("_indices_data_files"):
        raise DataError(
            f"{quote_name(folder)} has selected rows of a larger data set",
            why="version 1 of Hugging Face datasets stored them as a list of rows",
            hint="dataset.flatten_indices().save_to_disk(...)",
        )
    files = [entry.get("filename") for entry in state.get("_data_files") or [] if isinstance(entry, dict)]
    prefix = f"{split}/" if split else ""
    missing = [name for name in files if not isinstance(name, str) or not (folder / name).is_file()]
    if missing or not files:
        entries = ", ".join(sorted(entry.name for entry in folder.iterdir())[:8])
        what = f"{quote_name(folder)} lacks {quote_name(missing[0]) if missing else 'its Arrow files'}"
        raise DataError(what, why=f"{STATE} lists it; the folder has {quote_name(entries)}", hint="copy it again")
    # The name of the folder is a split only if the data set has several.
    return [Shard(folder / str(name), f"{prefix}{name}", split) for name in files]


def _load(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"cannot read {quote_name(path)}", why=why, hint="copy it again") from error
    return content if isinstance(content, dict) else {}
