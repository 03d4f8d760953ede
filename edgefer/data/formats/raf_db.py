"""RAF-DB: folders train/1 to train/7 with test/1 to test/7, or the original list_patition_label.txt.

    EmoLabel/list_patition_label.txt                # lines such as "train_00001.jpg 5"
    Image/aligned/train_00001_aligned.jpg

Classes are numbered as in Li, Deng and Du, "Reliable Crowdsourcing and Deep Locality-Preserving Learning for Expression
Recognition in the Wild", CVPR 2017: 1 surprise, 2 fear, 3 disgust, 4 happy, 5 sad, 6 angry, 7 neutral.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgefer.data.class_folders import class_folder_names, read_tree, tree_key
from edgefer.data.naming import assign_test, quote
from edgefer.data.pictures import Picture, path_problem, pictures_key, read_pictures
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.data.table_text import decode_text
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

CLASS_NAMES = {
    "1": "surprise", "2": "fear", "3": "disgust", "4": "happy", "5": "sad", "6": "angry", "7": "neutral",
}  # fmt: skip
LISTS = ("list_patition_label.txt", "list_partition_label.txt")
LIST_FOLDERS = ("", "EmoLabel", "basic/EmoLabel")
PICTURE_FOLDERS = ("Image/aligned", "aligned", "Image", "basic/Image/aligned", "")
LAYOUT = "RAF-DB"


def matches(path: Path) -> bool:
    """Return True for a folder with the list of labels, or with exactly the folders 1 to 7 in those of splits."""
    if not path.is_dir():
        return False
    return _list_file(path) is not None or class_folder_names(path) == set(CLASS_NAMES)


def is_complete(path: Path) -> bool:
    """Return True: classes and splits are known."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over all pictures and the list of labels; see pictures_key()."""
    list_file = _list_file(path)
    if list_file is None:
        return tree_key(path, options)
    return pictures_key(list(_listed_pictures(path, list_file)), options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures for a model."""
    list_file = _list_file(path)
    if list_file is not None:
        pictures = list(_listed_pictures(path, list_file))
        return read_pictures(pictures, layout=LAYOUT, options=options, bad=bad, progress=progress)
    table = read_tree(path, options=options, bad=bad, progress=progress, names=CLASS_NAMES)
    return replace(table, layout=LAYOUT)


def _list_file(path: Path) -> Path | None:
    places = (path / folder / name for folder in LIST_FOLDERS for name in LISTS)
    return next((place for place in places if place.is_file()), None)


def _listed_pictures(path: Path, list_file: Path) -> Iterator[Picture]:
    folders = [path / folder for folder in PICTURE_FOLDERS if (path / folder).is_dir()]
    for number, line in enumerate(decode_text(list_file.read_bytes()).splitlines(), start=1):
        if not line.strip():
            continue
        name, _, label = line.strip().rpartition(" ")
        if problem := path_problem(name):
            yield Picture(path, f"{list_file.name}, line {number}", "", problem=problem)
            continue
        stem = Path(name).stem
        split = SPLITS[0] if name.startswith("train") else assign_test({"train", "test"})
        problem = "" if label in CLASS_NAMES else f"line {number}: the class is {quote(label)}, expected 1 to 7"
        names = (f"{stem}_aligned.jpg", name, f"{stem}_aligned.png")
        places = (folder / option for folder in folders for option in names)
        picture = next((place for place in places if place.is_file()), path / name)
        yield Picture(picture, name, label, split, problem=problem)
