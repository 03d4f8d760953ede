"""KDEF and JAFFE: the name of each file contains the person and the expression.

    KDEF/AF01/AF01ANS.JPG                           # session A, female 01, angry, straight
    jaffe/KA.AN1.39.tiff                            # person KA, angry, take 1

KDEF: Lundqvist, Flykt and Ohman, "The Karolinska Directed Emotional Faces", 1998; all five views are read. JAFFE: Lyons
et al., "Coding Facial Expressions with Gabor Wavelets", FG 1998. Neither has a test split, but folders such as train/
and test/ above the pictures are splits. Pictures that are sorted into folders of classes are an image tree.
"""

from __future__ import annotations

import re
from pathlib import Path

from edgefer import files
from edgefer.data.class_folders import has_class_folders
from edgefer.data.naming import SPLIT_WORDS, counted, quote_name, single_test_notes, split_of, splits_of
from edgefer.data.pictures import Picture, pictures_key, read_pictures, sample_files
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

LABEL_OF_CODE = {
    "AF": "fear", "AN": "angry", "DI": "disgust", "FE": "fear", "HA": "happy", "NE": "neutral", "SA": "sad",
    "SU": "surprise",
}  # fmt: skip
KDEF = re.compile(r"[AB](?P<subject>[FM]\d{2})(?P<code>AF|AN|DI|HA|NE|SA|SU)(?:S|HL|HR|FL|FR)\.[A-Z]+", re.IGNORECASE)
JAFFE = re.compile(r"(?P<subject>[A-Z]{2})\.(?P<code>AN|DI|FE|HA|NE|SA|SU)\d\.\d+\.[A-Z]+", re.IGNORECASE)
LAYOUTS = {"KDEF": KDEF, "JAFFE": JAFFE}
# A read-me file or two may lie beside the pictures.
LEAST_SHARE = 0.8


def matches(path: Path) -> bool:
    """Return True for a folder in which most names, at most two levels deep, are those of KDEF or JAFFE.

    A folder with folders of classes is an image tree.
    """
    return path.is_dir() and _layout(path) != "" and not has_class_folders(path)


def is_complete(path: Path) -> bool:
    """Return False: there is no test split."""
    return False


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over all pictures and their classes; see pictures_key()."""
    pictures, notes = _pictures(path)
    return pictures_key(pictures, options, notes)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures for a model; files with other names, or beside the folders of splits, are left out."""
    pictures, notes = _pictures(path)
    return read_pictures(pictures, layout=_layout(path), options=options, bad=bad, progress=progress, notes=notes)


def _layout(path: Path) -> str:
    names = [file.name for file in sample_files(path, depth=2)]
    matching = {layout: sum(bool(pattern.fullmatch(name)) for name in names) for layout, pattern in LAYOUTS.items()}
    best = max(matching, key=lambda layout: matching[layout])
    return best if names and matching[best] >= LEAST_SHARE * len(names) else ""


def _pictures(path: Path) -> tuple[list[Picture], tuple[str, ...]]:
    """Return the pictures, and notes on files that are left out and on a test set that serves as validation."""
    pattern = LAYOUTS[_layout(path) or "KDEF"]
    everything = sorted(files.walk_files(path).files)
    named = [(file, match) for file in everything if (match := pattern.fullmatch(file.name))]
    folders = [_split_folder(file.relative_to(path)) for file, _ in named]
    splits = splits_of(folder for folder in folders if folder)
    pictures = []
    for (file, match), folder in zip(named, folders):
        if folder or not splits:
            split = splits[folder] if folder else SPLITS[0]
            problem = "" if split else f"{quote_name(folder)}/ is neither of two test sets, expected {SPLIT_WORDS}"
            label, subject = LABEL_OF_CODE[match["code"].upper()], match["subject"].upper()
            name = file.relative_to(path).as_posix()
            pictures.append(Picture(file, name, label, split or SPLITS[0], subject, problem=problem))
    notes = list(single_test_notes(splits))
    others, beside = len(everything) - len(named), len(named) - len(pictures)
    if others:
        notes.append(f"Skipped: {counted(others, 'file')} with other names.")
    if beside:
        notes.append(f"Skipped: {counted(beside, 'picture')} not in the folder of a split.")
    return pictures, tuple(notes)


def _split_folder(name: Path) -> str:
    """Return the first folder of a relative path that names a split, or ""."""
    return next((part for part in name.parts[:-1] if split_of(part)), "")
