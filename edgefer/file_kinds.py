"""Recognize what a file is by its first bytes, and name the command that takes it, for error messages.

    describe_kind(Path("face.png"))                 # "a PNG image"
    command_for(Path("face.png"))                   # "edgefer predict face.png"
"""

from __future__ import annotations

import os
import shlex
import zipfile
from pathlib import Path

__all__ = ["JSON", "RUN", "TFLITE", "command_for", "describe_kind"]

HEAD_BYTES = 4096
FOLDER, RUN, MISSING, UNREADABLE, EMPTY, STREAM = (
    "a folder", "a run folder", "missing", "not readable for this user", "empty", "neither a file nor a folder"
)  # fmt: skip
TFLITE, KERAS, HDF5, ONNX = "a TensorFlow Lite model", "a Keras model", "an HDF5 file, such as Keras weights", "ONNX"
IMAGE, VIDEO, ARRAYS, TABLE, JSON, TOML, TEXT, BINARY = (
    "an image", "a video", "an .npz of arrays", "a CSV table", "JSON", "TOML", "text", "binary data of no known kind"
)  # fmt: skip
# Offset and bytes of the signatures.
SIGNATURES = (
    (4, b"TFL3", TFLITE), (0, b"\x89HDF\r\n\x1a\n", HDF5), (0, b"\x89PNG", IMAGE), (0, b"\xff\xd8\xff", IMAGE),
    (0, b"GIF8", IMAGE), (0, b"BM", IMAGE), (0, b"II*\0", IMAGE), (0, b"MM\0*", IMAGE), (8, b"WEBP", IMAGE),
    (0, b"P5", IMAGE), (0, b"P6", IMAGE), (4, b"ftyp", VIDEO), (8, b"AVI ", VIDEO), (0, b"\x1aE\xdf\xa3", VIDEO),
)  # fmt: skip
COMMANDS = {
    TFLITE: "edgefer evaluate {}", IMAGE: "edgefer predict {}", VIDEO: "edgefer predict {}",
    ARRAYS: "edgefer data check {}", TABLE: "edgefer data check {}", JSON: "edgefer report {}",
    TOML: "edgefer train --settings {}", RUN: "edgefer evaluate {}",
    KERAS: "a run folder of edgefer train: edgefer quantize RUN --int8",
    HDF5: "the run folder that contains it: edgefer quantize RUN --int8",
}  # fmt: skip


def describe_kind(path: Path) -> str:
    """Return the kind of a file or folder as a noun phrase or an adjective, such as "a Keras model" or "missing"."""
    try:
        if path.is_dir():
            return RUN if (path / "settings.toml").exists() else FOLDER
        if not path.is_file():
            return STREAM if path.exists() else MISSING
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return UNREADABLE if os.path.lexists(path) else MISSING
    if not head:
        return EMPTY
    for offset, signature, kind in SIGNATURES:
        if head[offset:].startswith(signature):
            return kind
    if head.startswith(b"PK"):
        return _describe_archive(path)
    return _describe_text(head, path.suffix.lower())


def command_for(path: Path) -> str:
    """Return the command that takes a file of this kind; empty if none does."""
    name = str(path)
    return COMMANDS.get(describe_kind(path), "").format(shlex.quote(name if not name.startswith("-") else f"./{name}"))


def _describe_archive(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, NotImplementedError):
        return "a damaged ZIP archive"
    if "model.weights.h5" in names:
        return KERAS
    return ARRAYS if names and all(name.endswith(".npy") for name in names) else "a ZIP archive"


def _describe_text(head: bytes, suffix: str) -> str:
    # A character may be cut at the end.
    text = head.decode("utf-8", "ignore").lstrip("\ufeff \t\r\n")
    if b"\0" in head or len(head) - len(head.decode("utf-8", "ignore").encode()) > 3:
        return BINARY
    if text.startswith(("{", "[")) and suffix != ".toml":
        return JSON
    return {".toml": TOML, ".csv": TABLE, ".onnx": ONNX}.get(suffix, TEXT)
