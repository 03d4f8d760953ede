"""Batches of an epoch in fit() of Keras."""

import gc
import threading
import weakref

import numpy as np
import pytest

from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.epoch_data import EpochBatches
from edgefer.workstation.training.keras_batches import keras_batches


def epoch():
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (24, 4, 4), dtype=np.uint8)
    targets = np.eye(3, dtype=np.float32)[generator.integers(0, 3, 24)]
    return EpochBatches(pixels, np.arange(24), targets, np.ones(24, np.float32), 8)


def executor_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]


@pytest.fixture
def model():
    keras = load_keras()
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3)])
    model.compile("sgd", keras.losses.CategoricalCrossentropy(from_logits=True))
    return model


def test_each_batch_is_read_once_and_delivered_in_order():
    read = []

    class Recorded(EpochBatches):
        def __getitem__(self, index):
            read.append(index)
            return super().__getitem__(index)

    batches = Recorded(**vars(epoch()))
    data = keras_batches(load_keras(), batches)
    read.clear()
    for index, (pixels, targets, weights) in enumerate(data):
        expected = epoch()[index]
        for delivered, array in zip((pixels, targets, weights), expected, strict=True):
            np.testing.assert_array_equal(delivered, array)
    assert sorted(read) == [0, 1, 2]


def test_batches_and_their_thread_are_released_after_the_epoch(model):
    keras, references = load_keras(), []
    before = set(executor_threads())
    for _ in range(3):
        batches = epoch()
        references.append(weakref.ref(batches))
        model.fit(keras_batches(keras, batches), shuffle=False, verbose=0)
    del batches
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]
    new = set(executor_threads()) - before
    for thread in new:
        thread.join(10)
    assert not any(thread.is_alive() for thread in new)
