"""Image trees: train/<class>/* with test/<class>/*, or images/train with images/validation.

    read(Path("fer2013"), size=(48, 48), bad=BadRows(), progress=silent)

Splits and classes are matched by folder name, never by position. Pictures of any size and color go through
edgefer.contract.preprocessing at the input size of the model, as on a board. File names that start with a split
("PrivateTest_00032298.jpg") separate PublicTest from PrivateTest. Without such names, all of test/ becomes PublicTest,
and a note reports it. Another note lists the skipped folders and files, except hidden files, trash folders and
thumbnails.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import files
from edgefer.contract.image_decoding import read_image
from edgefer.contract.image_header import read_header
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec, prepare
from edgefer.data.naming import LABEL_OF_NAME, TEST, assign_test, quote_name, split_of
from edgefer.data.records import SPLITS, BadRows, SampleTable
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

PREFIX = re.compile(rf"({'|'.join(SPLITS)})_(\d+)?")
# The rows of fer2013.csv (https://www.kaggle.com/c/challenges-in-representation-learning-facial-expression-recognition).
ROWS_OF_SPLIT = {"Training": range(28709), "PublicTest": range(28709, 32298), "PrivateTest": range(32298, 35887)}
PROGRESS_EVERY_FILES = 256
PICTURE_LIMIT_BYTES = 64 << 20
DECODING_LIMIT_BYTES = 400 << 20
NAMED_LEFTOVERS = 5
UNSPECIFIED_TEST = (
    "The file names in {folder}/ do not distinguish PublicTest from PrivateTest, so all of {folder}/ is scored as "
    "PublicTest. The score is not comparable with published ones, and PrivateTest is missing."
)


@dataclass(frozen=True)
class _Picture:
    """A file in a class folder.

    Attributes:
        path: path of the file.
        name: path relative to the tree.
        folder: name of the split folder.
        label: class.
        prefix: split in the file name, or "".
        number: row of fer2013.csv in the file name, or None.
    """

    path: Path
    name: str
    folder: str
    label: str
    prefix: str
    number: int | None


@dataclass(frozen=True)
class _Survey:
    """Content of a tree.

    Attributes:
        pictures: files in class folders, by split folder, class folder and name.
        unreadable: folders that cannot be listed, with the reason.
        notes: skipped folders and files, and classes that some splits lack.
    """

    pictures: tuple[_Picture, ...]
    unreadable: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]


def matches(path: Path) -> bool:
    """Return True for a folder with the folder of a split that contains the folder of a class."""
    return bool(_split_folders(path))


def is_complete(path: Path) -> bool:
    """Return True: folder names contain classes and splits."""
    return True


def cache_key(path: Path, *, size: tuple[int, int]) -> str:
    """Return a hash over name, bytes and times of every picture, the omitted files, the size and OpenCV's version.

    The content is not hashed, because opening 35,887 small files takes as long as parsing them. A replaced file has
    another change time (ctime), which unpacking tools cannot set, unlike mtime. A copied tree is read again.
    """
    digest = hashlib.sha256(f"{cv2.__version__} {size[0]} x {size[1]}\n".encode())
    survey = _survey(path)
    for picture in survey.pictures:
        stat = picture.path.stat() if picture.path.exists() else picture.path.lstat()
        digest.update(os.fsencode(picture.name))
        digest.update(f"\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}\n".encode())
    digest.update(repr((survey.unreadable, survey.notes)).encode(errors="backslashreplace"))
    return digest.hexdigest()


def read(path: Path, *, size: tuple[int, int], bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures at a height and width; unreadable ones, and those in the folder of another split, are bad.

    Raises:
        DataError: a folder next to the class folders has an unknown name.
    """
    survey = _survey(path)
    for name, reason in survey.unreadable:
        bad.add(quote_name(name), reason)
    pictures = survey.pictures
    split_of_test, notes = _test_split(pictures)
    good, pixels, usage = [], bytearray(), bytearray()
    for position, picture in enumerate(pictures):
        try:
            split = _split(picture, split_of_test)
            face = _face(picture.path, size)
        except DataError as error:
            bad.add(quote_name(picture.name), f"{error.what} ({error.why})")
        else:
            good.append(position)
            pixels += face.tobytes()
            usage.append(SPLITS.index(split))
        if position % PROGRESS_EVERY_FILES == 0:
            progress(position, len(pictures), "images")
    progress(len(pictures), len(pictures), "images")
    kept = [pictures[position] for position in good]
    numbers = _numbers(kept, usage)
    folders = {picture.folder for picture in pictures}
    has_validation = any(map(_is_validation, folders)) and TEST not in set(map(split_of, folders))
    return SampleTable(
        pixels=np.frombuffer(pixels, np.uint8).reshape(-1, *size),
        labels=np.array([LABELS.index(picture.label) for picture in kept], np.int64),
        usage=np.frombuffer(usage, np.int8),
        rows=np.array(good, np.int64) if numbers is None else numbers,
        votes=None,
        layout="images/train+validation" if has_validation else "image tree",
        row_count=None,
        has_row_numbers=numbers is not None,
        notes=(*notes, *survey.notes),
    )


