"""CK+ as distributed: image sequences, and the emotion of each labeled sequence in a text file.

    cohn-kanade-images/S005/001/S005_001_00000011.png
    Emotion/S005/001/S005_001_00000011_emotion.txt      # "3.0000000e+00"

The labeled frame of a sequence, its peak, is read with its class. Numbers are those of Lucey et al., "The Extended
Cohn-Kanade Dataset", CVPR Workshops 2010. The folders of CK+48 are an image tree, and ckextended.csv is a table.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgefer import files
from edgefer.data.naming import plain_number, quote
from edgefer.data.pictures import Picture, folders_in, pictures_key, read_pictures
from edgefer.data.records import BadRows, ReadOptions, SampleTable
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

LABELS_OF_CK = ("neutral", "angry", "contempt", "disgust", "fear", "happy", "sad", "surprise")
NUMBERS = {str(index): label for index, label in enumerate(LABELS_OF_CK)}
ENDING = "_emotion.txt"
LAYOUT = "CK+"


def matches(path: Path) -> bool:
    """Return True for a folder with the folders of images and of emotions."""
    return None not in _folders(path)


def is_complete(path: Path) -> bool:
    """Return False: CK+ has no test split."""
    return False


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over all labeled pictures and their classes; see pictures_key()."""
    return pictures_key(list(_pictures(path)), options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read the labeled frame of each sequence for a model."""
    return read_pictures(list(_pictures(path)), layout=LAYOUT, options=options, bad=bad, progress=progress)


def _folders(path: Path) -> tuple[Path | None, Path | None]:
    folders = folders_in(path)
    images = next((folder for folder in folders if folder.name.lower().startswith("cohn-kanade-images")), None)
    emotions = next((folder for folder in folders if folder.name.lower().startswith("emotion")), None)
    return images, emotions


def _pictures(path: Path) -> Iterator[Picture]:
    images, emotions = _folders(path)
    if images is None or emotions is None:
        return
    for file in sorted(emotions.rglob(f"*{ENDING}")):
        if files.is_filesystem_leftover(file.relative_to(emotions)):
            continue
        stem = file.name.removesuffix(ENDING)
        text = file.read_text(errors="replace").strip()[:40]
        label = NUMBERS.get(plain_number(text), "")
        problem = "" if label else f"its emotion is {quote(text)}, expected 0 to {len(LABELS_OF_CK) - 1}"
        picture = images / file.parent.relative_to(emotions) / f"{stem}.png"
        name = picture.relative_to(path).as_posix()
        yield Picture(picture, name, label, subject=stem.partition("_")[0], problem=problem)
