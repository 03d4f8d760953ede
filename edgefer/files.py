"""Write files atomically, and list the files of a folder without the leftovers of file systems.

    with atomic_write(path) as temporary:           # a temporary name in the same folder, renamed on success
        np.savez(temporary, pixels=pixels)
    write_text(path, "...")

walk = walk_files(folder)                       # without hidden files, trash folders and thumbnails
walk.files, walk.unreadable
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

__all__ = [
    "FolderWalk", "atomic_write", "create_temporary", "is_filesystem_leftover", "is_loop", "is_utf8", "link_to",
    "remove_leftovers", "utf8_path", "walk_files", "write_bytes", "write_text",
]  # fmt: skip

# Bytes. A name has at most 255, of which a dot, the process, eight random characters and separators take up to 30.
LONGEST_SUFFIX = 225
LEFTOVER_AGE_S = 60.0

# Names that operating systems, network drives and archivers create, in lower case. Names with a leading dot, such as
# .Trash-1000, .ipynb_checkpoints, .AppleDouble and ._photo.jpg, are covered by the rule for hidden files.
LEFTOVER_NAMES = frozenset({
    "#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recently-snapshot", "@recycle", "@sharebin",
    "@sharesnapshot", "@synoresource", "@tmp", "__macosx", "__pycache__", "desktop.ini", "ehthumbs.db",
    "ehthumbs_vista.db", "icon\r", "lost+found", "lost.dir", "network trash folder", "recycled", "recycler",
    "system volume information", "temporary items", "thumbs.db", "thumbs.db:encryptable",
})  # fmt: skip
# Folders of chkdsk (FOUND.000), previews of Lightroom, and streams that Synology adds to each file.
LEFTOVER_PATTERN = re.compile(r"found\.\d{3}|.*\.lrdata|.*@syno(eastream|resource)")


@contextlib.contextmanager
def atomic_write(path: Path, *, mode: int = 0o666) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``, with the same suffix, and rename it to ``path`` on success.

    Missing folders are created. If ``path`` is a symbolic link, its target is replaced. If the block raises, ``path``
    keeps its content and the temporary file is removed.

    Args:
        path: file to write.
        mode: permissions of the file, reduced by the umask.
    """
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = create_temporary(path, mode)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)
    except OSError as error:
        # An error of writing, such as that of a full disk, names no file.
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of killed processes in the folder of ``path``.

    Files of running processes are kept. So are recent files, which may belong to another host of a network file system.
    """
    path = Path(os.path.realpath(path))
    pattern = re.compile(rf"\.(\d+)_\w{{8}}{re.escape(_temporary_suffix(path))}")
    try:
        names = [file.name for file in path.parent.iterdir()]
    except OSError:  # no such folder, or one that cannot be listed
        return
    for leftover in filter(None, map(pattern.fullmatch, names)):
        with contextlib.suppress(OSError):
            file = path.with_name(leftover[0])
            if time.time() - file.lstat().st_mtime > LEFTOVER_AGE_S and not _is_running(int(leftover[1])):
                file.unlink()


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # a process of another user
        pass
    return True


def create_temporary(path: Path, mode: int = 0o666) -> Path:
    """Create an empty file in the folder of ``path`` that remove_leftovers() finds, and return its path.

    The system applies the umask to ``mode``. os.umask() returns the mask only while it replaces it, and every file of
    other threads is affected in between.
    """
    while True:
        # np.savez and Keras choose the format by the suffix, so the temporary name keeps the end of the name.
        temporary = path.with_name(f".{os.getpid()}_{secrets.token_hex(4)}{_temporary_suffix(path)}")
        try:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        except FileExistsError:
            continue
        return temporary


def _temporary_suffix(path: Path) -> str:
    """Return the end of the temporary name of ``path``; the name is within the limit of the file system."""
    suffix = path.name
    while len(os.fsencode(suffix)) > LONGEST_SUFFIX:
        suffix = suffix[1:]
    return f"-{suffix}"


def write_bytes(path: Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write ``content`` to ``path`` atomically; a pipe or a device, such as /dev/stdout, is written directly."""
    if path.exists() and not path.is_file() and not path.is_dir():
        # Renaming a file to this path would replace the pipe or device.
        path.write_bytes(content)
        return
    with atomic_write(path, mode=mode) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str, *, mode: int = 0o666) -> None:
    """Write ``content`` to ``path`` atomically, in UTF-8."""
    # A lone surrogate represents a byte of a file name that is not UTF-8.
    write_bytes(path, content.encode(errors="backslashreplace"), mode=mode)


@contextlib.contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """Yield a path of the same file that is valid UTF-8; OpenCV ends the process on any other.

    A relative path begins with "./": FFmpeg takes 2026-11-30T12:30.mp4 for an address with a protocol.
    """
    if is_utf8(str(path)):
        yield os.path.join(".", path)  # noqa: PTH118 - Path removes the dot
        return
    with tempfile.TemporaryDirectory(prefix="edgefer-") as folder:
        link = Path(folder, f"file{path.suffix if is_utf8(path.suffix) else ''}")
        link.symlink_to(path.absolute())
        yield str(link)


def is_utf8(name: str) -> bool:
    """Return False for a file name that has bytes outside UTF-8, which Python represents by surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def link_to(link: Path, target: str) -> None:
    """Create or atomically replace the symbolic link ``link`` to ``target``, a path relative to the link's folder."""
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
        files: every entry that is not a folder, sorted; a broken link and a named pipe count as entries.
        unreadable: folders that cannot be listed, with the error of each, sorted.
    """

    files: tuple[Path, ...]
    unreadable: tuple[tuple[Path, OSError], ...]


def is_loop(folder: Path) -> bool:
    """Return True for a link to a folder that contains it, such as ``faces/happy/all`` to ``faces``."""
    if not os.path.islink(folder):  # noqa: PTH114 - Path.is_symlink() raises an error for a name that is too long
        return False
    outer, target = os.path.realpath(folder.parent), os.path.realpath(folder)
    return os.path.commonpath((outer, target)) == target


def walk_files(folder: Path) -> FolderWalk:
    """List the files below ``folder`` without filesystem leftovers; follow links to folders, each folder once.

    A link to a folder that contains it is ignored: files beside ``folder`` are not below it.
    """
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
            elif (target := os.path.realpath(child)) not in visited and not is_loop(child):
                visited.add(target)
                pending.append(child)
    return FolderWalk(tuple(sorted(entries)), tuple(sorted(unreadable, key=lambda item: item[0])))
