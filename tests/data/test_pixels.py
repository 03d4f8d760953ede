"""Pixels that need not fit into memory: the same faces by every kind of index, whatever stores them."""

import hashlib

import numpy as np
import pytest

from edgefer.contract.preprocessing import Clahe, InputSpec, prepare_all
from edgefer.data.dataset import Dataset, Split
from edgefer.data.pixel_files import StoredPixels, save_pixels
from edgefer.data.pixels import LazyPixels, chunks, nbytes, prepared, subset
from edgefer.data.validation import check

FACES = np.random.default_rng(0).integers(0, 256, (23, 12, 10, 3), np.uint8)
COUNT = len(FACES)


@pytest.fixture
def stored(tmp_path):
    save_pixels(tmp_path / "faces.npy", FACES)
    return StoredPixels(tmp_path / "faces.npy", FACES.shape)


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        np.int64(7),
        slice(None),
        slice(3, 9),
        slice(None, None, -2),
        slice(5, 5),
        [4, 4, 0],
        np.array([22, -23, 3]),
        np.array([], np.int64),
        [],
        np.arange(COUNT) % 3 == 0,
        np.zeros(COUNT, bool),
    ],
)
def test_every_index_returns_the_faces_that_an_array_would(key, stored):
    for pixels in (stored, subset(stored, np.arange(COUNT))):
        assert np.array_equal(pixels[key], FACES[key])
        assert pixels[key].dtype == np.uint8
        assert pixels[key].shape == FACES[key].shape


@pytest.mark.parametrize("key", [COUNT, -COUNT - 1, [0, COUNT], np.ones(COUNT - 1, bool), (0, 1), 0.5, None, [[0]]])
def test_other_indices_are_errors(key, stored):
    with pytest.raises(IndexError):
        stored[key]


def test_a_subset_of_a_subset_reads_the_first_pixels(stored):
    odd = subset(stored, np.arange(COUNT) % 2 == 1)
    chosen = subset(odd, [3, 0, -1])
    assert isinstance(chosen, LazyPixels)
    assert np.array_equal(chosen[:], FACES[1::2][[3, 0, -1]])
    assert chosen.shape == (3, *FACES.shape[1:])
    assert np.array_equal(subset(FACES, [2, 1]), FACES[[2, 1]])


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(12, 10, channels="bgr"),
        InputSpec(12, 10, channels="rgb"),
        InputSpec(8, 9, channels="rgb"),
        InputSpec(12, 10),
        InputSpec(16, 16, clahe=Clahe(tiles=4)),
    ],
)
def test_prepared_pixels_are_those_of_prepare_all(spec, stored):
    expected = prepare_all(FACES, spec)
    for pixels in (FACES, stored):
        result = prepared(pixels, spec)
        assert result.shape == expected.shape
        assert np.array_equal(result[:], expected)
        assert np.array_equal(result[[5, 2]], expected[[5, 2]])


def test_chunks_have_at_most_the_given_size_and_are_multiples(stored):
    face = FACES[0].nbytes
    for pixels in (FACES, stored):
        for limit, multiple, sizes in ((5 * face, 1, [5, 5, 5, 5, 3]), (7 * face, 4, [4] * 5 + [3]), (1, 9, [9, 9, 5])):
            parts = list(chunks(pixels, multiple=multiple, limit_bytes=limit))
            assert [len(part) for part in parts] == sizes
            assert np.array_equal(np.concatenate(parts), FACES)
    assert nbytes(stored) == FACES.nbytes
    assert list(chunks(FACES[:0])) == []


def test_iteration_and_conversion_read_all_faces(stored):
    assert np.array_equal(np.stack(list(stored)), FACES)
    assert np.array_equal(np.asarray(stored), FACES)
    assert [face.tobytes() for face in subset(stored, [1, 0])] == [FACES[1].tobytes(), FACES[0].tobytes()]


def split_of(pixels, labels=None):
    return Split(pixels, np.arange(len(pixels)) % 7 if labels is None else labels, np.arange(len(pixels)))


def test_a_split_of_stored_pixels_has_the_digests_and_duplicates_of_its_faces(stored, tmp_path):
    one, other = split_of(stored), split_of(FACES)
    assert one.digests == other.digests
    assert one.digests[3] == hashlib.sha256(FACES[3].tobytes()).digest()
    part = one.take(np.array([4, 9]))
    assert isinstance(part.pixels, LazyPixels)
    assert one.duplicates_of(part).nonzero()[0].tolist() == [4, 9]


def test_a_check_of_stored_pixels_counts_what_a_check_of_an_array_counts(tmp_path):
    faces = FACES.copy()
    faces[2], faces[5], faces[6] = 9, faces[7], faces[20]
    save_pixels(tmp_path / "faces.npy", faces)
    reports = []
    for pixels in (faces, StoredPixels(tmp_path / "faces.npy", faces.shape)):
        whole = split_of(pixels)
        splits = {"Training": whole.take(np.arange(15)), "PublicTest": whole.take(np.arange(15, COUNT))}
        reports.append(check(Dataset("faces", "test", splits, "0")))
    assert reports[0] == reports[1]
    assert (reports[1].constant_images["Training"], reports[1].duplicate_groups) == (1, 2)
