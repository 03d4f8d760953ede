import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgefer import cache
from edgefer.errors import UsageError


def test_the_cache_folder_follows_the_xdg_standard(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder("teachers") == tmp_path / "edgefer" / "teachers"
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for ignored in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert cache.folder() == tmp_path / "home" / ".cache" / "edgefer"


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """Return a cache with three entries of 40 kB, of which "a" is the oldest, and other files that are older."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "edgefer"
    names = {
        "pushed/bench.lock": 50, "pushed/faces.npz": 50, ".1_aa-pixels.npy": 50, "checked-models-v1/x": 50,
        "a.npz": 40, "a.npy": 41, "teachers/answers-b.npy": 30, "c.npz": 10, "c.npy": 20,
    }  # fmt: skip
    for name, hours in names.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(40_000 if name.startswith("teachers") else 20_000))
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    return folder


ENTRIES = {"a.npy", "a.npz", "answers-b.npy", "c.npy", "c.npz"}


def entries_in(folder):
    return {path.name for path in folder.rglob("*") if path.name in ENTRIES}


@pytest.mark.parametrize(
    ("limit", "removed"),
    [
        ("", set()), ("inf", set()), ("0.00012", set()), ("0.000119", {"a.npy", "a.npz"}),
        ("8e-5", {"a.npy", "a.npz"}), ("7e-5", {"a.npy", "a.npz", "answers-b.npy"}), ("0", ENTRIES),
    ],
)  # fmt: skip
def test_the_least_recently_used_entries_exceed_the_cache(filled, limit, removed, monkeypatch):
    monkeypatch.setenv("EDGEFER_CACHE_GB", limit)
    others = {path for path in filled.rglob("*") if path.name not in ENTRIES}
    cache.trim()
    assert entries_in(filled) == ENTRIES - removed
    assert others <= set(filled.rglob("*"))


def test_the_default_limit_of_the_cache_is_10_gb(filled, monkeypatch):
    monkeypatch.delenv("EDGEFER_CACHE_GB", raising=False)
    changed = (filled / "teachers/answers-b.npy").stat()
    for size, removed in ((9_999_900_000, set()), (9_999_950_000, {"a.npy", "a.npz"})):
        os.truncate(filled / "teachers/answers-b.npy", size)  # takes no blocks of the disk
        os.utime(filled / "teachers/answers-b.npy", (changed.st_atime, changed.st_mtime))
        cache.trim()
        assert entries_in(filled) == ENTRIES - removed


def test_an_entry_that_was_used_meanwhile_stays_in_the_cache(filled, monkeypatch):
    monkeypatch.setenv("EDGEFER_CACHE_GB", "0")
    cache.mark_used(filled / "a.npz")
    cache.mark_used(filled / "no-such.npz")
    cache.trim()
    assert entries_in(filled) == {"a.npy", "a.npz"}


def test_an_entry_that_another_process_has_open_stays_in_the_cache(filled, monkeypatch):
    monkeypatch.setenv("EDGEFER_CACHE_GB", "0")
    code = "import sys; from edgefer import cache; file = open(sys.argv[1]); cache.lock_shared(file.fileno()); "
    code += "print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", code, filled / "c.npy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"open\n"
        cache.trim()
        assert entries_in(filled) == {"c.npy", "c.npz"}
        other.stdin.close()
    cache.trim()
    assert entries_in(filled) == set()


def test_two_processes_trim_the_cache_at_once(filled, monkeypatch):
    monkeypatch.setenv("EDGEFER_CACHE_GB", "0.00002")
    for number in range(200):
        path = filled / f"{number:03}.npy"
        path.write_bytes(bytes(1000))
        os.utime(path, (number, number))
    command = [sys.executable, "-c", "from edgefer import cache; cache.trim()"]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE) for _ in range(2)]
    assert [process.communicate()[1] for process in processes] == [b"", b""]
    assert entries_in(filled) <= {"c.npy", "c.npz"}
    assert not [*filled.glob("[0-9]*.npy")]


@pytest.mark.parametrize("limit", ["many", "-1", "nan", "2 GB"])
def test_an_invalid_limit_of_the_cache_is_an_error(limit, monkeypatch):
    monkeypatch.setenv("EDGEFER_CACHE_GB", limit)
    with pytest.raises(UsageError, match=f"EDGEFER_CACHE_GB={limit}: expected the limit of the cache in GB") as refused:
        cache.folder()
    assert refused.value.hint == "export EDGEFER_CACHE_GB=10"


def test_a_cache_that_cannot_be_changed_is_no_error(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEFER_CACHE_GB", "0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "none"))
    cache.trim()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def unlink(path, *, missing_ok=False):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", unlink)
    cache.trim()
    assert entries_in(filled) == ENTRIES
