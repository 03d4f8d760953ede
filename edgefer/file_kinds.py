"""Recognize the kind of a file by its first bytes, and return the command for such files, for error messages.

    describe_kind(Path("face.png"))                 # "a PNG image"
    command_for(Path("face.png"))                   # "edgefer predict face.png"
"""

from __future__ import annotations

import os
import shlex
import zipfile
from pathlib import Path

from edgefer.media_signatures import START_BYTES, image_format, unsupported_image, video_format

__all__ = ["IMPORTED_NETWORK", "JSON", "RUN", "TFLITE", "TOML", "artifacts_in", "command_for", "describe_kind"]

# File in the run folder of an imported network: its float32 flatbuffer, which has no contract.
IMPORTED_NETWORK = "network.tflite"
HDF5_START, TFLITE_IDENTIFIER = b"\x89HDF\r\n\x1a\n", b"TFL3"
FOLDER, RUN, MISSING, UNREADABLE, EMPTY, STREAM = (
    "a folder", "a run folder", "missing", "not readable for this user", "empty", "neither a file nor a folder"
)  # fmt: skip
TFLITE, KERAS, HDF5, ONNX = "a TensorFlow Lite model", "a Keras model", "an HDF5 file, such as Keras weights", "ONNX"
IMAGE, VIDEO, ARRAYS, TABLE, JSON, TOML, TEXT, BINARY = (
    "an image", "a video", "an .npz of arrays", "a CSV table", "JSON", "TOML", "text", "binary data of no known kind"
)  # fmt: skip
COMMANDS = {
    TFLITE: "edgefer evaluate {}", IMAGE: "edgefer predict {}", VIDEO: "edgefer predict {}",
    ARRAYS: "edgefer data check {}", TABLE: "edgefer data check {}", JSON: "edgefer report {}",
    TOML: "edgefer train --settings {}", RUN: "edgefer evaluate {}",
    KERAS: "edgefer quantize {} --int8 --data PATH",
    HDF5: "edgefer quantize {} --int8 --data PATH",
}  # fmt: skip


def describe_kind(path: Path) -> str:
    """Return the kind of a file or folder as a noun phrase or an adjective, such as "a Keras model" or "missing"."""
    try:
        if path.is_dir():
            return RUN if (path / "settings.toml").exists() else FOLDER
        if not path.is_file():
            return STREAM if path.exists() else MISSING
        with path.open("rb") as file:
            head = file.read(START_BYTES)
    except OSError:
        return UNREADABLE if os.path.lexists(path) else MISSING
    if not head:
        return EMPTY
    if head[4:8] == TFLITE_IDENTIFIER:
        return TFLITE
    if head.startswith(HDF5_START):
        return HDF5
    if image_format(head) or unsupported_image(head):
        return IMAGE
    if video_format(head):
        return VIDEO
    if head.startswith(b"PK"):
        return _describe_archive(path)
    return _describe_text(head, path.suffix.lower())


def command_for(path: Path) -> str:
    """Return the command that takes a file of this kind; empty if none does."""
    name = str(path)
    return COMMANDS.get(describe_kind(path), "").format(shlex.quote(name if not name.startswith("-") else f"./{name}"))


def artifacts_in(run: Path) -> list[Path]:
    """Return the artifacts in a run folder, sorted by name."""
    # A leading dot marks an unfinished file.
    names = (path for path in run.glob("*.tflite") if not path.name.startswith("."))
    return sorted(path for path in names if path.name != IMPORTED_NETWORK)


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
