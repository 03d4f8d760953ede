"""A folder of pictures: train/<class>/* with test/<class>/*, or images/train with images/validation.

    read(Path("fer2013"), bad=BadRows(), progress=silent)

Classes are matched by folder name, never by position. Pictures of any size and color go through
edgefer.contract.preprocessing. File names that start with a split ("PrivateTest_00032298.jpg") separate PublicTest
from PrivateTest. Without such names, all of test/ becomes PublicTest, and a note reports it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec, prepare, read_image
from edgefer.data.records import SPLITS, BadRows, SampleTable
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "matches", "read"]

TEST = "test"
VALIDATION = ("val", "valid", "validation")
SPLIT_OF_FOLDER = {
    "train": "Training",
    "training": "Training",
    TEST: "",
    **dict.fromkeys(VALIDATION, "PublicTest"),
    "publictest": "PublicTest",
    "privatetest": "PrivateTest",
}
LABEL_OF_FOLDER = {
    **{label: label for label in LABELS},
    "anger": "angry",
    "disgusted": "disgust",
    "fearful": "fear",
    "happiness": "happy",
    "sadness": "sad",
    "surprised": "surprise",
}
NO_PICTURES = ("thumbs.db", "desktop.ini")
PREFIX = re.compile(rf"({'|'.join(SPLITS)})_(\d+)?")
# The rows of fer2013.csv (https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition).
ROWS_OF_SPLIT = {"Training": range(28709), "PublicTest": range(28709, 32298), "PrivateTest": range(32298, 35887)}
PROGRESS_EVERY_FILES = 256
UNTOLD = (
    "The file names in test/ do not tell PublicTest from PrivateTest: all of test/ is scored as PublicTest, "
    "so the score compares with no published one, and PrivateTest is missing."
)


@dataclass(frozen=True)
class _Picture:
    """A file in a class folder; ``named`` is the split in its name, or "" where the name says none."""

    path: Path
    name: str
    folder: str
    label: str
    named: str
    number: int | None


def matches(path: Path) -> bool:
    """Whether ``path`` (or ``path``/images) has a folder of a split with a folder of a class in it."""
    return any(child.name.lower() in LABEL_OF_FOLDER for split in _split_folders(path) for child in _folders(split))


def cache_key(path: Path) -> str:
    """A hash over name, size and times of every picture, and OpenCV's version.

    Not over the content: opening 35,887 small files is the very cost that a cache saves. A file that was replaced has
    another time of change (ctime), which unlike mtime no unpacker sets; a copied tree is simply read once more.
    """
    digest = hashlib.sha256(cv2.__version__.encode())
    for picture in _pictures(path):
        stat = picture.path.stat() if picture.path.exists() else picture.path.lstat()
        digest.update(f"{picture.name}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
    return digest.hexdigest()


def read(path: Path, *, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures; those that OpenCV cannot read, or whose name contradicts their folder, are bad.

    Raises:
        DataError: a folder beside the class folders has an unknown name.
    """
    pictures = list(_pictures(path))
    folders = {picture.folder.lower() for picture in pictures}
    split_of_test, notes = _test_folder(pictures, folders)
    good, pixels, usage = [], bytearray(), bytearray()
    for position, picture in enumerate(pictures):
        split = SPLIT_OF_FOLDER[picture.folder.lower()] or split_of_test or picture.named
        try:
            _refuse_contradiction(picture, split)
            face = _face(picture.path)
        except DataError as error:
            bad.add(picture.name, f"{error.what} ({error.why})")
        else:
            good.append(position)
            pixels += face.tobytes()
            usage.append(SPLITS.index(split))
        if position % PROGRESS_EVERY_FILES == 0:
            progress(position, len(pictures), "images")
    progress(len(pictures), len(pictures), "images")
    kept = [pictures[position] for position in good]
    numbers = _numbers(kept, usage)
    return SampleTable(
        pixels=np.frombuffer(pixels, np.uint8).reshape(-1, InputSpec().height, InputSpec().width),
        labels=np.array([LABELS.index(picture.label) for picture in kept], np.int64),
        usage=np.frombuffer(usage, np.int8),
        rows=np.array(good, np.int64) if numbers is None else numbers,
        votes=None,
        layout="images/train+validation" if folders & set(VALIDATION) and TEST not in folders else "image tree",
        row_count=None,
        has_row_numbers=numbers is not None,
        notes=notes,
    )


