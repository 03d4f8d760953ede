"""One bench at a time on a device: two at once would measure each other.

    with only_bench():
        ...

The lock is the kernel's and belongs to the process, so it is gone when the process is, however that ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from edgefer.errors import DeviceUnreachable

__all__ = ["cache_folder", "only_bench"]


def cache_folder() -> Path:
    """Where a device keeps what was pushed to it: edgefer/pushed in $XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "edgefer", "pushed")


@contextlib.contextmanager
def only_bench(folder: Path | None = None) -> Iterator[None]:
    """Hold the lock in ``folder`` (default: the cache).

    Raises:
        DeviceUnreachable: another bench holds it; the message says which process.
    """
    folder = folder or cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    # The kernel locks what is open, so this one file must stay, and is written in place.
    handle = os.open(folder / "bench.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, 20, 0).decode() or "of unknown number"
            why = f"process {holder} holds {folder / 'bench.lock'}; two at once would measure each other"
            fix = "the same when it is done"
            raise DeviceUnreachable("another bench runs on this device", why=why, fix=fix) from error
        os.ftruncate(handle, 0)
        os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)
