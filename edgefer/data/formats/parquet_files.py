"""Parquet files: a single one, or the shards of a data set as Hugging Face publishes them.

    fer.parquet
    data/train-00000-of-00002.parquet, data/test-00000-of-00001.parquet
    default/train/0000.parquet, default/validation/0000.parquet

edgefer.data.arrow_columns finds the columns, edgefer.data.shards the names. Reading needs pyarrow.
"""

from __future__ import annotations

from pathlib import Path

from edgefer.data.arrow_files import open_parquet
from edgefer.data.arrow_tables import read_shards
from edgefer.data.records import BadRows, ReadOptions, SampleTable
from edgefer.data.shards import find_shards, has_shards, shards_key
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

MAGIC = b"PAR1"
SUFFIXES = (".parquet", ".pq")
HAS_COLUMNS = True
LAYOUT = "Parquet"


def matches(path: Path) -> bool:
    """Return True for a Parquet file, or a folder with such files, directly or in the folders of splits."""
    if path.is_dir():
        return has_shards(path, suffixes=SUFFIXES)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def is_complete(path: Path) -> bool:
    """Return True: the columns are found when the files are read."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over names, bytes and times of all files; see shards_key()."""
    return shards_key(find_shards(path, suffixes=SUFFIXES), options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all labeled pictures of the files for a model.

    Raises:
        DataError: a file is damaged, or has no column of pictures or of classes.
        IncompatibleError: pyarrow is not installed.
    """
    shards = find_shards(path, suffixes=SUFFIXES)
    return read_shards(path, shards, open_parquet, layout=LAYOUT, options=options, bad=bad, progress=progress)
