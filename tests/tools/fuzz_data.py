"""Damaged data sets: tables in several encodings and archives, NumPy archives, and image trees."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgefer.contract.labels import LABELS
from edgefer.data.synthetic import golden_faces
from tests.tools.fuzzing import Case

__all__ = ["make", "prepare"]

FACES = golden_faces(21)
USAGE = ["Training"] * 7 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
HOSTILE_CELLS = (
    "", "-1", "7", "256", "1e999", "nan", "inf", "0.5", "\x1b[2J", "\u202e", "\udcff", "\0", "=1+1", "'", '"',
    '""', ",,,,", ";", "\t", "\r", "x" * 5000, "9" * 5000, "[1, 2", "...", "\N{ARABIC-INDIC DIGIT ONE}", "1_0",
    "0x10", "True",
)  # fmt: skip
SPLIT_FOLDERS = (
    ("train", "test"), ("training", "testing"), ("images/train", "images/validation"), ("Train", "val", "test"),
)  # fmt: skip
HOSTILE_NUMBERS = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
HOSTILE_NAMES = (
    "\x1b[2J.png", "\udcff.png", "\u202e.png", "a" * 200, ".hidden.png", "Thumbs.db", "a\nb.png", "label.csv",
)  # fmt: skip
HOSTILE_FOLDERS = ("smile", "train", "__MACOSX", "0", "\x1b]0;x\x07", "\udcfe", "happy", "extra", "@eaDir", "testing")


def _table(rng: random.Random) -> str:
    delimiter = rng.choice(",;\t|,,")
    rows = [
        [str(index % 7), " ".join(map(str, FACES[index].ravel().tolist())), usage] for index, usage in enumerate(USAGE)
    ]
    rows.insert(0, ["emotion", "pixels", "Usage"])
    if rng.random() < 0.2:
        rows.pop(0)
    for _ in range(rng.choice((0, 1, 1, 3, 20))):
        row = rng.choice(rows)
        column = rng.randrange(3)
        if column == 1 and rng.random() < 0.7:
            tokens = row[1].split(" ")
            tokens[rng.randrange(len(tokens))] = rng.choice(HOSTILE_CELLS)
            row[1] = " ".join(tokens)
        else:
            row[column] = rng.choice(HOSTILE_CELLS)
    if rng.random() < 0.1:
        for row in rows:
            del row[rng.randrange(len(row))]
    return rng.choice(("\n", "\r\n", "\r", "\n\n")).join(delimiter.join(row) for row in rows)


def _csv(folder: Path, rng: random.Random) -> Path:
    text = _table(rng)
    encoding = rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"))
    content = text.encode(encoding, "surrogatepass" if encoding != "utf-8" else "surrogateescape")
    pack = rng.choice((_as_is, _as_is, _as_is, gzip.compress, _zip, _tar))
    path = folder / rng.choice(("fer2013.csv", "fer2013.csv", "data", "fer2013.tar.gz", "data.npz", "data.zip"))
    path.write_bytes(_damage(pack(content), rng))
    return path


def _npz(folder: Path, rng: random.Random) -> Path:
    arrays: dict[str, np.ndarray] = {
        "pixels": FACES, "emotion": np.arange(21) % 7, "usage": np.array(USAGE), "votes": np.ones((21, 10)),
    }  # fmt: skip
    name = rng.choice(list(arrays))
    kind = rng.randrange(7)
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = np.array([{"a": 1}, [2], None], object)
    elif kind == 2:
        arrays[name] = arrays[name].reshape(-1)[: rng.randrange(21)]
    elif kind == 3 and name != "usage":
        arrays[name] = arrays[name].astype(rng.choice(("f8", "i8", "u2", ">i4", "c16", "m8[s]", "?")))
    elif kind == 4 and name != "usage":
        arrays[name] = np.full_like(arrays[name], rng.choice((0, 255, 100)))
    elif kind == 5:
        arrays["usage"] = np.array([rng.choice(HOSTILE_CELLS)[:40].encode("utf-8", "surrogateescape")] * 21)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for key, array in arrays.items():
            file = io.BytesIO()
            np.lib.format.write_array(file, array)
            data = bytearray(file.getvalue())
            if rng.random() < 0.2:
                data = _lie(data, rng)
            archive.writestr(f"{key}.npy", bytes(data))
    path = folder / rng.choice(("faces.npz", "faces.npz", "faces.csv"))
    path.write_bytes(_damage(content.getvalue(), rng))
    return path


def _lie(data: bytearray, rng: random.Random) -> bytearray:
    """Change a digit or a word in the header of an array."""
    end = 10 + struct.unpack_from("<H", data, 8)[0]
    digits = [place for place in range(10, end) if chr(data[place]).isdigit()]
    if rng.random() < 0.5 and digits:
        data[rng.choice(digits)] = ord(rng.choice("0123456789"))
        return data
    old, new = rng.choice((b"shape", b"descr", b"'", b"(", b"48", b"u1")), rng.choice((b"O", b"9" * 12, b"", b"\xff"))
    header = bytes(data[10:end]).replace(old, new, 1)
    return data[:10] + header.ljust(end - 10)[: end - 10] + data[end:]


def _tree(folder: Path, rng: random.Random) -> Path:
    root = folder / "tree"
    for split in rng.choice(SPLIT_FOLDERS):
        for index, label in enumerate(LABELS):
            path = root / split / label / "1.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_picture(FACES[index], rng) if rng.random() < 0.1 else _encoded(FACES[index], ".png"))
    folders = sorted(path for path in root.rglob("*") if path.is_dir())
    for _ in range(rng.randrange(4)):
        place = rng.choice(folders)
        kind = rng.randrange(6)
        name = os.fsdecode(rng.choice(HOSTILE_NAMES).encode("utf-8", "surrogateescape"))
        if kind == 0:
            (place / rng.choice(HOSTILE_FOLDERS)).mkdir(exist_ok=True)
        elif kind == 1:
            (place / name).write_bytes(_picture(FACES[0], rng))
        elif kind == 2:
            os.mkfifo(place / f"pipe{rng.randrange(10**6)}.png")
        elif kind == 3:
            (place / f"loop{rng.randrange(10**6)}").symlink_to(rng.choice((".", "..", "nowhere")))
        elif kind == 4 and place != root:
            shutil.rmtree(place)
            folders = sorted(path for path in root.rglob("*") if path.is_dir()) or [root]
        else:
            (place / f"folder{rng.randrange(10**6)}.jpg").mkdir()
    return root


def _picture(face: np.ndarray, rng: random.Random) -> bytes:
    suffix = rng.choice((".png", ".jpg", ".bmp", ".tiff", ".webp", ".pgm"))
    content = bytearray(_encoded(face, suffix))
    if rng.random() < 0.5:
        # Sizes are in the first bytes of every format.
        place = rng.randrange(min(len(content) - 4, 600))
        struct.pack_into(rng.choice("<>") + "I", content, place, rng.choice(HOSTILE_NUMBERS))
    return _damage(bytes(content), rng)


def _encoded(face: np.ndarray, suffix: str) -> bytes:
    return cv2.imencode(suffix, face)[1].tobytes()


def _damage(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(8)
    data = bytearray(content)
    if kind == 0:
        return content[: rng.randrange(len(content) + 1)]
    if kind == 1 and data:
        for _ in range(rng.choice((1, 8, 200))):
            data[rng.randrange(len(data))] = rng.randrange(256)
    elif kind == 2 and data:
        place = rng.randrange(len(data))
        data[place:place] = bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 1000))))
    elif kind == 3 and len(data) > 8:
        struct.pack_into("<I", data, rng.randrange(len(data) - 4), rng.choice(HOSTILE_NUMBERS))
    return bytes(data)


def _as_is(content: bytes) -> bytes:
    return content


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("fer2013/fer2013.csv", content)
    return file.getvalue()


def _tar(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        info = tarfile.TarInfo("fer2013/fer2013.csv")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


MAKERS: dict[str, Callable[[Path, random.Random], Path]] = {"csv": _csv, "npz": _npz, "tree": _tree}


def prepare(folder: Path) -> None:
    """Write no file: each data set is complete."""


def make(folder: Path, seed: int) -> Case:
    """Write a damaged data set."""
    rng = random.Random(seed)
    kind = rng.choice(list(MAKERS))
    path = MAKERS[kind](folder / "input", rng)
    arguments = ("data", "check", str(path), *(["--skip-bad-rows"] if seed % 2 else []))
    return Case(kind, (arguments,))
