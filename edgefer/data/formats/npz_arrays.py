"""A .npz file with the arrays pixels, emotion and usage, and perhaps votes.

    pixels  uint8 (n, 48, 48) or (n, 48, 48, 1)
    emotion integers (n,), indices into LABELS
    usage   text (n,), "Training", "PublicTest" or "PrivateTest"
    votes   numbers (n, 10), FER+ votes in the column order of fer2013new.csv

There is nothing to parse, so it is not cached.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgefer.contract.labels import LABELS
from edgefer.data.records import SPLITS, BadRows, SampleTable
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "matches", "read"]

FIX = "write it with np.savez(path, pixels=..., emotion=..., usage=...)"
VOTE_COLUMNS = 10


def matches(path: Path) -> bool:
    """Whether ``path`` is a ZIP with an entry pixels.npy."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return "pixels.npy" in archive.namelist()


def cache_key(path: Path) -> str:
    """Empty: the file is as fast to read as a cache of it."""
    return ""


def read(path: Path, *, bad: BadRows, progress: Progress) -> SampleTable:
    """Read the arrays; rows with an unknown emotion or usage are bad.

    Raises:
        DataError: an array is missing, damaged, or has another shape or dtype than the module says.
    """
    arrays = _arrays(path)
    pixels, emotion, usage = arrays["pixels"], arrays["emotion"], arrays["usage"]
    if pixels.ndim == 4 and pixels.shape[3] == 1:
        pixels = pixels[..., 0]
    _require(path, pixels.dtype == np.uint8 and pixels.shape[1:] == (48, 48), "pixels", "uint8 (n, 48, 48)", pixels)
    count = len(pixels)
    _require(path, emotion.shape == (count,) and emotion.dtype.kind in "iu", "emotion", f"integers ({count},)", emotion)
    _require(path, usage.shape == (count,) and usage.dtype.kind in "US", "usage", f"text ({count},)", usage)
    votes = arrays.get("votes")
    if votes is not None:
        counted = votes.shape == (count, VOTE_COLUMNS) and votes.dtype.kind in "iuf"
        _require(path, counted, "votes", f"({count}, 10)", votes)
        if not (np.isfinite(votes) & (votes >= 0)).all():
            why = "none of them may be negative, NaN or infinite"
            raise DataError(f"{path}: array votes has odd numbers", why=why, hint=FIX)
    split = np.full(count, -1, np.int8)
    text = np.char.decode(usage, "utf-8", "replace") if usage.dtype.kind == "S" else usage
    names = np.char.strip(text)
    for index, name in enumerate(SPLITS):
        split[names == name] = index
    labels = emotion.astype(np.int64)
    good = (split >= 0) & (labels >= 0) & (labels < len(LABELS))
    for row in np.flatnonzero(~good):
        reason = f"unknown usage {str(names[row])!r}" if split[row] < 0 else f"unknown emotion {emotion[row]}"
        bad.add(f"row {row} (from 0)", reason)
    progress(count, count, "rows")
    kept = np.flatnonzero(good)
    return SampleTable(
        pixels=pixels[kept],
        labels=labels[kept],
        usage=split[kept],
        rows=kept.astype(np.int64),
        votes=None if votes is None else votes[kept].astype(np.float32),
        layout="npz",
        row_count=count,
    )


def _arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {
                name: np.asarray(archive[name]) for name in ("pixels", "emotion", "usage", "votes") if name in archive
            }
    except (zipfile.BadZipFile, ValueError, EOFError, OSError) as error:
        raise DataError(f"cannot read {path}", why=str(error), hint=FIX) from error
    missing = [name for name in ("pixels", "emotion", "usage") if name not in found]
    if missing:
        raise DataError(
            f"{path} has no array {' and no array '.join(missing)}", why=f"it has {', '.join(found)}", hint=FIX
        )
    return found


def _require(path: Path, holds: bool, name: str, expected: str, array: npt.NDArray[Any]) -> None:
    if not holds:
        raise DataError(
            f"{path}: array {name} is {array.dtype} {array.shape}", why=f"{expected} was expected", hint=FIX
        )
