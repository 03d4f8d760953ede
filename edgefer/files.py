"""Files that are either whole or not there: written under a temporary name beside the target, then renamed.

    with atomic_write(path) as temporary:
        np.savez(temporary, pixels=pixels)

    write_text(path, "...")
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["atomic_write", "link_to", "write_bytes", "write_text"]


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
