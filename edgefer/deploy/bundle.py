"""Build a bundle: edgefer and a model in one file that runs on any board with Python, numpy, OpenCV and a runtime.

    files.write_bytes(path, bundle(artifact, name="small-int8"))    # run it with: python3 small-int8.pyz
    bundle()                                                        # without a model, for remote benchmarks

The bundle is a zipapp. It contains every package of edgefer except those in WORKSTATION_PACKAGES, every plug-in that
does not set NEEDS_WORKSTATION, the model, and click and rich with their licenses. Both are pure Python, so a board only
needs the compiled packages. The dependencies of rich (pygments and markdown-it-py, four times its size) are left out:
they render source code and Markdown, which edgefer never prints.

The same artifact and the same versions of edgefer, click and rich give the same bytes.
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
from edgefer.contract.archive import ZIP_DATE
from edgefer.contract.artifact import Artifact

if TYPE_CHECKING:
    from importlib.abc import Traversable

__all__ = ["SUFFIX", "bundle"]

SUFFIX = ".pyz"
SHEBANG = b"#!/usr/bin/env python3\n"
VENDORED = ("click", "rich")
# Source code, and the parts of the web pages of edgefer report --html and edgefer live --serve.
EDGEFER_SUFFIXES = (".py", ".css", ".html", ".js", ".svg")
# edgefer.models looks for the model of a bundle in this folder.
MODEL_FOLDER = "edgefer/models/bundled"
# Packages that stay on the workstation: training, control of other devices, and both together.
WORKSTATION_PACKAGES = {"workstation", "fleet", "search"}
# Plug-ins in these packages that set NEEDS_WORKSTATION stay there too.
PLUGIN_PACKAGES = ("edgefer.cli.commands", "edgefer.inference.runtimes")


def bundle(artifact: Artifact | None = None, *, name: str = "model") -> bytes:
    """Build a bundle.

    Args:
        artifact: the default model of its commands; None for a bundle without a model.
        name: name of that model, without a suffix.

    Returns:
        The content of a .pyz file.
    """
    entries = dict(_edgefer_files())
    entries["__main__.py"] = entries["edgefer/cli/bootstrap.py"]
    if artifact is not None:
        # A file name may have bytes that are not UTF-8, which names in a ZIP archive must be.
        entries[f"{MODEL_FOLDER}/{name.encode(errors='replace').decode()}.tflite"] = artifact.to_bytes()
    for package in VENDORED:
        entries.update(_package_files(importlib.resources.files(package), package))
        entries.update(_license_files(package))
    return _zip(entries)


def _edgefer_files() -> Iterator[tuple[str, bytes]]:
    excluded = {
        f"{package.replace('.', '/')}/{name}.py"
        for package in PLUGIN_PACKAGES
        for name in plugins.names(package)
        if getattr(plugins.load(package, name), "NEEDS_WORKSTATION", False)
    }
    for name, content in _package_files(importlib.resources.files("edgefer"), "edgefer", suffixes=EDGEFER_SUFFIXES):
        if name not in excluded and PurePosixPath(name).parts[1] not in WORKSTATION_PACKAGES:
            yield name, content


def _package_files(
    folder: Traversable, prefix: str, *, suffixes: tuple[str, ...] = (".py",)
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of the files below ``folder`` with these suffixes; the folder may be inside a bundle."""
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _package_files(entry, f"{prefix}/{entry.name}", suffixes=suffixes)
        elif entry.name.endswith(suffixes):
            yield f"{prefix}/{entry.name}", entry.read_bytes()


def _license_files(package: str) -> Iterator[tuple[str, bytes]]:
    """Yield the metadata of an installed package, which name its license, and the license files."""
    distribution = importlib.metadata.distribution(package)
    folder = f"{package}-{distribution.version}.dist-info"
    # Metadata before version 2.2 does not contain the name of the license file.
    files = distribution.metadata.get_all("License-File") or ["LICENSE"]
    # The folder of license files depends on the metadata version.
    for name in ("METADATA", *files, *(f"licenses/{file}" for file in files)):
        text = distribution.read_text(name)
        if text:
            yield f"{folder}/{name}", text.encode()


def _zip(entries: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO(SHEBANG)
    with zipfile.ZipFile(buffer, "a") as archive:
        for name in sorted(entries):
            entry = zipfile.ZipInfo(name, ZIP_DATE)
            entry.create_system = 3  # Unix, on every machine
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, entries[name], zipfile.ZIP_DEFLATED, 9)
    return buffer.getvalue()
