import dataclasses
import hashlib

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset, Split
from edgefer.errors import DataError
from edgefer.report.terminal.quantization import calibration_set_text
from edgefer.workstation.quantization.calibration_data import calibration_pool, selection_record

COUNTS = (60, 9, 60, 120, 60, 60, 60)


def noise(count, *, seed):
    """Return noise images of all brightnesses and contrasts."""
    generator = np.random.default_rng(seed)
    means, reaches = generator.uniform(60, 190, (2, count, 1, 1)) * [[[[1]]], [[[0.3]]]]
    return (means + reaches * generator.uniform(-1, 1, (count, 48, 48))).astype(np.uint8)


def as_dataset(pixels, labels, **tests):
    splits = {"Training": Split(pixels, np.int64(labels), np.arange(len(labels)) + 100)}
    for name, images in tests.items():
        splits[name] = Split(images, np.zeros(len(images), np.int64), np.arange(len(images)))
    return Dataset("noise", "npz", splits, "0" * 64)


@pytest.fixture(scope="module")
def dataset():
    labels = np.repeat(np.arange(len(LABELS)), COUNTS)
    return as_dataset(noise(len(labels), seed=1), labels, PublicTest=noise(5, seed=2))


def test_classes_are_equal_and_deciles_are_balanced(dataset):
    selection = calibration_pool(dataset).select(size=63)
    assert np.bincount(selection.labels).tolist() == [9] * 7
    for deciles in (selection.brightness, selection.contrast):
        counts = np.bincount(deciles, minlength=10)
        assert counts.max() - counts.min() <= 3


def test_deciles_are_balanced_within_a_class(dataset):
    selection = calibration_pool(dataset).select(size=70)
    happy = selection.labels == LABELS.index("happy")
    for deciles in (selection.brightness, selection.contrast):
        assert np.bincount(deciles[happy], minlength=10).max() <= 2


def test_a_rare_class_is_used_up_and_the_others_fill_the_set(dataset):
    counts = np.bincount(calibration_pool(dataset).select(size=129).labels)
    assert counts.tolist() == [20, 9, 20, 20, 20, 20, 20]


def test_faces_are_those_of_the_rows_in_ascending_order(dataset):
    selection = calibration_pool(dataset).select(size=50)
    assert (np.diff(selection.rows) > 0).all()
    training = dataset.split("Training")
    assert np.array_equal(selection.faces, training.pixels[selection.rows - 100])
    assert np.array_equal(selection.labels, training.labels[selection.rows - 100])


def test_deciles_are_of_mean_and_standard_deviation(dataset):
    pool = calibration_pool(dataset)
    flat = pool.split.pixels.reshape(len(pool.split), -1).astype(float)
    for deciles, measure in ((pool.brightness, flat.mean(axis=1)), (pool.contrast, flat.std(axis=1))):
        highest = [measure[deciles == tenth].max() for tenth in range(10)]
        lowest = [measure[deciles == tenth].min() for tenth in range(10)]
        assert all(high <= low + 1e-9 for high, low in zip(highest, lowest[1:]))


def test_constant_images_and_duplicates_are_excluded():
    pixels = noise(40, seed=3)
    pixels[0], pixels[1] = 7, 255
    pixels[3] = pixels[2]
    labels = np.arange(40) % 7
    dataset = as_dataset(pixels, labels, PublicTest=pixels[4:6], PrivateTest=pixels[6:7])
    pool = calibration_pool(dataset)
    assert (pool.constant, pool.duplicates, len(pool.split)) == (2, 5, 33)
    assert set(pool.select(size=33).rows - 100) == set(range(7, 40))


def test_the_seed_determines_the_selection(dataset):
    pool = calibration_pool(dataset)
    one, same, other = (set(pool.select(size=70, seed=seed).rows) for seed in (0, 0, 1))
    assert one == same
    assert len(one & other) < 60


def test_the_selection_is_the_same_on_every_platform():
    # A change here changes every calibration set that is made again from its seed.
    pixels = np.zeros((140, 48, 48), np.uint8)
    pixels[:, :16] = (np.arange(140) * 37 % 200)[:, None, None]
    pixels[:, 16:20] = (np.arange(140) * 11 % 256)[:, None, None]
    pixels[:, 40, 0] = np.arange(140) + 1
    selection = calibration_pool(as_dataset(pixels, np.arange(140) % 7)).select(size=14, seed=3)
    assert hashlib.sha256(selection.rows.astype("<i8").tobytes()).hexdigest()[:16] == "5cffc185b86a4979"


def test_disjoint_sets_share_no_face_and_have_the_same_composition(dataset):
    sets = calibration_pool(dataset).select_disjoint(sets=3, size=66)
    assert len(np.unique(np.concatenate([selection.rows for selection in sets]))) == 198
    assert [len(selection) for selection in sets] == [66] * 3
    counts = np.array([np.bincount(selection.labels, minlength=7) for selection in sets])
    assert (counts[:, LABELS.index("disgust")] == 3).all()
    assert (np.ptp(counts, axis=0) <= 1).all()


@pytest.mark.parametrize(("sets", "size", "hint"), [(1, 430, "--size 429"), (2, 300, "--calibration-size 214")])
def test_too_many_faces_are_refused(dataset, sets, size, hint):
    with pytest.raises(DataError, match="Training has 429, without 0 images with a single gray value") as caught:
        calibration_pool(dataset).select_disjoint(sets=sets, size=size)
    assert caught.value.hint == hint


def test_the_hint_of_a_data_set_without_usable_images_is_no_size_of_zero():
    constant = as_dataset(np.repeat(np.arange(8, dtype=np.uint8), 48 * 48).reshape(8, 48, 48), np.arange(8) % 7)
    with pytest.raises(DataError, match="Training has 0, without 8 images with a single gray value") as caught:
        calibration_pool(constant).select(size=5)
    assert caught.value.hint.startswith("edgefer data check")


def test_a_data_set_without_training_is_refused(dataset):
    only_test = dataclasses.replace(dataset, splits={"PublicTest": dataset.split("PublicTest")})
    with pytest.raises(DataError, match="no Training images"):
        calibration_pool(only_test)


def test_the_record_has_the_composition_of_the_set(dataset, tmp_path):
    path = tmp_path / "set.csv"
    path.write_text("anything\n")
    pool = calibration_pool(dataset)
    record = selection_record(pool.select(size=70), pool, path)
    assert record["classes"] == {**dict.fromkeys(LABELS, 10), "disgust": 9, "angry": 11}
    assert record["available"] == dict(zip(LABELS, COUNTS))
    assert sum(record["brightness_tenths"]) == sum(record["contrast_tenths"]) == 70
    assert record["sha256"] == hashlib.sha256(b"anything\n").hexdigest()
    text = calibration_set_text(record)
    assert all(label in text for label in LABELS)
    assert max(len(line) for line in text.splitlines() if str(path) not in line) <= 80
