"""A small training run and small networks that the tests share."""

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
    """Draw synthetic faces, uint8 (60, 48, 48)."""
    return draw(60, seed=1)[0]


@pytest.fixture(scope="session")
def build():
    """Build a Keras network with random weights and biases; body(layers, input) returns its output."""
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras(backend="tensorflow")

    def make(body, *, size=48, seed=0):
        keras.utils.set_random_seed(seed)
        face = keras.Input((size, size, 1), name="face")
        network = keras.Model(face, body(keras.layers, face), name="tiny")
        generator = np.random.default_rng(seed)
        for layer in network.layers:
            weights = layer.get_weights()
            layer.set_weights([array if array.ndim > 1 else generator.normal(0, 0.1, array.shape) for array in weights])
        return network

    return make


@pytest.fixture(scope="session")
def small_network(build):
    """Build two convolutions, where one name is a prefix of the other, and a dense layer."""

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


@pytest.fixture(scope="session")
def with_quantization():
    """Return a function that sets quantization parameters of one tensor of a .tflite and returns the new .tflite."""
    from tensorflow.lite.tools import flatbuffer_utils

    def change(model, tensor, **parameters):
        content = flatbuffer_utils.read_model_from_bytearray(bytearray(model))
        for name, value in parameters.items():
            setattr(content.subgraphs[0].tensors[tensor].quantization, name, value)
        return bytes(flatbuffer_utils.convert_object_to_bytearray(content))

    return change
