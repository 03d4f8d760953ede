"""Quantization-aware training of networks that other programs trained."""

import numpy as np
import pytest

from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder
from edgefer.errors import UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.model_import import InputChoice
from edgefer.workstation.importing.network import ImportedNetwork
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.qat.finetune import QatSettings, require_supported, require_supported_file
from edgefer.workstation.quantization.qat.keras_copy import copy_to_tf_keras
from edgefer.workstation.quantization.qat.model import check_supported
from edgefer.workstation.workflows.import_network import create_imported_run
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize

SPEC = InputSpec(mean=(127.5,), std=(127.5,))


@pytest.fixture(scope="module")
def frameworks():
    keras = load_keras(backend="tensorflow")
    import tf_keras

    return {"keras": keras, "tf_keras": tf_keras}


def branches(keras, face):
    layers = keras.layers
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(face)
    x = layers.ReLU(max_value=6)(layers.BatchNormalization()(x))
    left = layers.LeakyReLU(negative_slope=0.2)(layers.Conv2D(8, 1)(x))
    both = layers.Add()([left, x])
    x = layers.Concatenate()([layers.MaxPooling2D(2)(both), layers.AveragePooling2D(2)(x)])
    return layers.Dense(7)(layers.Dropout(0.3)(layers.GlobalAveragePooling2D()(x)))


def separable(keras, face):
    layers = keras.layers
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(face)
    x = layers.SeparableConv2D(12, 3, padding="same", depth_multiplier=2, use_bias=False)(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    return layers.Dense(7)(layers.Flatten()(layers.MaxPooling2D(4)(x)))


def nested(keras, face):
    layers = keras.layers
    inner = keras.Input((24, 24, 8))
    body = keras.Model(inner, layers.ReLU()(layers.Conv2D(8, 3, name="conv")(inner)), name="body")
    x = body(layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(face))
    head = keras.Sequential([keras.Input((8,)), layers.Dense(16, activation="relu"), layers.Dense(7)])
    return head(layers.GlobalAveragePooling2D()(x))


def built(keras, body):
    keras.utils.set_random_seed(1)
    face = keras.Input((48, 48, 1))
    model = keras.Model(face, body(keras, face))
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights([generator.uniform(0.5, 1.5, array.shape) for array in layer.get_weights()])
    return model


def sequential(keras):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    return keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Conv2D(8, 3, strides=2), layers.BatchNormalization(), layers.ReLU(),
         layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.5), layers.Dense(7)]
    )  # fmt: skip


def assert_equal_copy(model, drawn):
    copy = copy_to_tf_keras(model)
    assert type(copy).__module__.startswith("tf_keras")
    check_supported(copy)
    images = drawn[..., None].astype(np.float32) / 255
    np.testing.assert_allclose(np.asarray(copy(images)), np.asarray(model(images)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("body", [branches, separable, nested])
def test_a_functional_model_is_copied(frameworks, drawn, body):
    assert_equal_copy(built(frameworks["keras"], body), drawn)


@pytest.mark.parametrize("body", [separable, nested])
def test_a_functional_model_of_keras_2_is_copied(frameworks, drawn, body):
    assert_equal_copy(built(frameworks["tf_keras"], body), drawn)


@pytest.mark.parametrize("framework", ["keras", "tf_keras"])
def test_a_sequential_model_is_copied(frameworks, drawn, framework):
    assert_equal_copy(sequential(frameworks[framework]), drawn)


def elu(keras, face):
    x = keras.layers.Conv2D(8, 3, strides=2, activation="elu", name="odd")(face)
    return keras.layers.Dense(7)(keras.layers.Flatten()(x))


def rescaling(keras, face):
    x = keras.layers.Rescaling(1 / 255, name="odd")(face)
    return keras.layers.Dense(7)(keras.layers.Flatten()(x))


def shared(keras, face):
    odd = keras.layers.Conv2D(1, 3, padding="same", name="odd")
    return keras.layers.Dense(7)(keras.layers.Flatten()(odd(odd(face))))


def normalization_first(keras, face):
    x = keras.layers.BatchNormalization(name="odd")(keras.layers.ReLU()(keras.layers.Conv2D(4, 3)(face)))
    return keras.layers.Dense(7)(keras.layers.Flatten()(x))


@pytest.mark.parametrize("body", [elu, rescaling, shared, normalization_first])
def test_an_unsupported_layer_is_named(frameworks, tmp_path, body):
    built(frameworks["keras"], body).save(tmp_path / "network.keras")
    with pytest.raises(UsageError, match=r"does not support odd \("):
        require_supported_file(tmp_path / "network.keras", name="network.keras")


def test_a_graph_without_layers_is_refused():
    with pytest.raises(UsageError, match="int8_qat of net.onnx") as caught:
        require_supported_file(None, name="net.onnx")
    assert "needs layers" in caught.value.why


def imported(model, faces, root, spec=SPEC, output="logits"):
    folder = root / "private"
    folder.mkdir()
    model.save(folder / "network.keras")
    network = ImportedNetwork("a Keras model", convert(model), folder / "network.keras", ())
    choice = InputChoice(spec, faces.labels, "--labels", output)
    opened_with = {"data": "synthetic", "ferplus": None, "skip_bad_rows": False}
    return create_imported_run(
        network, choice, source=root / "mine.keras", opened_with=opened_with, dataset=faces, root=root
    )


def test_an_imported_network_trains_with_fake_quantization(frameworks, faces, tmp_path):
    keras = frameworks["keras"]
    model = built(keras, separable)
    training = faces.split("Training")
    images = encode(encoder(FLOAT32, SPEC), training.pixels)[..., None]
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, training.labels, epochs=3, verbose=0)
    run = imported(model, faces, tmp_path)
    require_supported(run)
    context = QuantizationContext(run, faces, draw_faces(training, size=100))
    quantized = quantize(context, "int8_qat", qat=QatSettings(epochs=2, learning_rate=1e-3))
    assert quantized.comparison.agreement > 0.8
    runtime = Classifier.from_artifact(quantized.artifact).runtime
    assert runtime.input.params.dtype == runtime.output.params.dtype == "int8"
    assert runtime.input.params.scale == pytest.approx(2 / 255, rel=0.01)
    assert quantized.artifact.input_spec == SPEC
    assert quantized.artifact.provenance["qat"]["epochs"] == 2
    assert quantized.artifact.provenance["imported"]["file"] == "mine.keras"


def test_an_imported_network_with_probabilities_is_refused(frameworks, faces, tmp_path):
    run = imported(built(frameworks["keras"], separable), faces, tmp_path, output="probabilities")
    with pytest.raises(UsageError, match="int8_qat of") as caught:
        require_supported(run)
    assert "needs logits" in caught.value.why
