"""Damaged images and videos: bytes, sizes, EXIF blocks, structure, names, and few bytes that decode to many pixels."""

from __future__ import annotations

import functools
import importlib
import random
import struct
from pathlib import Path

import cv2
import numpy as np

from edgefer.data.synthetic import golden_faces
from tests.tools.fuzzing import Case
from tests.tools.picture_formats import FORMATS, SIZES, VIDEOS, add_exif, bomb, change, encode, exif

__all__ = ["make", "prepare"]

# Mostly formats with a size, and seldom videos, whose decoders start slowly.
NAMES = (*FORMATS, *FORMATS, *FORMATS, *VIDEOS)
# Sides of pictures that are decoded, and of one beyond the limit.
BOMBS = (("png", 6000), ("jpg", 5000), ("progressive", 4000), ("webp", 4000), ("png", 14_200))
BOMB_SHARE = 200
HOSTILE_NAMES = (
    "\x1b[2J.png", "\udcff.jpg", "\u202egnp.exe", "a" * 240 + ".png", "a\nb.png", "-", "--json", "picture",
    "picture.txt", "picture.mp4", "picture.mjpeg", "picture.csv", "picture.tflite", "%s%n.png",
    "#1.png", "*.png", "[a].png",
)  # fmt: skip
SUFFIXES = {"jpeg": "jpg", "pnm": "ppm", "sun": "ras"}
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("--no-detect",), ("--no-detect", "--json"), ("--no-detect", "--csv"), ("--no-detect", "--jsonl"),
    ("--no-detect", "--draw", "input/drawn"), (), ("--draw", "input/drawn"),
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Import what the pictures need, and encode the large ones; write no file."""
    for module in ("inference.pipeline", "inference.classifier", "inference.face_detection", "inference.output"):
        importlib.import_module(f"edgefer.{module}")
    importlib.import_module("ai_edge_litert.interpreter")
    for name in VIDEOS:
        encode(_face(0), name, random.Random(0))
    for name, side in BOMBS:
        bomb(name, side)


def make(folder: Path, seed: int) -> Case:
    """Write a damaged picture."""
    rng = random.Random(seed)
    if seed % BOMB_SHARE == 0:
        name, side = rng.choice(BOMBS)
        group, content, suffix = "bomb", bomb(name, side), {"progressive": "jpg"}.get(name, name)
    else:
        name = rng.choice(NAMES)
        kind = rng.choice(list(KINDS))
        content = KINDS[kind](encode(_face(rng.randrange(21)), name, rng), name, rng)
        group, suffix = f"{name}, {kind}", SUFFIXES.get(name, name)
    path = f"input/{_file_name(suffix, rng)}"
    (folder / path).write_bytes(content)
    source = rng.choice((path, path, path, "input"))
    options = rng.choice(COMMANDS)
    if "--csv" in options and not path.isprintable():
        # A file or a pipe gets the name as it is.
        options = ()
    return Case(group, (("predict", source, "--workers", "1", *options),))


@functools.cache
def _face(index: int) -> np.ndarray:
    image = cv2.cvtColor(golden_faces(21)[index], cv2.COLOR_GRAY2BGR)
    # An odd size with unequal sides shows swapped dimensions.
    return image if index % 2 else cv2.resize(image, (61, 47))


def _file_name(suffix: str, rng: random.Random) -> str:
    if rng.random() < 0.9:
        return f"picture.{suffix}"
    return rng.choice((*HOSTILE_NAMES, f"picture.{rng.choice(FORMATS)}"))


def _damage(content: bytes, name: str, rng: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 64))):
        place = rng.randrange(min(len(data), rng.choice((64, 600, len(data)))))
        data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))
    return bytes(data)


def _cut(content: bytes, name: str, rng: random.Random) -> bytes:
    end = rng.randrange(len(content) + 1)
    return content[:end] + rng.choice((b"", b"", bytes(1000)))


def _insert(content: bytes, name: str, rng: random.Random) -> bytes:
    place = rng.randrange(len(content) + 1)
    size = rng.choice((1, 2, 4, 1000))
    inserted = rng.choice((rng.randbytes(size), bytes(size), content[:size]))
    return content[:place] + inserted + content[rng.choice((place, min(place + size, len(content)))) :]


def _hostile_size(content: bytes, name: str, rng: random.Random) -> bytes:
    """Overwrite a word in the first bytes, where every format has its sizes."""
    data = bytearray(content.ljust(8, b"\0"))
    form = rng.choice(("<I", ">I", "<H", ">H"))
    place = rng.randrange(min(len(data) - 4, rng.choice((40, 200, 600))))
    struct.pack_into(form, data, place, rng.choice(SIZES) & (0xFFFFFFFF if "I" in form else 0xFFFF))
    return bytes(data)


def _other_head(content: bytes, name: str, rng: random.Random) -> bytes:
    """Join the start of another format to this content."""
    other = encode(_face(0), rng.choice(FORMATS), rng)
    return other[: rng.choice((2, 4, 8, 16, 64, 300))] + content[rng.choice((0, 8, 64)) :]


def _as_exif(content: bytes, name: str, rng: random.Random) -> bytes:
    return add_exif(content, name, rng) if rng.random() < 0.9 else exif(rng) + content


KINDS = {
    "bytes": _damage, "cut": _cut, "insert": _insert, "size": _hostile_size, "structure": change,
    "structure again": change, "EXIF": _as_exif, "other head": _other_head,
}  # fmt: skip
