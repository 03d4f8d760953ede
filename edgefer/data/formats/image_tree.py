"""Image trees: train/<class>/* with test/<class>/*, images/train with images/validation, or one tree of class folders.

    read(Path("my_faces"), options=ReadOptions(), bad=BadRows(), progress=silent)

class_folders.py describes the folders and the names of files.
"""

from __future__ import annotations

from pathlib import Path

from edgefer.data.class_folders import has_class_folders, read_tree, tree_key
from edgefer.data.records import BadRows, ReadOptions, SampleTable
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "matches_loosely", "read"]

IS_GENERAL = True


def matches(path: Path) -> bool:
    """Return True for a folder with folders of classes, directly or in the folder of a split."""
    return has_class_folders(path)


def matches_loosely(path: Path) -> bool:
    """Return True for a folder whose class folders may have any names."""
    return has_class_folders(path, any_name=True)


def is_complete(path: Path) -> bool:
    """Return True: folder names contain classes and splits."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over name, bytes and times of every picture, the omitted files and the size."""
    return tree_key(path, options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures for a model; unreadable ones, and those in the folder of another split, are bad."""
    return read_tree(path, options=options, bad=bad, progress=progress)
