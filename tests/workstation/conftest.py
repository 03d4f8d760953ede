"""One small training on drawn faces, made once and used by all tests of what follows a training."""

import dataclasses

import numpy as np
import pytest

from edgefer.data.dataset import synthetic_dataset
from edgefer.data.synthetic import draw
from edgefer.workstation.workflows.train import complete, load_system, start


@pytest.fixture(scope="session")
def faces():
    return synthetic_dataset(training=420, held_out=140, seed=5)


@pytest.fixture(scope="session")
def settings():
    return dataclasses.replace(load_system("demo"), epochs=2, batch_size=32)


@pytest.fixture(scope="session")
def finished_run(faces, settings, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    run = start(settings, faces, opened_with={"data": "synthetic", "ferplus": None, "skip_bad_rows": False}, root=root)
    complete(run, faces)
    return run


@pytest.fixture(scope="session")
def drawn():
    """uint8 (60, 48, 48)."""
    return draw(60, seed=1)[0]


@pytest.fixture(scope="session")
def build():
    """build(body): a Keras network of random weights and biases; body is called with keras.layers and the input."""
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras(backend="tensorflow")

    def make(body, *, size=48, seed=0):
        keras.utils.set_random_seed(seed)
        face = keras.Input((size, size, 1), name="face")
        network = keras.Model(face, body(keras.layers, face), name="tiny")
        generator = np.random.default_rng(seed)
        for layer in network.layers:
            biased = [each if each.ndim > 1 else generator.normal(0, 0.1, each.shape) for each in layer.get_weights()]
            layer.set_weights(biased)
        return network

    return make


@pytest.fixture(scope="session")
def small_network(build):
    """Two convolutions, of which the name of one begins with that of the other, and a dense layer."""

    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="conv")(face)
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="conv_b")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    return build(body)


@pytest.fixture(scope="session")
def depthwise_network(build):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem")(face)
        x = layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu", name="depthwise")(x)
        x = layers.Conv2D(12, 1, activation="relu", name="pointwise")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    return build(body)
