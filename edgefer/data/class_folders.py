"""List the pictures of a tree with folders of classes: train/<class>/*, <class>/train/*, or <class>/* alone.

    tree = survey(Path("my_faces"))
    table = read_tree(Path("my_faces"), options=ReadOptions(), bad=BadRows(), progress=silent)

Splits are matched by folder name, and each folder with pictures in a split is a class, except those of other layouts,
such as images/ beside labels/, folders that contain those of classes, and the runs of edgefer. Without known names, a
tree has two classes or more. Folders of splits may also be in those of the classes, if all pictures are in them.
Without folders of splits, all pictures belong to Training. File names that start with a split of FER2013
("PrivateTest_00032298.jpg") separate PublicTest from PrivateTest. Without such names, all of test/ becomes the
validation split unless there is another one, and a note reports it. Another note lists the skipped folders and files,
except hidden files, trash folders and thumbnails. The person in a picture is the folder within the class
(happy/S005/1.png), or is read from a file name as in CK+, KDEF and JAFFE.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from edgefer import files
from edgefer.contract.labels import LABELS
from edgefer.contract.split_names import FER2013_TREE
from edgefer.data.naming import (
    TEST,
    assign_test,
    canonical_name,
    counted,
    is_class_name,
    quote_name,
    split_of,
    test_note,
)
from edgefer.data.pictures import (
    Picture,
    folders_in,
    holds_pictures,
    is_picture,
    pictures_key,
    read_pictures,
    split_folders,
    subject_of,
)
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.progress import Progress

__all__ = ["Tree", "class_folder_names", "has_class_folders", "read_tree", "survey", "tree_key"]

PREFIX = re.compile(rf"({'|'.join(SPLITS)})_(\d+)?")
# The rows of fer2013.csv (https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition).
ROWS_OF_SPLIT = {"Training": range(28709), "PublicTest": range(28709, 32298), "PrivateTest": range(32298, 35887)}
NAMED_LEFTOVERS = 5
LEAST_CLASSES = 2
# Folders of pictures and their annotations in other layouts, such as train/images/ with train/labels/, and of runs.
NOT_CLASSES = frozenset(
    {"annotation", "annotations", "image", "images", "img", "imgs", "jpegimages", "label", "labels", "masks", "runs"}
)
# A file of a run folder, and one of those that evaluate --pictures writes.
PLOT_FILES = ("settings.toml", "confusion_counts.csv")
NO_NAMES: Mapping[str, str] = {}
# Trees with the seven classes are often FER2013, but the names of the classes do not prove it.
UNSPECIFIED_TEST = (
    "If these are images of FER2013: the file names in {folder}/ do not distinguish PublicTest from PrivateTest, so "
    "the score is not comparable with published ones."
)
UNSPECIFIED_VALIDATION = (
    "If these are images of FER2013: {folder}/ may not be PublicTest, so the score may not be comparable with "
    "published ones."
)


@dataclass(frozen=True)
class Tree:
    """Content of a tree.

    Attributes:
        pictures: files in class folders, by split folder, class folder and name; with the name of the split folder as
            split, or Training.
        unreadable: folders that cannot be listed, with the reason.
        notes: folders and files that are left out, and classes that some splits lack.
        folders: names of the split folders; empty for a tree without splits.
    """

    pictures: tuple[Picture, ...]
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    folders: tuple[str, ...]


def has_class_folders(path: Path, *, any_name: bool = False) -> bool:
    """Return True for a folder with folders of classes, directly or in the folder of a split.

    Without ``any_name``, one of them must have the name of a class of FER2013, contempt, or a digit.
    """
    return bool(_split_folders(path, any_name=any_name) or _class_folders(path, any_name=any_name))


def tree_key(path: Path, options: ReadOptions) -> str:
    """Return a hash over all pictures of a tree, the omitted files and the size; see pictures_key()."""
    tree = survey(path)
    return pictures_key(tree.pictures, options, tree.unreadable, tree.notes)


def read_tree(
    path: Path,
    *,
    options: ReadOptions,
    bad: BadRows,
    progress: Progress,
    names: Mapping[str, str] = NO_NAMES,
) -> SampleTable:
    """Read all pictures of a tree; unreadable ones, and those in the folder of another split, are bad.

    Notes have ``names`` in place of the names of numbered class folders.
    """
    tree = survey(path, names=names)
    for name, reason in tree.unreadable:
        bad.add(quote_name(name), reason)
    split_of_test, notes = _test_split(tree)
    pictures = [_with_split(picture, split_of_test) for picture in tree.pictures] if tree.folders else tree.pictures
    has_validation = any(map(_is_validation, tree.folders)) and TEST not in set(map(split_of, tree.folders))
    layout = "images/train+validation" if has_validation else "image tree" if tree.folders else "class folders"
    if any(_prefix(picture)[0] in SPLITS[1:] for picture in tree.pictures):
        layout = FER2013_TREE
    notes = (*notes, *tree.notes)
    return read_pictures(pictures, layout=layout, options=options, bad=bad, progress=progress, notes=notes)


def class_folder_names(path: Path) -> set[str]:
    """Return the names of all folders in the folders of splits, for formats that number their classes."""
    return {entry.name for folder in split_folders(path) for entry in folders_in(folder)}


def survey(path: Path, *, names: Mapping[str, str] = NO_NAMES) -> Tree:
    """List the pictures of a tree with their classes and the folders of their splits."""
    splits = _split_folders(path) or _split_folders(path, any_name=True)
    pictures: list[Picture] = []
    unreadable: list[tuple[str, str]] = []
    classes = [] if splits else _class_folders(path) or _class_folders(path, any_name=True)
    outer = {split.parent for split in splits if split.parent != path}
    used = {*splits, *outer, *classes}
    beside = [entry for folder in (path, *sorted(outer)) for entry in _entries(folder) if entry not in used]
    omitted = [_description(entry, path) for entry in beside if _may_hold_images(entry)]
    for split in splits or [path]:
        entries = _entries(split) if splits else classes
        # Path.is_dir() may raise.
        present = [entry for entry in entries if os.path.isdir(entry)]  # noqa: PTH112
        read = _without_nested(list(filter(_is_class, present)))
        for entry in entries:
            if entry not in read:
                omitted.append(_description(entry, path))
                continue
            walk = files.walk_files(entry)
            unreadable += [
                (folder.relative_to(path).as_posix(), f"the folder cannot be listed ({error.strerror or error})")
                for folder, error in walk.unreadable
            ]
            pictures += [_picture(file, path, split.name if splits else SPLITS[0], entry) for file in walk.files]
    place = "class folder of a split" if splits else "class folder"
    notes = [f"Skipped, not in a {place}: {', '.join(_first(omitted))}."] if omitted else []
    has_splits = bool(splits)
    if not splits and _are_in_splits(pictures):
        pictures, has_splits = list(map(_in_inner_split, pictures)), True
    folders = tuple(dict.fromkeys(picture.split for picture in pictures)) if has_splits else ()
    return Tree(tuple(pictures), tuple(unreadable), (*notes, *_missing_classes(pictures, folders, names)), folders)


def _test_split(tree: Tree) -> tuple[str, tuple[str, ...]]:
    """Return the split of test folders, or "" if each file name contains it, and notes about it."""
    folders = sorted(tree.folders)
    validation = [name for name in folders if _is_validation(name)]
    is_fer2013 = {canonical_name(picture.label) for picture in tree.pictures} == set(LABELS)
    notes = tuple(UNSPECIFIED_VALIDATION.format(folder=quote_name(name)) for name in validation if is_fer2013)
    tests = [name for name in folders if split_of(name) == TEST]
    # If some names contain the split, a name without it is bad: it could belong to PrivateTest.
    if not tests or any(_prefix(picture)[0] for picture in tree.pictures if picture.split in tests):
        return "", notes
    split = assign_test(frozenset(folders))
    if split == "PublicTest":
        more = (UNSPECIFIED_TEST.format(folder=quote_name(tests[0])),) if is_fer2013 else ()
        notes = (*notes, test_note(f"{quote_name(tests[0])}/"), *more)
    return split, notes


def _is_validation(folder: str) -> bool:
    return split_of(folder) == "PublicTest" and "public" not in folder.lower()


def _with_split(picture: Picture, split_of_test: str) -> Picture:
    """Return a picture with its split, or with a problem if its name contradicts its folder or lacks a split."""
    folder, (prefix, number) = split_of(picture.split), _prefix(picture)
    split = (split_of_test or prefix) if folder == TEST else str(folder)
    if not split:
        problem = "its name does not contain a split (other names in the folder do)"
        return replace(picture, split=SPLITS[0], problem=problem)
    # Validation images may come from Training. Test images in train/, and the reverse, are a leak.
    is_training_share = _is_validation(picture.split) and prefix == "Training"
    differs = prefix not in ("", split) and not is_training_share
    if differs or (folder == TEST and split == "Training"):
        return replace(picture, split=split, problem=f"it is in {picture.split}/ (its name starts with {prefix})")
    # A range searches its elements for anything but an integer, which takes minutes for many pictures.
    is_row = number is not None and number in ROWS_OF_SPLIT[split]
    return replace(picture, split=split, number=number if is_row else None)


def _prefix(picture: Picture) -> tuple[str, int | None]:
    """Return the split of FER2013 in a file name, or "", and the number after it, or None."""
    stem = picture.path.stem
    match = PREFIX.match(stem)
    if not match:
        return "", None
    return match[1], int(match[2]) if match[2] and match.end() == len(stem) else None


def _picture(file: Path, root: Path, split: str, folder: Path) -> Picture:
    inner = file.relative_to(folder).parts
    subject = inner[0] if len(inner) > 1 else subject_of(file.stem)
    return Picture(file, file.relative_to(root).as_posix(), folder.name, split, subject)


def _are_in_splits(pictures: Sequence[Picture]) -> bool:
    """Return True if the folder within the class is that of a split for all pictures, and Training for some."""
    # The folder is the subject of the picture, unless it is known to be a split.
    splits = set(map(split_of, {picture.subject for picture in pictures}))
    return SPLITS[0] in splits and None not in splits


def _in_inner_split(picture: Picture) -> Picture:
    """Return a picture such as happy/train/S005/1.png with its split and its person."""
    _, split, *inner = PurePosixPath(picture.name).parts
    return replace(picture, split=split, subject=inner[0] if len(inner) > 1 else subject_of(picture.path.stem))


def _missing_classes(
    pictures: Sequence[Picture], folders: Sequence[str], names: Mapping[str, str]
) -> Iterator[str]:
    """Report classes that some split folders lack."""
    labels: dict[str, set[str]] = {folder: set() for folder in folders}
    spelling: dict[str, str] = {}
    for picture in pictures if folders else ():
        label = names.get(picture.label) or canonical_name(picture.label)
        labels[picture.split].add(spelling.setdefault(label.lower(), label))
    everywhere = set().union(*labels.values())
    order = [*LABELS, *sorted(everywhere - set(LABELS))]
    for folder, present in labels.items():
        missing = [quote_name(label) for label in order if label in everywhere - present]
        if missing:
            yield f"{quote_name(folder)}/ has no images of {', '.join(missing)}, other splits do."


def _description(entry: Path, root: Path) -> str:
    """Return the name of a file, or of a folder with its number of files."""
    name = quote_name(entry.relative_to(root).as_posix())
    if not os.path.isdir(entry):  # noqa: PTH112
        return name
    count = len(files.walk_files(entry).files)
    return f"{name}/ ({counted(count, 'file')})"


def _may_hold_images(entry: Path) -> bool:
    """Return True for a folder or a picture beside the folders that are read, False for a document."""
    return os.path.isdir(entry) or is_picture(entry)  # noqa: PTH112


def _first(names: Sequence[str]) -> list[str]:
    others = len(names) - NAMED_LEFTOVERS
    return [*names[:NAMED_LEFTOVERS], f"and {others:,} others"] if others > 0 else list(names)


def _split_folders(path: Path, *, any_name: bool = False) -> list[Path]:
    """Return the folders of splits that contain a folder of a class.

    With ``any_name``, the class may have any name, and all splits together have two classes or more.
    """
    is_class = _is_class if any_name else _has_known_name
    classes = {folder: set(filter(is_class, folders_in(folder))) for folder in split_folders(path)}
    names = {entry.name.lower() for entries in classes.values() for entry in entries}
    if any_name and len(names) < LEAST_CLASSES:
        return []
    return [folder for folder, entries in classes.items() if entries]


def _class_folders(path: Path, *, any_name: bool = False) -> list[Path]:
    """Return the class folders of a tree without splits; without ``any_name``, one must have a known name."""
    folders = [folder for folder in folders_in(path) if not split_of(folder.name)]
    if not any_name and not any(map(_has_known_name, folders)):
        return []
    classes = _without_nested(list(filter(_may_be_class, folders)))
    is_known = any_name or any(map(_has_known_name, classes))
    return classes if len(classes) >= LEAST_CLASSES and is_known else []


def _is_class(folder: Path) -> bool:
    return is_class_name(folder.name) or _may_be_class(folder)


def _may_be_class(folder: Path) -> bool:
    """Return True for a folder with pictures, except those of other layouts and the plots of edgefer."""
    has_plots = any((folder / name).exists() for name in PLOT_FILES)
    return folder.name.lower() not in NOT_CLASSES and not has_plots and holds_pictures(folder)


def _without_nested(classes: Sequence[Path]) -> list[Path]:
    """Return the classes without folders of other classes, such as augmented/happy/ and augmented/sad/ beside happy/.

    If fewer than two remain, as of happy/ and others/, all are classes.
    """
    outer = [folder for folder in classes if is_class_name(folder.name) or not _holds_classes(folder)]
    return outer if len(outer) >= LEAST_CLASSES else list(classes)


def _holds_classes(folder: Path) -> bool:
    """Return True for a folder with two folders of known classes, or of the classes beside it."""
    names = [entry.name for entry in folders_in(folder)]
    return sum(is_class_name(name) or (folder.parent / name).is_dir() for name in names) >= LEAST_CLASSES


def _has_known_name(folder: Path) -> bool:
    return is_class_name(folder.name) or (folder.name.isdecimal() and len(folder.name) == 1 and holds_pictures(folder))


def _entries(folder: Path) -> list[Path]:
    """List a folder without filesystem leftovers; return nothing for a file."""
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    return sorted(entry for entry in folder.iterdir() if not files.is_filesystem_leftover(entry.name))