def _test_split(pictures: Sequence[_Picture]) -> tuple[str, tuple[str, ...]]:
    """Return the split of test folders, or "" if each file name contains it, and notes about it."""
    folders = sorted({picture.folder for picture in pictures})
    validation = [name for name in folders if _is_validation(name)]
    notes = tuple(
        f"{name}/ is scored as PublicTest, although its images may not be the PublicTest images of FER2013."
        for name in validation
    )
    tests = [name for name in folders if split_of(name) == TEST]
    # If some names contain the split, a name without it is bad: it could belong to PrivateTest.
    if not tests or any(picture.prefix for picture in pictures if picture.folder in tests):
        return "", notes
    split = assign_test(frozenset(folders))
    if split == "PrivateTest":
        public = next(name for name in folders if split_of(name) == "PublicTest")
        return split, (*notes, f"{tests[0]}/ is scored as PrivateTest, because the tree also contains {public}/.")
    if split == "PublicTest":
        return split, (*notes, UNSPECIFIED_TEST.format(folder=tests[0]))
    return "", notes


def _is_validation(folder: str) -> bool:
    return split_of(folder) == "PublicTest" and "public" not in folder.lower()


def _split(picture: _Picture, split_of_test: str) -> str:
    """Return the split of a picture.

    Raises:
        DataError: its name contradicts its folder, or neither determines the split.
    """
    folder = split_of(picture.folder)
    split = (split_of_test or picture.prefix) if folder == TEST else str(folder)
    if not split:
        raise DataError("its name does not contain a split", why="other names in the folder do")
    # Validation images may come from Training. Test images in train/, and the reverse, are a leak.
    is_training_share = _is_validation(picture.folder) and picture.prefix == "Training"
    differs = picture.prefix not in ("", split) and not is_training_share
    if differs or (folder == TEST and split == "Training"):
        raise DataError(f"it is in {picture.folder}/", why=f"its name starts with {picture.prefix}")
    return split