def _test_folder(pictures: list[_Picture], folders: set[str]) -> tuple[str, tuple[str, ...]]:
    """The split of all of test/, or "" where each file name says it; and the notes on that."""
    validation = [name for name in VALIDATION if name in folders]
    notes = tuple(
        f"{name}/ is scored as PublicTest; whether these are the PublicTest images of FER2013, the tree does not say."
        for name in validation
    )
    in_test = [picture for picture in pictures if picture.folder.lower() == TEST]
    # A few names that say it are enough: then those that do not are bad, for they might be PrivateTest's.
    if not in_test or any(picture.named for picture in in_test):
        return "", notes
    if validation:
        return "PrivateTest", (*notes, f"test/ is scored as PrivateTest, because there is {validation[0]}/ beside it.")
    return "PublicTest", (*notes, UNTOLD)


def _refuse_contradiction(picture: _Picture, split: str) -> None:
    folder = picture.folder.lower()
    if not split:
        raise DataError("its name does not say which test split it is of", why="the names of others in test/ do")
    # Validating on a part of Training is a user's right; a test image in train/, or the reverse, is a leak.
    held_out_of_training = folder in VALIDATION and picture.named == "Training"
    differs = picture.named not in ("", split) and not held_out_of_training
    if differs or (folder == TEST and split == "Training"):
        raise DataError(f"it lies in {picture.folder}/", why=f"its name says {picture.named}")


def _face(path: Path) -> npt.NDArray[np.uint8]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError("cannot be read", why=error.strerror or str(error)) from error
    return prepare(read_image(content), InputSpec())


def _numbers(pictures: list[_Picture], usage: bytearray) -> npt.NDArray[np.int64] | None:
    """The rows of fer2013.csv in the file names, or None: trees in the wild also number their files at random."""
    for picture, split in zip(pictures, usage, strict=True):
        if picture.number is None or picture.number not in ROWS_OF_SPLIT[SPLITS[split]]:
            return None
    numbers = np.array([picture.number for picture in pictures], np.int64)
    return numbers if len(np.unique(numbers)) == len(numbers) else None


def _pictures(path: Path) -> Iterator[_Picture]:
    """Every picture below ``path``, by split folder, class folder and name."""
    for split in _split_folders(path):
        for folder in _folders(split):
            label = _label(folder)
            for file in sorted(folder.rglob("*")):
                # A link that leads nowhere is a picture that is missing, so it is read, and found to be bad.
                if file.name.startswith(".") or file.name.lower() in NO_PICTURES or file.is_dir():
                    continue
                found = PREFIX.match(file.stem)
                yield _Picture(
                    path=file,
                    name=file.relative_to(path).as_posix(),
                    folder=split.name,
                    label=label,
                    named=found[1] if found else "",
                    number=int(found[2]) if found and found[2] and found.end() == len(file.stem) else None,
                )


def _label(folder: Path) -> str:
    if folder.name.lower() not in LABEL_OF_FOLDER:
        raise DataError(
            f"{folder} is no class that edgefer knows",
            why=f"class folders are matched by name, and the names are {', '.join(LABELS)}",
            hint="rename the folder, or move it out of the tree",
        )
    return LABEL_OF_FOLDER[folder.name.lower()]


def _split_folders(path: Path) -> list[Path]:
    for root in (path, path / "images"):
        found = [folder for folder in _folders(root) if folder.name.lower() in SPLIT_OF_FOLDER]
        if found:
            return found
    return []


def _folders(path: Path) -> list[Path]:
    if not path.is_dir():
        return []
    return sorted(child for child in path.iterdir() if child.is_dir() and not child.name.startswith("."))
