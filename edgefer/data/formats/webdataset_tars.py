"""WebDataset: tar archives in which the files of a sample have one name and several suffixes.

    faces-train-000000.tar                          # the shards, also in folders such as train/
        0001.jpg
        0001.cls                                    # a class: its number or name; or .json, or .txt
    classnames.txt                                  # optional: names of numbered classes, one a line

A .json file has the class under one of the usual keys, or under the one that --columns label=NAME names. Of several
pictures, that with the suffix of --columns image=SUFFIX is read, otherwise 0001.png rather than 0001.mask.png.
"""

from __future__ import annotations

import contextlib
import functools
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from edgefer import files
from edgefer.data.class_names import numbers_from_1
from edgefer.data.naming import UNDECODED, is_missing, is_number, list_names, plain_number, quote, quote_name
from edgefer.data.pictures import PICTURE_LIMIT_BYTES, Picture, read_pictures
from edgefer.data.records import SPLITS, BadRows, ReadOptions, SampleTable
from edgefer.data.shards import Shard, find_shards, has_shards, shards_key, splits_of_shards
from edgefer.data.table_text import DAMAGE, decode_text
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = ["cache_key", "is_complete", "matches", "read"]

HAS_COLUMNS = True
SUFFIXES = (".tar", ".tar.gz", ".tgz")
PICTURE_SUFFIXES = ("jpg", "jpeg", "png", "webp", "bmp", "ppm", "pgm", "tif", "tiff")
LABEL_SUFFIXES = ("cls", "json", "txt")
LABEL_KEYS = ("label", "labels", "emotion", "emotions", "expression", "class", "cls", "category", "target")
NAMES_FILES = ("classnames.txt", "classes.txt", "labels.txt")
NUMBERS_HINT = "number the classes from 0, or begin the file of their names with one for 0"
LABEL_LIMIT_BYTES = 1 << 16
LONGEST_NUMBER = 9
SAMPLED_MEMBERS = 32
LAYOUT = "WebDataset"


def matches(path: Path) -> bool:
    """Return True for a tar archive that starts with a sample, or a folder whose first archive does."""
    if path.is_dir():
        return has_shards(path, suffixes=SUFFIXES) and _starts_with_sample(find_shards(path, suffixes=SUFFIXES)[0].path)
    return path.name.lower().endswith(SUFFIXES) and path.is_file() and _starts_with_sample(path)


def is_complete(path: Path) -> bool:
    """Return True: classes and splits are known."""
    return True


def cache_key(path: Path, *, options: ReadOptions) -> str:
    """Return a hash over names, bytes and times of all archives, and the names of classes; see shards_key()."""
    return shards_key(find_shards(path, suffixes=SUFFIXES), options, _class_names(path))


def read(path: Path, *, options: ReadOptions, bad: BadRows, progress: Progress) -> SampleTable:
    """Read the picture of each sample for a model.

    Raises:
        DataError: an archive is damaged, or its classes count from 1.
    """
    shards = find_shards(path, suffixes=SUFFIXES)
    splits, notes = splits_of_shards(shards)
    archives = _Archives()
    names = _class_names(path)
    numbers: Counter[str] = Counter()
    try:
        pictures = [
            picture
            for shard in shards
            if shard.name in splits
            for picture in _pictures(shard, splits[shard.name], archives, names, options.columns, numbers)
        ]
        last = numbers[str(len(names))]
        if names and last and not numbers["0"]:
            raise numbers_from_1(path, names, last=last, unit="samples", hint=NUMBERS_HINT)
        return read_pictures(pictures, layout=LAYOUT, options=options, bad=bad, progress=progress, notes=notes)
    finally:
        archives.close()


@dataclass
class _Sample:
    """The files of a sample by suffix, and the content of its labels."""

    files: dict[str, tarfile.TarInfo] = field(default_factory=dict)
    labels: dict[str, bytes] = field(default_factory=dict)

    def picture(self, wanted: str) -> tarfile.TarInfo | None:
        """Return the picture with the suffix ``wanted``, else one with a plain suffix before mask.png, or None."""
        suffixes = filter(_is_picture, self.files)
        chosen = min(suffixes, key=lambda suffix: (suffix != wanted, suffix.count(".")), default=None)
        return None if chosen is None else self.files[chosen]


