import dataclasses
import hashlib

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset, Split
from edgefer.errors import DataError
from edgefer.workstation.quantization.calibration_data import candidates, summary

COUNTS = (60, 9, 60, 120, 60, 60, 60)


def noise(count, *, seed):
    """Faces without a face, of all brightnesses and contrasts."""
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


def test_classes_are_equal_and_tenths_are_used_alike(dataset):
    chosen = candidates(dataset).choose(size=63)
    assert np.bincount(chosen.labels).tolist() == [9] * 7
    for tenths in (chosen.brightness, chosen.contrast):
        counts = np.bincount(tenths, minlength=10)
        assert counts.max() - counts.min() <= 3


def test_within_a_class_too(dataset):
    chosen = candidates(dataset).choose(size=70)
    happy = chosen.labels == LABELS.index("happy")
    for tenths in (chosen.brightness, chosen.contrast):
        assert np.bincount(tenths[happy], minlength=10).max() <= 2


def test_a_rare_class_gives_all_it_has_and_the_others_fill_up(dataset):
    counts = np.bincount(candidates(dataset).choose(size=129).labels)
    assert counts.tolist() == [20, 9, 20, 20, 20, 20, 20]


def test_faces_come_in_the_order_of_their_rows_and_are_those_of_the_rows(dataset):
    chosen = candidates(dataset).choose(size=50)
    assert (np.diff(chosen.rows) > 0).all()
    training = dataset.split("Training")
    assert np.array_equal(chosen.faces, training.pixels[chosen.rows - 100])
    assert np.array_equal(chosen.labels, training.labels[chosen.rows - 100])


def test_tenths_are_of_mean_and_standard_deviation(dataset):
    found = candidates(dataset)
    flat = found.split.pixels.reshape(len(found.split), -1).astype(float)
    for tenths, measure in ((found.brightness, flat.mean(axis=1)), (found.contrast, flat.std(axis=1))):
        highest = [measure[tenths == tenth].max() for tenth in range(10)]
        lowest = [measure[tenths == tenth].min() for tenth in range(10)]
        assert all(high <= low + 1e-9 for high, low in zip(highest, lowest[1:]))


def test_constant_images_and_every_image_with_a_twin_are_left_out():
    pixels = noise(40, seed=3)
    pixels[0], pixels[1] = 7, 255
    pixels[3] = pixels[2]
    labels = np.arange(40) % 7
    dataset = as_dataset(pixels, labels, PublicTest=pixels[4:6], PrivateTest=pixels[6:7])
    found = candidates(dataset)
    assert (found.constant, found.twins, len(found.split)) == (2, 5, 33)
    assert set(found.choose(size=33).rows - 100) == set(range(7, 40))


def test_the_seed_decides_which_and_nothing_else_does(dataset):
    found = candidates(dataset)
    one, same, other = (set(found.choose(size=70, seed=seed).rows) for seed in (0, 0, 1))
    assert one == same
    assert len(one & other) < 60


def test_the_choice_is_the_same_everywhere():
    # Whole numbers in, a fixed choice out: a change here changes every set that anybody has made again from its seed.
    pixels = np.zeros((140, 48, 48), np.uint8)
    pixels[:, :16] = (np.arange(140) * 37 % 200)[:, None, None]
    pixels[:, 16:20] = (np.arange(140) * 11 % 256)[:, None, None]
    pixels[:, 40, 0] = np.arange(140) + 1
    chosen = candidates(as_dataset(pixels, np.arange(140) % 7)).choose(size=14, seed=3)
    assert hashlib.sha256(chosen.rows.astype("<i8").tobytes()).hexdigest()[:16] == "5cffc185b86a4979"


def test_disjoint_sets_share_no_face_and_are_composed_alike(dataset):
    sets = candidates(dataset).choose_disjoint(sets=3, size=66)
    assert len(np.unique(np.concatenate([chosen.rows for chosen in sets]))) == 198
    assert [len(chosen) for chosen in sets] == [66] * 3
    counts = np.array([np.bincount(chosen.labels, minlength=7) for chosen in sets])
    assert (counts[:, LABELS.index("disgust")] == 3).all()
    assert (np.ptp(counts, axis=0) <= 1).all()


@pytest.mark.parametrize(("sets", "size", "hint"), [(1, 430, "--size 429"), (2, 300, "--calibration-size 214")])
def test_more_faces_than_there_are(dataset, sets, size, hint):
    with pytest.raises(DataError, match="Training has 429, besides 0 with a single grey value") as caught:
        candidates(dataset).choose_disjoint(sets=sets, size=size)
    assert caught.value.hint == hint


def test_a_data_set_without_training(dataset):
    only_test = dataclasses.replace(dataset, splits={"PublicTest": dataset.split("PublicTest")})
    with pytest.raises(DataError, match="no Training images"):
        candidates(only_test)


def test_the_summary_says_what_was_chosen(dataset, tmp_path):
    path = tmp_path / "set.csv"
    path.write_text("anything\n")
    found = candidates(dataset)
    result = summary(found.choose(size=70), found, path)
    assert result.record["classes"] == {**dict.fromkeys(LABELS, 10), "disgust": 9, "angry": 11}
    assert sum(result.record["brightness_tenths"]) == sum(result.record["contrast_tenths"]) == 70
    assert result.record["sha256"] == hashlib.sha256(b"anything\n").hexdigest()
    assert all(label in result.text for label in LABELS)
