"""Find the folder of the cache, and keep the cache within its limit.

    folder = cache.folder("teachers")               # None for a user without a home folder
    cache.mark_used(path)                           # trim() then keeps it longer
    cache.lock_shared(descriptor)                   # trim() keeps it while it is open
    cache.trim()                                    # after a new file in the cache
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import time
from pathlib import Path

from edgefer.errors import UsageError

__all__ = ["folder", "lock_shared", "mark_used", "trim"]

# Environment variable with the limit of the cache in GB, and its default.
CACHE_LIMIT, DEFAULT_CACHE_GB = "EDGEFER_CACHE_GB", 10.0
# Arrays in these folders of the cache count; other folders are small or have commands of their own.
LIMITED_FOLDERS = ("", "teachers")
ARRAY_SUFFIXES = (".npy", ".npz")
# File systems store times in steps of up to two seconds.
STARTED_AT = time.time() - 2


def folder(name: str = "") -> Path | None:
    """Return the folder ``name`` of edgefer's cache, in $XDG_CACHE_HOME or ~/.cache.

    Returns:
        An absolute path, or None for a user without a home folder, such as a service.

    Raises:
        UsageError: $EDGEFER_CACHE_GB is not a number; found before the work and not after it.
    """
    _cache_limit_bytes()
    # The XDG standard ignores relative paths.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (base if base.is_absolute() else Path.home() / ".cache") / "edgefer" / name
    except RuntimeError:
        return None


def _cache_limit_bytes() -> float:
    text = os.environ.get(CACHE_LIMIT) or str(DEFAULT_CACHE_GB)
    try:
        limit = float(text) * 1e9
    except ValueError:
        limit = math.nan
    if not limit >= 0:
        why, hint = "expected the limit of the cache in GB", f"export {CACHE_LIMIT}={DEFAULT_CACHE_GB:g}"
        raise UsageError(f"{CACHE_LIMIT}={text}", why=why, hint=hint)
    return limit


def mark_used(path: Path) -> None:
    """Make a file of the cache the most recently used one."""
    with contextlib.suppress(OSError):  # a cache of another user, or a read-only one
        os.utime(path)


def lock_shared(descriptor: int) -> None:
    """Protect a file from trim() in all processes as long as it is open; some file systems have no locks."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


def trim() -> None:
    """Remove the least recently used arrays of the cache until it is within $EDGEFER_CACHE_GB.

    Files with the same stem are one entry. Entries that any process has used since this one started are kept, and so
    are files with lock_shared(). Another process that opens an entry meanwhile finds no file, or keeps the open one.
    """
    entries: dict[Path, list[tuple[Path, os.stat_result]]] = {}
    for place in filter(None, map(folder, LIMITED_FOLDERS)):
        for file in _listed(place):
            if file.suffix in ARRAY_SUFFIXES and not file.name.startswith("."):
                with contextlib.suppress(OSError):  # another process has removed it
                    stat = file.lstat()
                    entries.setdefault(file.with_suffix(""), []).append((file, stat))
    excess = sum(stat.st_size for entry in entries.values() for _, stat in entry) - _cache_limit_bytes()
    for entry in sorted(entries.values(), key=_used_at):
        if excess <= 0 or _used_at(entry) >= STARTED_AT:
            return
        if not any(_is_locked(file) for file, _ in entry):
            # The .npz first: without it, there is no entry.
            for file, stat in sorted(entry, reverse=True):
                with contextlib.suppress(OSError):
                    file.unlink(missing_ok=True)
                    excess -= stat.st_size


def _used_at(entry: list[tuple[Path, os.stat_result]]) -> float:
    return max(stat.st_mtime for _, stat in entry)


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def _listed(folder: Path) -> list[Path]:
    """Return the content of a folder; nothing if it does not exist or cannot be listed."""
    try:
        return list(folder.iterdir())
    except OSError:
        return []
