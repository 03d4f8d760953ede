"""KDEF and JAFFE: the name of each file contains the person and the expression.

    KDEF/AF01/AF01ANS.JPG                           # session A, female 01, angry, straight
    jaffe/KA.AN1.39.tiff                            # person KA, angry, take 1

KDEF: Lundqvist, Flykt and Ohman, "The Karolinska Directed Emotional Faces", 1998; all five views are read. JAFFE: Lyons
et al., "Coding Facial Expressions with Gabor Wavelets", FG 1998. Neither has a test split.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from edgefer import files
from edgefer.data.pictures import Picture, pictures_key, read_pictures, sample_files
from edgefer.data.records import BadRows, ReadOptions, SampleTable
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
    """Return True for a folder in which most names, at most two levels deep, are those of KDEF or JAFFE."""
    return path.is_dir() and _layout(path) != ""


def is_complete(path: Path) -> bool:
    """Return False: there is no test split."""
    return False


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over all pictures and their classes; see pictures_key()."""
    return pictures_key(list(_pictures(path)), options)


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read all pictures for a model; files with other names are left out, with a note."""
    pictures = list(_pictures(path))
    others = len(files.walk_files(path).files) - len(pictures)
    notes = (f"Skipped: {others:,} files with other names.",) if others else ()
    return read_pictures(pictures, layout=_layout(path), options=options, bad=bad, progress=progress, notes=notes)


def _layout(path: Path) -> str:
    names = [file.name for file in sample_files(path, depth=2)]
    matching = {layout: sum(bool(pattern.fullmatch(name)) for name in names) for layout, pattern in LAYOUTS.items()}
    best = max(matching, key=lambda layout: matching[layout])
    return best if names and matching[best] >= LEAST_SHARE * len(names) else ""


def _pictures(path: Path) -> Iterator[Picture]:
    pattern = LAYOUTS[_layout(path) or "KDEF"]
    for file in sorted(files.walk_files(path).files):
        match = pattern.fullmatch(file.name)
        if match:
            name = file.relative_to(path).as_posix()
            label = LABEL_OF_CODE[match["code"].upper()]
            yield Picture(file, name, label, subject=match["subject"].upper())
