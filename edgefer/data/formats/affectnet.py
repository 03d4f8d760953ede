"""AffectNet: folders 0 to 7 in those of splits, or images with one annotation file each.

    train_set/images/1.jpg
    train_set/annotations/1_exp.npy                 # the class as text or number

Classes are numbered as in Mollahosseini et al., "AffectNet", IEEE Transactions on Affective Computing, 2019:
0 neutral, 1 happy, 2 sad, 3 surprise, 4 fear, 5 disgust, 6 angry, 7 contempt. Images with another number have no
expression or no face, and are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edgefer import files
from edgefer.data.class_folders import class_folder_names, read_tree, tree_key
from edgefer.data.naming import counted, quote, quote_name, splits_of
from edgefer.data.pictures import Picture, pictures_key, read_pictures, split_folders
from edgefer.data.records import BadRows, ReadOptions, SampleTable
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

LABELS_OF_AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
CLASS_NAMES = {str(index): label for index, label in enumerate(LABELS_OF_AFFECTNET)}
ANNOTATION = "_exp.npy"
ANNOTATION_LIMIT_BYTES = 4096
LAYOUT = "AffectNet"


def matches(path: Path) -> bool:
    """Return True for a folder of splits with images/ and annotations/, or with exactly the folders 0 to 7."""
    return bool(_annotated(path)) or class_folder_names(path) == set(CLASS_NAMES)


def is_complete(path: Path) -> bool:
    """Return True: classes and splits are known."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over all pictures and their classes; see pictures_key()."""
    if not _annotated(path):
        return tree_key(path, options)
    return pictures_key(list(_annotated_pictures(path)), options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures with an expression for a model."""
    if not _annotated(path):
        table = read_tree(path, options=options, bad=bad, progress=progress, names=CLASS_NAMES)
        return replace(table, layout=LAYOUT)
    pictures = list(_annotated_pictures(path))
    others = Counter(picture.label for picture in pictures if _is_other(picture.label))
    notes: tuple[str, ...] = ()
    if others:
        numbers = ", ".join(f"{number} ({count:,})" for number, count in sorted(others.items()))
        notes = (f"Skipped: {counted(sum(others.values()), 'image')} without one of the eight expressions: {numbers}.",)
    known = [picture for picture in pictures if not _is_other(picture.label)]
    return read_pictures(known, layout=LAYOUT, options=options, bad=bad, progress=progress, notes=notes)


def _is_other(label: str) -> bool:
    return label.isdecimal() and label not in CLASS_NAMES


def _annotated(path: Path) -> list[Path]:
    return [
        folder
        for folder in split_folders(path)
        if (folder / "images").is_dir() and (folder / "annotations").is_dir()
    ]


def _annotated_pictures(path: Path) -> Iterator[Picture]:
    """Yield the pictures; a label is the number in the annotation."""
    folders = _annotated(path)
    splits = splits_of(folder.name for folder in folders)
    for folder in folders:
        pictures = {picture.stem: picture for picture in sorted((folder / "images").iterdir())}
        for annotation in sorted((folder / "annotations").glob(f"*{ANNOTATION}")):
            if files.is_filesystem_leftover(annotation.name):
                continue
            stem = annotation.name.removesuffix(ANNOTATION)
            picture = pictures.get(stem, folder / "images" / f"{stem}.jpg")
            name = f"{folder.name}/images/{picture.name}"
            label, problem = _annotation(annotation)
            yield Picture(picture, name, label, splits[folder.name], problem=problem)


def _annotation(path: Path) -> tuple[str, str]:
    """Return the number in an annotation, and the reason why it has none."""
    try:
        if path.stat().st_size > ANNOTATION_LIMIT_BYTES:
            return "", f"{quote_name(path.name)} has {path.stat().st_size:,} bytes, expected one number"
        value: Any = np.load(path, allow_pickle=False)
        text = value.reshape(-1)[0]
        text = text.decode() if isinstance(text, bytes) else str(text)
        number = float(text)
    except (OSError, ValueError, IndexError, EOFError, OverflowError, SyntaxError) as error:
        return "", f"{quote_name(path.name)} has no number ({quote_name(str(error))[:80]})"
    if not number.is_integer() or number < 0:
        return "", f"{quote_name(path.name)} has {quote(text)}, expected an integer"
    return str(int(number)), ""
