"""Read the picture files of a data set as faces at the input size of a model.

    pictures = [Picture(path, "train/happy/1.png", "happy"), ...]
    key = pictures_key(pictures, options)           # equal for unchanged files
    table = read_pictures(pictures, layout="image tree", options=options, bad=bad, progress=silent)

Pictures of any size and color go through edgefer.contract.preprocessing, as on a board. Faces are gray, or BGR for a
model in color: prepare_all() then applies the order of the channels and the contrast equalization.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgefer import cache, files
from edgefer.contract.image_decoding import read_image
from edgefer.contract.image_header import read_header
from edgefer.contract.preprocessing import InputSpec, prepare
from edgefer.data.naming import UNDECODED, counted, list_names, quote, quote_name, split_of
from edgefer.data.pixel_files import PixelWriter
from edgefer.data.pixels import Pixels
from edgefer.data.records import SPLITS, BadRows, FaceCrop, ReadOptions, SampleTable, index_subjects
from edgefer.errors import DataError
from edgefer.progress import Progress

__all__ = [
    "Picture", "file_content", "folders_in", "holds_pictures", "is_picture", "path_problem", "pictures_key",
    "read_pictures", "sample_files", "split_folders", "stored_spec", "subject_of",
]  # fmt: skip

PROGRESS_EVERY_FILES = 256
PICTURE_LIMIT_BYTES = 64 << 20
DECODING_LIMIT_BYTES = 400 << 20
SAMPLED_FILES = 64
# Limits of Linux, in bytes. A cell with pixels in place of a path is longer.
LONGEST_PATH, LONGEST_NAME = 4096, 255
SHOWN_CHARACTERS = 200
NAMED_FACELESS = 3
# CK+ (S010_004_00000017.png), KDEF (AF01ANS.JPG), JAFFE (KA.AN1.39.tiff), and names such as subject12_happy_3.png.
SUBJECT_IN_NAME = (
    re.compile(r"(S\d{3})_\d{3}_\d{8}"),
    re.compile(r"[AB]([FM]\d{2})(?:AF|AN|DI|HA|NE|SA|SU)(?:S|HL|HR|FL|FR)$", re.IGNORECASE),
    re.compile(r"([A-Z]{2})\.(?:AN|DI|FE|HA|NE|SA|SU)\d\.\d+$"),
    re.compile(r"((?:subject|subj|sub|person|participant|id)[_\-]?\d+)(?=[_\-. ]|$)", re.IGNORECASE),
)


# Slots, because a data set can have half a million.
@dataclass(frozen=True, slots=True)
class Picture:
    """A picture file of a data set.

    Attributes:
        path: path of the file, or of the archive or table that contains the picture.
        name: name for messages, relative to the data set.
        label: class name, as found.
        split: name of the split.
        subject: person in the picture, or "" if unknown.
        number: row of fer2013.csv that the picture shows, or None.
        votes: ten FER+ votes, or empty.
        problem: the reason why the picture is unusable, or "".
        content: returns the encoded picture, or raises DataError; None for a file of its own.
    """

    path: Path
    name: str
    label: str
    split: str = SPLITS[0]
    subject: str = ""
    number: int | None = None
    votes: tuple[float, ...] = ()
    problem: str = ""
    content: Callable[[], bytes] | None = None


def stored_spec(spec: InputSpec) -> InputSpec:
    """Return the spec at which pictures are stored for a model: its size, in gray or BGR, without equalization."""
    channels = "gray" if spec.channels == "gray" else "bgr"
    return InputSpec(spec.height, spec.width, channels=channels, resize=spec.resize)


def pictures_key(pictures: Sequence[Picture], options: ReadOptions, *more: object) -> str:
    """Return a hash over name, label, split, bytes and times of every picture, the stored spec and the crop.

    The content is not hashed, because opening 35,887 small files takes as long as parsing them. A replaced file has
    another change time (ctime), which unpacking tools cannot set, unlike mtime. A copied tree is read again.
    """
    stored = stored_spec(options.spec)
    size = f"{stored.height} x {stored.width} {stored.channels} {stored.resize}"
    digest = hashlib.sha256(f"{cv2.__version__} {size}\n".encode())
    if options.crop is not None:
        digest.update(f"crop {options.crop.name}\n".encode())
    for picture in pictures:
        stat = _stat(picture.path)
        times = "missing" if stat is None else f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
        facts = (picture.label, picture.split, picture.subject, picture.votes, picture.problem)
        digest.update(os.fsencode(picture.name))
        digest.update(f"\0{times} {facts!r}\n".encode(errors="backslashreplace"))
    digest.update(repr(more).encode(errors="backslashreplace"))
    return digest.hexdigest()


def read_pictures(
    pictures: Sequence[Picture],
    *,
    layout: str,
    options: ReadOptions,
    bad: BadRows,
    progress: Progress,
    notes: tuple[str, ...] = (),
) -> SampleTable:
    """Read all pictures; unreadable ones and those with a problem are bad.

    With a crop, pictures without a face are left out, with a note.

    The rows are those of fer2013.csv if each picture has a different one, otherwise positions.
    """
    pixels, good, faceless = _read_faces(pictures, options, bad, progress)
    kept = [pictures[position] for position in good]
    names = tuple(sorted({picture.label for picture in kept}))
    index_of = {name: index for index, name in enumerate(names)}
    numbers = [picture.number for picture in kept if picture.number is not None]
    are_rows = bool(kept) and len(set(numbers)) == len(kept)
    votes = [picture.votes for picture in kept]
    return SampleTable(
        pixels=pixels,
        labels=np.array([index_of[picture.label] for picture in kept], np.int64),
        usage=np.array([SPLITS.index(picture.split) for picture in kept], np.int8),
        rows=np.array(numbers if are_rows else good, np.int64),
        votes=np.array(votes, np.float32) if kept and all(votes) else None,
        layout=layout,
        row_count=None,
        has_row_numbers=are_rows,
        notes=(*notes, *_faceless_notes(faceless)),
        label_names=names,
        subjects=index_subjects([picture.subject for picture in kept]),
    )


def _read_faces(
    pictures: Sequence[Picture], options: ReadOptions, bad: BadRows, progress: Progress
) -> tuple[Pixels, list[int], list[str]]:
    """Return the faces, the positions of their pictures, and the names of pictures without a face."""
    spec = stored_spec(options.spec)
    good, faceless = [], []
    with PixelWriter(spec.shape, folder=cache.folder()) as writer:
        for position, picture in enumerate(pictures):
            try:
                if picture.problem:
                    raise DataError(picture.problem)
                face = _face(picture, spec, options.crop)
            except DataError as error:
                bad.add(_place(picture), f"{error.what} ({error.why})" if error.why else error.what)
            else:
                if face is None:
                    faceless.append(picture.name)
                else:
                    writer.append(face)
                    good.append(position)
            if position % PROGRESS_EVERY_FILES == 0:
                progress(position, len(pictures), "images")
        pixels = writer.finish()
    progress(len(pictures), len(pictures), "images")
    return pixels, good, faceless


def subject_of(stem: str) -> str:
    """Return the person in the name of a file without its suffix, or ""."""
    match = next((match for pattern in SUBJECT_IN_NAME if (match := pattern.match(stem))), None)
    return match[1].upper() if match else ""


def folders_in(folder: Path) -> list[Path]:
    """List the folders in a folder, without filesystem leftovers and loops; return nothing for a file."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
    except OSError:
        return []
    folders = [folder / name for name in names if not files.is_filesystem_leftover(name)]
    return [entry for entry in folders if not files.is_loop(entry)]


