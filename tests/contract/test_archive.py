"""The limits of an archive apply before anything is decompressed or allocated."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from edgefer.contract.archive import pack_arrays, read_arrays, read_entries, write_entries
from edgefer.errors import DataError

LIMITS = {"a.txt": 1000}


@pytest.fixture
def peak_memory():
    """Return a function that returns the peak of the memory that Python allocated in the test, in bytes."""
    tracemalloc.start()
    tracemalloc.reset_peak()
    base = tracemalloc.get_traced_memory()[0]
    yield lambda: tracemalloc.get_traced_memory()[1] - base
    tracemalloc.stop()


def archive(entries, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def npy(header, data=b"", version=(1, 0)):
    length = struct.pack("<H" if version[0] == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + length + header.encode() + data


def array_header(shape, dtype="|u1"):
    return f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape!r}, }}"


BOMB = archive({"a.txt": bytes(2**26)})


def test_written_entries_are_read_after_any_model():
    content = write_entries(b"model" * 100, {"a.txt": b"text", "b.npz": b"bytes"})
    assert content.startswith(b"model" * 100)
    assert read_entries(content, {"a.txt": 4, "b.npz": 5}) == {"a.txt": b"text", "b.npz": b"bytes"}


def test_model_with_an_archive_of_its_own_keeps_every_byte():
    model = b"model" + archive({"labels.txt": b"of TFLite Metadata", "a.txt": b"other"})
    content = write_entries(model, {"a.txt": b"text"})
    assert content.startswith(model)
    assert read_entries(content, LIMITS) == {"a.txt": b"text"}
    assert zipfile.ZipFile(io.BytesIO(content)).namelist() == ["a.txt"]


def test_entries_are_read_from_the_end_of_a_large_file():
    content = write_entries(bytes(2**24), {"a.txt": b"text"})
    assert read_entries(content, LIMITS) == {"a.txt": b"text"}


def test_entry_above_its_limit_is_named_and_not_decompressed(peak_memory):
    content = BOMB
    with pytest.raises(DataError, match=r"contract is invalid: a\.txt has more than 1,000 bytes"):
        read_entries(content, LIMITS)
    assert peak_memory() < 2**20


def test_entry_that_declares_a_small_size_is_not_decompressed(peak_memory):
    content = bytearray(BOMB)
    # The uncompressed size in the directory, at offset 24 of its entry.
    struct.pack_into("<I", content, content.rindex(b"PK\1\2") + 24, 10)
    with pytest.raises(DataError, match=r"a\.txt"):
        read_entries(bytes(content), LIMITS)
    assert peak_memory() < 2**20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_without_a_limit_are_rejected(method):
    with pytest.raises(DataError, match=r"a\.txt is encrypted or uses ZIP method"):
        read_entries(archive({"a.txt": b"x"}, method), LIMITS)


def test_missing_entry_is_named():
    with pytest.raises(DataError, match=r"incomplete: it has no a\.txt"):
        read_entries(archive({"b.txt": b"x"}), LIMITS)


def test_archive_with_many_entries_is_rejected():
    with pytest.raises(DataError, match="1,001 entries, expected at most 64"):
        read_entries(archive({"a.txt": b"x"} | {f"{number}": b"" for number in range(1000)}), LIMITS)


@pytest.mark.parametrize(
    "content",
    [b"", b"no zip", b"PK\5\6" + bytes(18), archive({"a.txt": b"x" * 99})[:-30]],
    ids=["empty", "no zip", "no entries", "cut"],
)
def test_damaged_archive_is_rejected(content):
    with pytest.raises(DataError, match="contract is (damaged|incomplete)"):
        read_entries(content, LIMITS)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.float32, ">i2"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_packed_arrays_are_read(dtype, order):
    array = np.asarray(np.arange(24).reshape(2, 3, 4), dtype, order=order)
    read = read_arrays(pack_arrays(x=array), ("x",), entry="golden.npz", max_bytes=1000)["x"]
    assert read.dtype == array.dtype
    assert np.array_equal(read, array)


@pytest.mark.parametrize(
    "content",
    [
        npy(array_header((2**40,))),
        npy(array_header((2**40, 48, 48)), bytes(100)),
        npy(array_header((-1,)), bytes(9)),
        npy(array_header((3,), "|O"), bytes(24)),
        npy(array_header((3,), "<U9"), bytes(108)),
        npy(array_header((3,), "[]"), bytes(3)),
        npy("(" * 900),
        npy("-" * 900 + "1"),
        npy("{" + "'a': " * 5000 + "1}"),
        npy("", version=(9, 9)),
        b"\x93NUMPY\2\0" + struct.pack("<I", 2**31),
        b"",
    ],
)
def test_invalid_array_is_named_and_not_allocated(content, peak_memory):
    with pytest.raises(DataError, match=r"x\.npy in golden\.npz is (damaged|invalid)"):
        read_arrays(archive({"x.npy": content}), ("x",), entry="golden.npz", max_bytes=2**20)
    assert peak_memory() < 2**22