def _face(path: Path, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    try:
        if path.exists() and not path.is_file():
            raise DataError("cannot be read", why="it is not a regular file")
        if path.stat().st_size > PICTURE_LIMIT_BYTES:
            raise DataError("too large", why=f"{path.stat().st_size:,} bytes, at most {PICTURE_LIMIT_BYTES:,}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError("cannot be read", why=error.strerror or str(error)) from error
    header = read_header(io.BytesIO(content))
    if header is not None and header.memory_bytes() > DECODING_LIMIT_BYTES:
        why = f"{header.width:,} x {header.height:,} pixels, {header.memory_bytes() >> 20:,} MiB in memory"
        raise DataError("too large for an image of a face", why=why)
    return prepare(read_image(content), InputSpec(*size))


def _numbers(pictures: Sequence[_Picture], usage: bytearray) -> npt.NDArray[np.int64] | None:
    """Return the rows of fer2013.csv in the file names, or None if the numbers are not rows of that file."""
    for picture, split in zip(pictures, usage, strict=True):
        if picture.number is None or picture.number not in ROWS_OF_SPLIT[SPLITS[split]]:
            return None
    numbers = np.array([picture.number for picture in pictures], np.int64)
    return numbers if len(np.unique(numbers)) == len(numbers) else None


def _survey(path: Path) -> _Survey:
    splits = _split_folders(path)
    pictures: list[_Picture] = []
    unreadable: list[tuple[str, str]] = []
    omitted = [_description(entry, path) for entry in _entries(path) if entry not in splits and _may_hold_images(entry)]
    for split in splits:
        for entry in _entries(split):
            if not os.path.isdir(entry):  # noqa: PTH112 - Path.is_dir() may raise PermissionError
                omitted.append(_description(entry, path))
                continue
            label = _label(entry)
            walk = files.walk_files(entry)
            unreadable += [
                (folder.relative_to(path).as_posix(), f"the folder cannot be listed ({error.strerror or error})")
                for folder, error in walk.unreadable
            ]
            pictures += [_picture(file, path, split.name, label) for file in walk.files]
    notes = [f"Skipped, not in a class folder of a split: {', '.join(_first(omitted))}."] if omitted else []
    return _Survey(tuple(pictures), tuple(unreadable), (*notes, *_missing_classes(pictures)))


def _picture(file: Path, root: Path, folder: str, label: str) -> _Picture:
    match = PREFIX.match(file.stem)
    return _Picture(
        path=file,
        name=file.relative_to(root).as_posix(),
        folder=folder,
        label=label,
        prefix=match[1] if match else "",
        number=int(match[2]) if match and match[2] and match.end() == len(file.stem) else None,
    )


def _missing_classes(pictures: Sequence[_Picture]) -> Iterator[str]:
    """Report classes that some split folders lack."""
    labels = {folder: {other.label for other in pictures if other.folder == folder} for folder in _folders(pictures)}
    everywhere = set().union(*labels.values())
    for folder, present in labels.items():
        missing = [label for label in LABELS if label in everywhere - present]
        if missing:
            yield f"{quote_name(folder)}/ has no images of {', '.join(missing)}, other splits do."


def _folders(pictures: Sequence[_Picture]) -> list[str]:
    return list(dict.fromkeys(picture.folder for picture in pictures))


def _description(entry: Path, root: Path) -> str:
    """Return the name of a file, or of a folder with its number of files."""
    name = quote_name(entry.relative_to(root).as_posix())
    if not os.path.isdir(entry):  # noqa: PTH112
        return name
    count = len(files.walk_files(entry).files)
    return f"{name}/ ({count:,} {'file' if count == 1 else 'files'})"


def _may_hold_images(entry: Path) -> bool:
    """Return True for a folder or a picture next to the split folders, False for a document."""
    if os.path.isdir(entry):  # noqa: PTH112
        return True
    if not entry.is_file():
        return False
    with entry.open("rb") as file:
        return read_header(file) is not None


def _first(names: Sequence[str]) -> list[str]:
    others = len(names) - NAMED_LEFTOVERS
    return [*names[:NAMED_LEFTOVERS], f"and {others:,} others"] if others > 0 else list(names)


def _label(folder: Path) -> str:
    label = LABEL_OF_NAME.get(folder.name.lower())
    if label is None:
        raise DataError(
            f"{quote_name(str(folder))} is not a class",
            why=f"expected folders named {', '.join(LABELS)}",
            hint="rename the folder, or move it out of the tree",
        )
    return label


def _split_folders(path: Path) -> list[Path]:
    """Return the folders of splits that contain a folder of a class."""
    return [
        folder
        for folder in _entries(path)
        if split_of(folder.name) and any(child.name.lower() in LABEL_OF_NAME for child in _entries(folder))
    ]


def _entries(folder: Path) -> list[Path]:
    """List a folder without filesystem leftovers; return nothing for a file."""
    if not os.path.isdir(folder):  # noqa: PTH112
        return []
    return sorted(entry for entry in folder.iterdir() if not files.is_filesystem_leftover(entry.name))
