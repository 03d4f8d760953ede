"""Files that are either whole or not there: written under a temporary name beside the target, then renamed.

with atomic_write(path) as temporary:
    np.savez(temporary, pixels=pixels)

write_text(path, "...")

walk = walk_files(folder)                       # without hidden files, trash folders and thumbnails
walk.files, walk.unreadable
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

__all__ = ["FolderWalk", "atomic_write", "is_filesystem_leftover", "link_to", "walk_files", "write_bytes", "write_text"]

# Names that operating systems, network drives and archivers create, in lower case. Names with a leading dot, such as
# .Trash-1000, .ipynb_checkpoints, .AppleDouble and ._photo.jpg, are covered by the rule for hidden files.
LEFTOVER_NAMES = frozenset({
    "#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "@sharebin",
    "@sharesnapshot", "@synoresource", "@tmp", "__macosx", "__pycache__", "desktop.ini", "ehthumbs.db",
    "ehthumbs_vista.db", "icon\r", "lost+found", "lost.dir", "network trash folder", "recycled", "recycler",
    "system volume information", "temporary items", "thumbs.db", "thumbs.db:encryptable",
})  # fmt: skip
# Folders of chkdsk (FOUND.000) and previews of Lightroom; Synology's streams beside each file.
LEFTOVER_PATTERN = re.compile(r"found\.\d{3}|.*\.lrdata|.*@syno(eastream|resource)")


@contextlib.contextmanager
def atomic_write(path: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path`` that ends as it does; rename it to ``path`` on success.

    Missing folders are made, and a link stays one: what it points to is replaced. If the block raises, ``path`` stays
    as it was and the temporary file is removed.

    Args:
        path: the file.
        mode: who may read and write it, as far as the process's umask lets him.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Savers such as np.savez and Keras choose the format by how a name ends, so the temporary name keeps all of it.
    handle, name = tempfile.mkstemp(prefix=".", suffix=f"-{path.name}", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        # mkstemp makes files that only their owner may read; give the result the usual permissions.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(mode & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write ``content`` to ``path`` in one step; a pipe or a device, such as /dev/stdout, is written to as it is."""
    if path.exists() and not path.is_file() and not path.is_dir():
        # Renaming a file onto it would take its place.
        path.write_bytes(content)
        return
    with atomic_write(path, mode=mode) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str, *, mode: int = 0o666) -> None:
    """Write ``content`` to ``path`` in UTF-8 in one step."""
    write_bytes(path, content.encode(), mode=mode)


def link_to(link: Path, target: str) -> None:
    """Point the symbolic link ``link`` to ``target`` (relative to its folder), replacing an older link in one step."""
    link.parent.mkdir(parents=True, exist_ok=True)
    temporary = link.with_name(f".{link.name}-{os.getpid()}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target)
    temporary.replace(link)


def is_filesystem_leftover(path: str | PurePath) -> bool:
    """Return True for hidden files, trash folders, thumbnail caches and metadata that a system left in a folder.

    Args:
        path: path relative to the folder that the user named, so that a hidden folder can still be named itself. One
            matching part is enough: "@eaDir/a.jpg/SYNOFILE_THUMB_M.jpg" is a leftover.
    """
    names = (name.lower() for name in PurePath(path).parts if name not in ("..", os.sep))
    return any(name[0] == "." or name in LEFTOVER_NAMES or LEFTOVER_PATTERN.fullmatch(name) for name in names)


@dataclass(frozen=True)
class FolderWalk:
    """Content of a folder and its subfolders.

    Attributes:
        files: every entry that is no folder, sorted; a broken link and a named pipe count as entries.
        unreadable: folders that cannot be listed, with the error of each, sorted.
    """

    files: tuple[Path, ...]
    unreadable: tuple[tuple[Path, OSError], ...]


def walk_files(folder: Path) -> FolderWalk:
    """List the files below ``folder`` without filesystem leftovers; follow links to folders, each folder once."""
    entries: list[Path] = []
    unreadable: list[tuple[Path, OSError]] = []
    pending, visited = [folder], {os.path.realpath(folder)}
    while pending:
        current = pending.pop()
        try:
            children = list(current.iterdir())
        except OSError as error:
            unreadable.append((current, error))
            continue
        for child in children:
            if is_filesystem_leftover(child.name):
                continue
            if not os.path.isdir(child):  # noqa: PTH112 - Path.is_dir() raises PermissionError
                entries.append(child)
            elif (target := os.path.realpath(child)) not in visited:
                visited.add(target)
                pending.append(child)
    return FolderWalk(tuple(sorted(entries)), tuple(sorted(unreadable, key=lambda item: item[0])))
