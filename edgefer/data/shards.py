"""List the files of a data set in shards, such as train-00000-of-00002.parquet, with their splits.

    shards = find_shards(Path("snapshot"), suffixes=(".parquet",))
    shards[0].path, shards[0].name, shards[0].split     # .../train-00000-of-00002.parquet, "train-...", "train"

The name of a shard, or of the folder that contains it, names the split: train-00000-of-00002.parquet,
faces-validation.arrow, test/0000.parquet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgefer import files
from edgefer.data.naming import TEST, list_names, split_of, splits_of, test_note
from edgefer.data.pictures import Picture, folders_in, pictures_key
from edgefer.data.records import SPLITS, ReadOptions

__all__ = ["Shard", "find_shards", "has_shards", "shards_key", "splits_of_shards"]

SEPARATORS = re.compile(r"[-_. ]+|(?<=[a-z])(?=\d)")


@dataclass(frozen=True)
class Shard:
    """A file with a part of the samples.

    Attributes:
        path: path of the file.
        name: name relative to the data set, for messages.
        split: word for the split in the name of the file or its folder, such as "train"; empty if there is none.
    """

    path: Path
    name: str
    split: str


def has_shards(path: Path, *, suffixes: tuple[str, ...]) -> bool:
    """Return True for a folder with a file of such a name, directly or in the folder of a split."""
    return next(_files(path, suffixes), None) is not None


def find_shards(path: Path, *, suffixes: tuple[str, ...]) -> list[Shard]:
    """Return the file itself, or the files in a folder and in its folders of splits, sorted by name."""
    if not path.is_dir():
        return [Shard(path, path.name, _split_word(path.stem))]
    shards = []
    for file in _files(path, suffixes):
        folder = file.parent.name if file.parent != path else ""
        word = _split_word(file.stem) if not split_of(folder) else folder
        shards.append(Shard(file, file.relative_to(path).as_posix(), word))
    return shards


def shards_key(shards: Sequence[Shard], options: ReadOptions, *more: object) -> str:
    """Return a hash over names, bytes and times of all shards, and the options; see pictures_key()."""
    pictures = [Picture(shard.path, shard.name, "") for shard in shards]
    return pictures_key(pictures, options, sorted(options.columns.items()), *more)


def splits_of_shards(shards: Sequence[Shard]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the split of each shard by its name, and notes.

    Shards without a split in their names are Training, unless others have one; they are left out then, with a note.
    A second test set, which can be neither of the two test splits, is left out, too.
    """
    words = {shard.split for shard in shards if split_of(shard.split)}
    if not words:
        return {shard.name: SPLITS[0] for shard in shards}, ()
    assigned = splits_of(words)
    splits = {shard.name: assigned.get(shard.split, "") for shard in shards}
    omitted = [name for name, split in splits.items() if not split]
    notes = [f"Skipped, no split in the name: {list_names(omitted)}."] if omitted else []
    notes += [test_note(word) for word in sorted(words) if split_of(word) == TEST and assigned[word] == SPLITS[1]]
    return {name: split for name, split in splits.items() if split}, tuple(notes)


def _files(path: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    for folder in (path, *(folder for folder in folders_in(path) if split_of(folder.name))):
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            continue
        for entry in entries:
            is_shard = entry.name.lower().endswith(suffixes) and not files.is_filesystem_leftover(entry.name)
            if is_shard and entry.is_file():
                yield entry


def _split_word(stem: str) -> str:
    """Return the first word of a name that names a split, or ""."""
    return next((word for word in SEPARATORS.split(stem.lower()) if split_of(word)), "")