class _Archives:
    """The archive that was read last, which stays open."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._archive: tarfile.TarFile | None = None

    def open(self, path: Path) -> tarfile.TarFile:
        """Open an archive, and close the one before."""
        if self._archive is None or path != self._path:
            self.close()
            self._path, self._archive = path, tarfile.open(path)  # noqa: SIM115 - close() closes it
        return self._archive

    def close(self) -> None:
        """Close the open archive."""
        if self._archive is not None:
            self._archive.close()
        self._path = self._archive = None

    def content(self, path: Path, member: tarfile.TarInfo) -> bytes:
        """Return the content of a file in an archive."""
        if member.size > PICTURE_LIMIT_BYTES:
            raise DataError("too large", why=f"{member.size:,} bytes, at most {PICTURE_LIMIT_BYTES:,}")
        try:
            file = self.open(path).extractfile(member)
            content = file.read() if file is not None else b""
        except DAMAGE as error:
            raise DataError("cannot be read", why=quote_name(str(error))[:200]) from error
        if len(content) != member.size:
            raise DataError("is cut short", why=f"{len(content):,} of {member.size:,} bytes; copy the archive again")
        return content


def _starts_with_sample(path: Path) -> bool:
    """Return True if one name among the first files has both a picture and a label."""
    parts = []
    # A damaged archive is recognized by the files before the damage, and reading it is an error.
    with contextlib.suppress(*DAMAGE), tarfile.open(path) as archive:
        for member in islice(archive, SAMPLED_MEMBERS):
            if _is_sample_file(member):
                parts.append(_parts(member.name))
    pictures = {key for key, suffix in parts if _is_picture(suffix)}
    return bool(pictures & {key for key, suffix in parts if suffix in LABEL_SUFFIXES})


def _is_sample_file(member: tarfile.TarInfo) -> bool:
    return member.isfile() and not files.is_filesystem_leftover(member.name)


def _parts(name: str) -> tuple[str, str]:
    """Return the key of a sample and the suffix of a file: everything after the first dot of the last name."""
    path = PurePosixPath(name)
    stem, _, suffix = path.name.partition(".")
    return str(path.parent / stem), suffix.lower()


def _is_picture(suffix: str) -> bool:
    return suffix.rpartition(".")[2] in PICTURE_SUFFIXES


def _class_names(path: Path) -> tuple[str, ...]:
    """Return the names of numbered classes from the file beside the archives, or nothing."""
    folder = path if path.is_dir() else path.parent
    file = next((folder / name for name in NAMES_FILES if (folder / name).is_file()), None)
    if file is None:
        return ()
    return tuple(line.strip() for line in decode_text(file.read_bytes()).splitlines() if line)


def _pictures(
    shard: Shard, split: str, archives: _Archives, names: Sequence[str], columns: Mapping[str, str],
    numbers: Counter[str],
) -> Iterator[Picture]:  # fmt: skip
    """Yield the pictures of an archive, and count the numbers of their classes."""
    for key, sample in _samples(shard, archives).items():
        name = f"{shard.name}, {key}"
        label, problem = _label_text(sample, columns)
        if is_number(label):
            numbers[plain_number(label)] += 1
        if not problem:
            label, problem = _named(label, names)
        content = None
        if (picture := sample.picture(columns.get("image", "").lower())) is None:
            if not sample.labels:
                continue  # a file that belongs to no sample, such as a read-me
            problem = f"it has no picture; its suffixes are {list_names(list(sample.files))}"
        else:
            content = functools.partial(archives.content, shard.path, picture)
        subject = str(_json(sample).get(columns.get("subject", ""), ""))
        yield Picture(shard.path, name, label, split or SPLITS[0], subject, problem=problem, content=content)


def _samples(shard: Shard, archives: _Archives) -> dict[str, _Sample]:
    """Return the samples of an archive by key; only their labels are read.

    A later file replaces an earlier one of the same name, as tar does when it unpacks an archive with added files.
    """
    samples: dict[str, _Sample] = {}
    try:
        archive = archives.open(shard.path)
        for member in archive:
            if not _is_sample_file(member):
                continue
            key, suffix = _parts(member.name)
            sample = samples.setdefault(key, _Sample())
            sample.files[suffix] = member
            sample.labels.pop(suffix, None)
            if suffix in LABEL_SUFFIXES and member.size <= LABEL_LIMIT_BYTES:
                file = archive.extractfile(member)
                sample.labels[suffix] = file.read() if file is not None else b""
    except DAMAGE as error:
        why = quote_name(str(error))[:200]
        raise DataError(f"{quote_name(shard.path)} is damaged", why=why, hint="copy or download it again") from error
    return samples


def _json(sample: _Sample) -> dict[str, Any]:
    try:
        content = json.loads(sample.labels.get("json", b""))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _label_text(sample: _Sample, columns: Mapping[str, str]) -> tuple[str, str]:
    """Return the class of a sample as the archive spells it, and the reason why it has none."""
    values = _json(sample)
    wanted = columns.get("label")
    key = next((key for key in ((wanted,) if wanted else LABEL_KEYS) if key in values), None)
    if "cls" in sample.labels and not wanted:
        text = decode_text(sample.labels["cls"]).strip()
    elif key is not None and isinstance(values[key], (list, dict)):
        return "", f"its class is {quote(values[key])}, expected a name or a number"
    elif key is not None:
        text = "" if values[key] is None else str(values[key]).strip()
    elif "txt" in sample.labels and not wanted:
        text = decode_text(sample.labels["txt"]).strip()
    else:
        missing = f"no {quote(wanted)}" if wanted else "no class"
        suffixes, keys = list_names(list(sample.files)), list_names(list(values))
        content = f"its .json has the keys {keys}" if values else f"its suffixes are {suffixes}"
        return "", f"it has {missing}; {content}"
    if UNDECODED in text:
        return "", f"its class {quote(text)} contains bytes that are no text"
    if is_missing(text):
        return "", f"its class is {quote(text) if text else 'empty'}"
    return text, ""


def _named(text: str, names: Sequence[str]) -> tuple[str, str]:
    """Return the name of a class, and the reason why its number has none."""
    if not is_number(text) or not names:
        return text, ""
    number = plain_number(text)
    if not number.isdecimal() or len(number) > LONGEST_NUMBER or int(number) >= len(names):
        return "", f"its class is {quote(text)}, expected 0 to {len(names) - 1}"
    return names[int(number)], ""
