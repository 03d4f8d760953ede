"""Pixels in files: a writer that never loses faces, and files whose damage is found."""

import gc
import os
import subprocess
import sys

import numpy as np
import pytest

from edgefer import cache
from edgefer.data import pixel_files
from edgefer.data.pixel_files import PixelWriter, StoredPixels, open_pixels, pixels_crc, save_pixels
from edgefer.errors import DataError

FACES = np.random.default_rng(0).integers(0, 256, (40, 9, 11), np.uint8)


@pytest.fixture
def small_memory(monkeypatch):
    """Keep at most ten faces in memory, and write three at a time."""
    monkeypatch.setattr(pixel_files, "MEMORY_BYTES", 10 * FACES[0].nbytes)
    monkeypatch.setattr(pixel_files, "WRITTEN_BYTES", 3 * FACES[0].nbytes)


def written(folder, faces=FACES):
    with PixelWriter(faces.shape[1:], folder=folder) as writer:
        for face in faces:
            writer.append(face)
        return writer.finish()


def test_few_faces_are_an_array_in_memory(tmp_path):
    pixels = written(tmp_path)
    assert isinstance(pixels, np.ndarray)
    assert np.array_equal(pixels, FACES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 12, 13, 40])
def test_all_faces_are_kept_in_their_order(count, small_memory, tmp_path):
    pixels = written(tmp_path, FACES[:count])
    assert isinstance(pixels, StoredPixels) == (count >= 10)
    assert pixels.shape == (count, 9, 11)
    assert np.array_equal(pixels[:], FACES[:count])


def test_a_temporary_file_is_removed_with_its_pixels(small_memory, tmp_path):
    pixels = written(tmp_path)
    (path,) = tmp_path.iterdir()
    assert np.array_equal(np.load(path), FACES)
    del pixels
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_a_writer_that_fails_leaves_no_file(small_memory, tmp_path):
    with pytest.raises(KeyboardInterrupt), PixelWriter((9, 11), folder=tmp_path) as writer:
        for face in FACES:
            writer.append(face)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_saved_pixels_outlive_the_temporary_file(small_memory, tmp_path):
    pixels = written(tmp_path)
    save_pixels(tmp_path / "faces.npy", pixels)
    assert list(tmp_path.iterdir()) == [tmp_path / "faces.npy"]
    assert np.array_equal(pixels[:], FACES)
    del pixels
    gc.collect()
    assert np.array_equal(np.load(tmp_path / "faces.npy", mmap_mode="r"), FACES)


def test_pixels_of_another_folder_are_copied(small_memory, tmp_path):
    pixels = written(tmp_path / "one")
    (tmp_path / "two").mkdir()
    save_pixels(tmp_path / "two" / "faces.npy", pixels)
    assert np.array_equal(np.load(tmp_path / "two" / "faces.npy"), pixels[:])


@pytest.mark.parametrize("in_memory", [True, False])
def test_opened_pixels_are_the_saved_ones_or_none_if_the_file_is_damaged(in_memory, tmp_path, monkeypatch):
    monkeypatch.setattr(pixel_files, "MEMORY_BYTES", 1 << 20 if in_memory else 0)
    path = tmp_path / "faces.npy"
    save_pixels(path, FACES)
    crc = pixels_crc(FACES)
    opened = open_pixels(path, crc=crc)
    assert isinstance(opened, np.ndarray) == in_memory
    assert np.array_equal(opened[:], FACES)
    content = path.read_bytes()
    damaged = (b"", content[:100], content[:-1], content + b"\0", b"x" + content[1:], content[:-1] + b"\0\0"[:1])
    for bad in damaged:
        path.write_bytes(bad)
        assert (open_pixels(path, crc=crc) is None) == (bad != content)
    np.save(path, FACES.astype(np.int16))
    assert open_pixels(path, crc=crc) is None


def test_a_file_that_is_shortened_while_it_is_used_is_an_error(tmp_path):
    save_pixels(tmp_path / "faces.npy", FACES)
    pixels = StoredPixels(tmp_path / "faces.npy", FACES.shape)
    os.truncate(tmp_path / "faces.npy", 1000)
    with pytest.raises(DataError, match="is damaged"):
        pixels[0]


def test_a_folder_that_is_not_writable_is_replaced_by_that_for_temporary_files(small_memory, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    for folder in (tmp_path / "file" / "cache", None):
        pixels = written(folder)
        assert pixels.path.parent == tmp_path / "temporary"
        assert np.array_equal(pixels[:], FACES)


FULL = """
import resource, sys, tempfile
from pathlib import Path
import numpy as np
from edgefer.data import pixel_files
tempfile.tempdir = sys.argv[2]
faces = np.random.default_rng(0).integers(0, 256, (400, 64, 64), np.uint8)
pixel_files.MEMORY_BYTES, pixel_files.WRITTEN_BYTES = 10 * faces[0].nbytes, 3 * faces[0].nbytes
# The system refuses to let a file grow beyond this size, as on a full disk: a write is cut short, and the next fails.
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
with pixel_files.PixelWriter((64, 64), folder=Path(sys.argv[1])) as writer:
    for face in faces[:200]:
        writer.append(face)
    if sys.argv[4] == "freed":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for face in faces[200:]:
        writer.append(face)
    pixels = writer.finish()
assert np.array_equal(pixels[:], faces)
print(type(pixels).__name__, Path(getattr(pixels, "path", "none")).parent.name)
"""


@pytest.mark.parametrize(
    ("limit", "later", "expected"),
    [
        (500_001, "full", "ndarray "),  # both disks are full: back into memory
        (10_000_000, "full", "StoredPixels one"),  # no disk is full
        (100, "freed", "ndarray "),  # not even the header fits
    ],
)
def test_faces_survive_a_full_disk(limit, later, expected, tmp_path):
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", FULL, *map(str, folders), str(limit), later], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == expected.strip()
    assert [list(folder.iterdir()) for folder in folders] == [[], []]


def test_mapped_pixels_stay_in_the_cache(small_memory, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("EDGEFER_CACHE_GB", "0")
    path = tmp_path / "edgefer" / "faces.npy"
    save_pixels(path, FACES)
    os.utime(path, (0, 0))
    pixels = open_pixels(path, crc=pixels_crc(FACES))
    assert isinstance(pixels, StoredPixels)
    cache.trim()
    assert path.exists()
    del pixels
    gc.collect()
    cache.trim()
    assert not path.exists()