def split_folders(folder: Path) -> list[Path]:
    """List the folders of splits in a folder; train/train replaces train if it is the only folder in it."""
    outer = [entry for entry in folders_in(folder) if split_of(entry.name)]
    inner = [folders_in(entry) for entry in outer]
    return [
        within[0] if [child.name for child in within] == [entry.name] else entry for entry, within in zip(outer, inner)
    ]


def sample_files(folder: Path, *, limit: int = SAMPLED_FILES, depth: int = 1) -> Iterator[Path]:
    """Yield the first files in a folder, and below it to a depth, without filesystem leftovers."""
    left = limit
    level = [folder]
    for _ in range(depth + 1):
        below: list[Path] = []
        for entry in level:
            try:
                with os.scandir(entry) as entries:
                    children = list(islice(entries, limit))
            except OSError:
                continue
            for child in sorted(children, key=lambda child: child.name):
                if files.is_filesystem_leftover(child.name):
                    continue
                if child.is_dir():
                    below.append(Path(child.path))
                elif left > 0:
                    left -= 1
                    yield Path(child.path)
        level = below[:limit]


def holds_pictures(folder: Path) -> bool:
    """Return True if one of the first files in a folder, or one level below, is a picture."""
    return any(map(is_picture, sample_files(folder)))


def is_picture(path: Path) -> bool:
    """Return True for a regular file that starts like a picture."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return read_header(file) is not None
    except OSError:
        return False


def path_problem(name: str) -> str:
    """Return the reason why no file can have a path that a table lists, or ""."""
    if not name:
        return "the path is empty"
    if "\0" in name or UNDECODED in name:
        return f"the path {quote(name)} contains bytes that are no text"
    lengths = [len(part.encode(errors="surrogatepass")) for part in name.split("/")]
    if sum(lengths) > LONGEST_PATH or max(lengths) > LONGEST_NAME:
        return f"the path {quote(name)} is too long ({len(name):,} characters)"
    return ""


def _place(picture: Picture) -> str:
    name = picture.name
    return quote_name(name if len(name) <= SHOWN_CHARACTERS else f"{name[:SHOWN_CHARACTERS]}...")


def _stat(path: Path) -> os.stat_result | None:
    """Return the state of a file, or of a link without a target; None if there is none, or none can be named so."""
    for stat in (path.stat, path.lstat):
        with contextlib.suppress(OSError, ValueError):
            return stat()
    return None


def _faceless_notes(names: Sequence[str]) -> Iterator[str]:
    if names:
        skipped = counted(len(names), "picture")
        yield f"Skipped: {skipped} without a detected face: {list_names(names, limit=NAMED_FACELESS)}."


def _face(picture: Picture, spec: InputSpec, crop: FaceCrop | None) -> npt.NDArray[np.uint8] | None:
    """Return the face in a picture at the size of a spec, or None if the crop has none."""
    content = file_content(picture.path) if picture.content is None else picture.content()
    header = read_header(io.BytesIO(content))
    if header is not None and header.memory_bytes() > DECODING_LIMIT_BYTES:
        why = f"{header.width:,} x {header.height:,} pixels, {header.memory_bytes() >> 20:,} MiB in memory"
        raise DataError("too large for an image of a face", why=why)
    image = read_image(content)
    face = image if crop is None else crop.find(image)
    return None if face is None else prepare(face, spec)


def file_content(path: Path) -> bytes:
    """Return the content of a picture file.

    Raises:
        DataError: it cannot be read, is not a regular file, or is larger than 64 MiB.
    """
    try:
        if path.exists() and not path.is_file():
            raise DataError("cannot be read", why="it is not a regular file")
        if path.stat().st_size > PICTURE_LIMIT_BYTES:
            raise DataError("is too large", why=f"{path.stat().st_size:,} bytes, at most {PICTURE_LIMIT_BYTES:,}")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise DataError("cannot be read", why=getattr(error, "strerror", None) or str(error)) from error
