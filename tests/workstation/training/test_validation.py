import dataclasses

import numpy as np
import pytest

from edgefer.contract.preprocessing import Clahe, InputSpec, prepare_all
from edgefer.data.dataset import Dataset, Split
from edgefer.errors import DataError
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.validation import drop_validation, validation_loss, validation_split


def split_of(labels):
    labels = np.asarray(labels, np.int64)
    return Split(np.zeros((len(labels), 48, 48), np.uint8), labels, np.arange(len(labels)))


def dataset_of(**splits):
    return Dataset("test", "npz", {name: split_of(labels) for name, labels in splits.items()}, "", ())


def test_publictest_is_the_validation_split_if_it_exists(faces):
    split = validation_split(faces, TrainSettings())
    assert split.name == "PublicTest"
    assert split.training is faces.split("Training")
    assert split.validation is faces.split("PublicTest")


def test_without_publictest_a_stratified_share_of_training_is_held_out():
    dataset = dataset_of(Training=[0] * 100 + [1] * 40)
    training, validation, name = validation_split(dataset, TrainSettings(selection_share=0.1))
    assert name == "10% of Training"
    assert np.bincount(validation.labels).tolist() == [10, 4]
    assert sorted([*training.rows, *validation.rows]) == list(range(140))


def test_settings_can_hold_out_a_share_although_publictest_exists(faces):
    training, validation, name = validation_split(faces, TrainSettings(selection="training"))
    assert name == "10% of Training"
    assert sorted([*training.rows, *validation.rows]) == faces.split("Training").rows.tolist()


def test_privatetest_is_never_used():
    training, validation, _ = validation_split(dataset_of(Training=[0] * 50, PrivateTest=[1] * 50), TrainSettings())
    assert set(training.labels) | set(validation.labels) == {0}


def test_the_split_depends_on_the_seed_alone():
    dataset = dataset_of(Training=[0] * 100)
    first, again, other = (validation_split(dataset, TrainSettings(seed=seed)) for seed in (0, 0, 1))
    assert np.array_equal(first.validation.rows, again.validation.rows)
    assert not np.array_equal(first.validation.rows, other.validation.rows)


def test_votes_are_split_with_their_images():
    training = dataclasses.replace(split_of([0] * 20), votes=np.arange(200, dtype=np.float32).reshape(20, 10))
    split = validation_split(Dataset("test", "npz", {"Training": training}, "", ()), TrainSettings())
    for part in split[:2]:
        assert np.array_equal(part.votes, training.votes[part.rows])


def test_prepare_preprocesses_both_parts(faces):
    spec = InputSpec(clahe=Clahe())
    split = validation_split(faces, TrainSettings())
    prepared = split.prepare(spec)
    assert prepared.name == split.name
    for before, after in zip(split[:2], prepared[:2]):
        assert np.array_equal(after.pixels, prepare_all(before.pixels, spec))
        assert np.array_equal(after.labels, before.labels)


def test_drop_validation_moves_the_images_into_a_split_of_their_own():
    dataset = dataset_of(Training=[0] * 100)
    dropped = drop_validation(dataset, validation_split(dataset, TrainSettings(selection_share=0.2)))
    assert [len(dropped.split(name)) for name in ("Training", "20% of Training")] == [80, 20]
    assert not set(dropped.split("Training").rows) & set(dropped.split("20% of Training").rows)


def test_the_loss_is_the_cross_entropy_in_nats():
    loss = validation_loss(np.zeros((4, 7), np.float32), split_of([0, 1, 2, 3]), what="diverged", hint="a lower rate")
    assert loss == pytest.approx(np.log(7))


def test_a_loss_that_is_not_finite_is_an_error():
    logits = np.full((2, 7), np.nan, np.float32)
    with pytest.raises(DataError, match="diverged") as caught:
        validation_loss(logits, split_of([0, 1]), what="diverged", hint="a lower rate")
    assert caught.value.hint == "a lower rate"
