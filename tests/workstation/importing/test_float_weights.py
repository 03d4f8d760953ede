"""A network recovered from a .tflite computes what the .tflite computes, and trains from there."""

import dataclasses

import numpy as np
import pytest

from edgefer import plugins
from edgefer.contract.artifact import Artifact
from edgefer.errors import DataError, IncompatibleError
from edgefer.models import shipped
from edgefer.workstation.importing.float_weights import assign_weights, read_weights, restore_normalization
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.training.keras_inference import flatbuffer_logits, keras_logits
from edgefer.workstation.training.model import build_network
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.settings_toml import from_json

SCHEMES = "edgefer.workstation.quantization.schemes"


@pytest.fixture(scope="module")
def keras():
    return load_keras(backend="tensorflow")


def images(faces):
    return faces[..., None].astype(np.float32) / 255


def trained_like(network, keras):
    """Give a fresh network weights and statistics in which no channel, scale or offset is trivial."""
    generator = np.random.default_rng(3)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape[0]
            layer.set_weights(
                [generator.uniform(0.3, 1.5, size), generator.normal(0, 0.3, size), generator.normal(0, 0.1, size),
                 generator.uniform(0.01, 0.3, size)]
            )  # fmt: skip
    return network


def recovered(keras, settings, model, faces):
    network = build_network(keras, settings, classes=7)
    assign_weights(network, read_weights(model))
    folded = keras_logits(network, faces)
    restore_normalization(keras, network, images(faces))
    np.testing.assert_allclose(keras_logits(network, faces), folded, atol=2e-3)
    return network


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("compact", {"stem": 8, "width": 8, "depth": 1}),
        ("residual", {"stem": 16, "stem_stride": 2, "widths": [16, 24], "depths": [2, 1]}),
        ("vgg", {"width": 8, "blocks": 2, "padded": False, "dense": 16}),
        ("two_conv", {}),
    ],
)
def test_every_architecture_is_recovered_from_its_float_model(keras, drawn, architecture, options):
    settings = TrainSettings(architecture=architecture, model=options)
    network = trained_like(build_network(keras, settings, classes=7), keras)
    again = recovered(keras, settings, convert(network), drawn)
    expected = keras_logits(network, drawn)
    np.testing.assert_allclose(keras_logits(again, drawn), expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("scheme", ["dynamic", "float16", "int16x8", "int8"])
def test_every_scheme_is_recovered(keras, drawn, scheme):
    settings = TrainSettings(architecture="compact", model={"stem": 8, "width": 16, "depth": 1})
    network = trained_like(build_network(keras, settings, classes=7), keras)
    model = plugins.load(SCHEMES, scheme).convert(FloatNetwork(network, drawn), DEFAULTS)
    again, expected = keras_logits(recovered(keras, settings, model, drawn), drawn), keras_logits(network, drawn)
    assert np.corrcoef(again.ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("name", ["nano", pytest.param("small", marks=pytest.mark.slow), "base"])
def test_shipped_models_are_recovered(keras, drawn, name):
    artifact = Artifact.load(shipped()[name])
    settings = dataclasses.replace(from_json(artifact.provenance["settings"]), input=artifact.input_spec)
    network = recovered(keras, settings, artifact.model, drawn)
    expected = flatbuffer_logits(artifact.model, drawn, artifact.input_spec)
    logits = keras_logits(network, drawn)
    assert np.corrcoef(logits.ravel(), expected.ravel())[0, 1] > 0.99
    assert (logits.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9
    in_training = np.asarray(network(images(drawn), training=False)), np.asarray(network(images(drawn), training=True))
    assert np.corrcoef(*(values.ravel() for values in in_training))[0, 1] > 0.9


def test_normalizations_get_the_moments_of_the_images_and_unit_kernels(keras, drawn):
    settings = TrainSettings(architecture="compact", model={"stem": 8, "width": 8, "depth": 1, "dropout": 0.0})
    network = trained_like(build_network(keras, settings, classes=7), keras)
    again = recovered(keras, settings, convert(network), drawn)
    stem, normalization = again.get_layer("stem_conv"), again.get_layer("stem_bn")
    outputs = np.asarray(stem(images(drawn)))
    np.testing.assert_allclose(normalization.moving_mean, outputs.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(normalization.moving_variance, outputs.var(axis=(0, 1, 2)), rtol=1e-2, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(np.asarray(stem.kernel).reshape(-1, 8), axis=0), 1, rtol=1e-4)


def test_depthwise_convolutions_are_recovered(keras, drawn):
    def build(name):
        face = keras.Input((48, 48, 1))
        x = keras.layers.Conv2D(4, 3, strides=4, use_bias=False, name="stem")(face)
        x = keras.layers.ReLU(name="relu1")(keras.layers.BatchNormalization(name="bn1")(x))
        x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, use_bias=False, name="depthwise")(x)
        x = keras.layers.ReLU(name="relu2")(keras.layers.BatchNormalization(name="bn2")(x))
        x = keras.layers.GlobalAveragePooling2D(name="average")(x)
        return keras.Model(face, keras.layers.Dense(7, name="logits")(x), name=name)

    network, again = trained_like(build("first"), keras), build("second")
    assign_weights(again, read_weights(convert(network)))
    restore_normalization(keras, again, images(drawn))
    np.testing.assert_allclose(keras_logits(again, drawn), keras_logits(network, drawn), atol=1e-3)


def test_weights_of_another_architecture_are_refused(keras):
    model = Artifact.load(shipped()["nano"]).model
    for settings, named in (
        (
            TrainSettings(architecture="residual", model={"stem": 16, "widths": [24, 32, 48], "depths": [2, 2, 1]}),
            "has the weights",
        ),
        (TrainSettings(architecture="two_conv"), "it has 4 layers with weights, the model 15"),
    ):
        with pytest.raises(IncompatibleError, match=named):
            assign_weights(build_network(keras, settings, classes=7), read_weights(model))


def test_a_normalization_that_was_not_folded_is_refused(keras, drawn):
    face = keras.Input((48, 48, 1))
    x = keras.layers.BatchNormalization(name="first")(face)
    x = keras.layers.Conv2D(4, 3, strides=4, name="stem")(x)
    network = keras.Model(face, keras.layers.Dense(7, name="logits")(keras.layers.Flatten(name="flat")(x)))
    with pytest.raises(IncompatibleError, match="does not fold") as caught:
        assign_weights(network, read_weights(convert(network)))
    assert "first follows" in caught.value.why


def test_damaged_weights_are_an_error(keras):
    model = bytearray(Artifact.load(shipped()["nano"]).model)
    with pytest.raises(DataError, match="cannot be read"):
        read_weights(bytes(model[: len(model) // 3]))
