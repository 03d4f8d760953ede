"""edgefer's board side and a model in one file that any Python with numpy, OpenCV and a runtime starts: a zipapp.

    atomic.write_bytes(path, bundle(artifact, name="compact_small-int8"))       # python3 compact_small-int8.pyz
    bundle()                                                                    # without a model, for a bench elsewhere

In it are the modules that a board can use, the model, and click and rich as they are installed here, with their
licences: both are pure Python, so what a board must have is what is compiled for it. What rich itself requires
(pygments and markdown-it-py, four times its size) only colours code and Markdown, which edgefer prints none of.

The same artifact, edgefer, click and rich give the same bytes.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import io
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgefer import plugins
from edgefer.contract.artifact import ZIP_DATE, Artifact

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["SUFFIX", "bundle"]

SUFFIX = ".pyz"
SHEBANG = b"#!/usr/bin/env python3\n"
VENDORED = ("click", "rich")
# The pages of edgefer report --html and edgefer live --serve have their parts in files of their own.
OWN_SUFFIXES = (".py", ".css", ".html", ".js", ".svg")
# Where edgefer.models finds it.
MODEL_FOLDER = "edgefer/models/bundled"
# Packages that stay on the workstation: training, and control of other devices.
WORKSTATION_PACKAGES = {"workstation", "fleet"}
# Plug-ins in these packages that set NEEDS_WORKSTATION stay there too.
PLUGIN_PACKAGES = ("edgefer.cli.commands", "edgefer.inference.runtimes")


def bundle(artifact: Artifact | None = None, *, name: str = "model") -> bytes:
    """The content of a .pyz.

    Args:
        artifact: the model that its commands take unless told otherwise; None for none.
        name: what to call that model, the stem of its file.
    """
    entries = dict(_edgefer())
    entries["__main__.py"] = entries["edgefer/cli/bootstrap.py"]
    if artifact is not None:
        entries[f"{MODEL_FOLDER}/{name}.tflite"] = artifact.to_bytes()
    for package in VENDORED:
        entries.update(_sources(importlib.resources.files(package), package))
        entries.update(_licence(package))
    return _zipped(entries)


def _edgefer() -> Iterator[tuple[str, bytes]]:
    excluded = {
        f"{package.replace('.', '/')}/{name}.py"
        for package in PLUGIN_PACKAGES
        for name in plugins.names(package)
        if getattr(plugins.load(package, name), "NEEDS_WORKSTATION", False)
    }
    for name, content in _sources(importlib.resources.files("edgefer"), "edgefer", suffixes=OWN_SUFFIXES):
        if name not in excluded and PurePosixPath(name).parts[1] not in WORKSTATION_PACKAGES:
            yield name, content


def _sources(
    folder: Traversable, prefix: str, *, suffixes: tuple[str, ...] = (".py",)
) -> Iterator[tuple[str, bytes]]:
    """Name and content of the files below ``folder`` that end so; it may itself lie in a bundle."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _sources(entry, f"{prefix}/{entry.name}", suffixes=suffixes)
        elif entry.name.endswith(suffixes):
            yield f"{prefix}/{entry.name}", entry.read_bytes()


def _licence(package: str) -> Iterator[tuple[str, bytes]]:
    """The metadata of an installed package, which name its licence, and the files of that licence."""
    distribution = importlib.metadata.distribution(package)
    folder = f"{package}-{distribution.version}.dist-info"
    # Metadata from before 2022 do not name the file.
    files = distribution.metadata.get_all("License-File") or ["LICENSE"]
    # Where a licence lies has changed with the version of the metadata.
    for name in ("METADATA", *files, *(f"licenses/{file}" for file in files)):
        text = distribution.read_text(name)
        if text:
            yield f"{folder}/{name}", text.encode()


def _zipped(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO(SHEBANG)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, ZIP_DATE)
            entry.create_system = 3  # Unix, whatever this machine is
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, entries[name], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
