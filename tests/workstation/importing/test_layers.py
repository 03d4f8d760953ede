"""Layers that edgefer's own networks lack convert and quantize, and the softmax at the end is cut off."""

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="imports are for a workstation")

from edgefer import plugins
from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder
from edgefer.data.synthetic import draw
from edgefer.errors import IncompatibleError
from edgefer.inference.first_load import trust_model
from edgefer.inference.interpreters import run_faces
from edgefer.inference.runtime import select_runtime
from edgefer.statistics import softmax
from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS, QuantizationOptions

SPEC = InputSpec(24, 24)
SCHEMES = "edgefer.workstation.quantization.schemes"


@pytest.fixture(scope="module")
def faces():
    import cv2

    return np.stack([cv2.resize(face, (24, 24), interpolation=cv2.INTER_AREA) for face in draw(80, seed=4)[0]])


@pytest.fixture(scope="module")
def keras(frameworks):
    return frameworks[False]


def encoded(faces):
    return encode(encoder(FLOAT32, SPEC), faces)[..., None]


def outputs(model, faces):
    """Run faces through a .tflite and return its outputs in real numbers, float64 (n, classes)."""
    trust_model(model)
    runtime = select_runtime(None).open_model(model)
    raw = run_faces(runtime, faces, SPEC).astype(np.float64)
    params = runtime.output.params
    return raw if params.dtype == "float32" else (raw - params.zero_point) * params.scale


def saved(keras, body, path, *, seed=0):
    """Save a network with random weights; body(layers, input) returns its output."""
    keras.utils.set_random_seed(seed)
    face = keras.Input((24, 24, 1))
    model = keras.Model(face, body(keras.layers, face))
    model.save(path)
    return model


def stem(layers, face, **options):
    return layers.Conv2D(8, 3, strides=2, padding="same", **{"activation": "relu", **options})(face)


def dense_sigmoid(layers, face):
    return layers.Dense(3, activation="sigmoid")(layers.GlobalAveragePooling2D()(stem(layers, face)))


def sigmoid_layer(layers, face):
    return layers.Activation("sigmoid")(layers.Dense(3)(layers.Flatten()(stem(layers, face))))


def dense_softmax(layers, face):
    return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(stem(layers, face)))


def activation_layer(layers, face):
    return layers.Activation("softmax")(layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(stem(layers, face))))


def softmax_layer(layers, face):
    return layers.Softmax()(layers.Dense(3)(layers.Flatten()(stem(layers, face))))


def temperature(layers, face):
    logits = layers.Dense(3)(layers.GlobalAveragePooling2D()(stem(layers, face)))
    return layers.Softmax()(layers.Rescaling(1 / 2.5)(logits))


def operation(layers, face):
    import keras

    return keras.ops.softmax(layers.Dense(3)(layers.Flatten()(stem(layers, face))))


def two_activations(layers, face):
    return layers.Softmax()(dense_sigmoid(layers, face))


@pytest.mark.parametrize(
    "body", [dense_softmax, activation_layer, softmax_layer, temperature, operation, two_activations]
)
def test_softmax_at_the_end_is_removed_and_the_probabilities_stay(keras, read, faces, tmp_path, body):
    model = saved(keras, body, tmp_path / "net.keras")
    expected = np.asarray(model(encoded(faces)))
    source, flatbuffer, _ = read(tmp_path / "net.keras")
    logits = outputs(flatbuffer, faces)
    assert (np.abs(logits.sum(axis=1) - 1) > 1e-3).any()
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-5)
    # Schemes that need layers convert the Keras network, which has to give the same outputs.
    np.testing.assert_allclose(np.asarray(source.keras(encoded(faces))), logits, atol=1e-4)


@pytest.mark.parametrize("body", [dense_sigmoid, sigmoid_layer])
@pytest.mark.parametrize("name", ["net.keras", "net"])
def test_sigmoid_at_the_end_is_removed_too(keras, read, faces, tmp_path, body, name):
    model = saved(keras, body, tmp_path / "net.keras")
    model.export(tmp_path / "net", verbose=False)
    _, flatbuffer, removed = read(tmp_path / name)
    assert removed == "sigmoid"
    probabilities = 1 / (1 + np.exp(-outputs(flatbuffer, faces)))
    np.testing.assert_allclose(probabilities, np.asarray(model(encoded(faces))), atol=1e-5)


def test_softmax_inside_a_nested_model_is_removed_from_the_flatbuffer(keras, read, faces, tmp_path):
    head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3, activation="softmax")])
    body = lambda layers, face: head(layers.GlobalAveragePooling2D()(stem(layers, face)))  # noqa: E731
    model = saved(keras, body, tmp_path / "net.keras")
    source, flatbuffer, is_cut = read(tmp_path / "net.keras")
    assert is_cut
    assert source.keras is None
    assert "is in a nested model" in source.notes[0]
    np.testing.assert_allclose(softmax(outputs(flatbuffer, faces)), np.asarray(model(encoded(faces))), atol=1e-5)


def reshaped(layers, face):
    return layers.Reshape((3,))(dense_softmax(layers, face))


def reordered(layers, face):
    return dense_softmax(layers, face)[:, ::-1]


def shared(layers, face):
    head = layers.Dense(3, activation="softmax")
    first, second = (layers.GlobalAveragePooling2D()(stem(layers, face)) for _ in range(2))
    return head(layers.Concatenate()([first, layers.Dense(8)(head(layers.Concatenate()([second, first])))]))


@pytest.mark.parametrize("body", [reshaped, reordered, shared])
def test_flatbuffer_and_keras_network_give_the_same_outputs(keras, read, faces, tmp_path, body):
    model = saved(keras, body, tmp_path / "net.keras")
    expected = np.asarray(model(encoded(faces)))
    source, flatbuffer, removed = read(tmp_path / "net.keras")
    scores = outputs(flatbuffer, faces)
    np.testing.assert_allclose(softmax(scores) if removed else scores, expected, atol=1e-5)
    if source.keras is not None:
        np.testing.assert_allclose(np.asarray(source.keras(encoded(faces))), scores, atol=1e-4)


def test_network_without_a_softmax_is_kept_as_it_is(keras, read, faces, tmp_path):
    head = keras.Sequential([keras.Input((8,)), keras.layers.Dense(3)])
    body = lambda layers, face: head(layers.GlobalAveragePooling2D()(stem(layers, face)))  # noqa: E731
    model = saved(keras, body, tmp_path / "net.keras")
    source, flatbuffer, is_cut = read(tmp_path / "net.keras")
    assert not is_cut
    assert not source.removed
    assert source.keras is not None
    np.testing.assert_allclose(outputs(flatbuffer, faces), np.asarray(model(encoded(faces))), atol=1e-4)


def normalized(layers, face):
    """Return the probabilities of a network with a nested model and a normalization."""
    x = layers.BatchNormalization(momentum=0.5)(stem(layers, face, activation="linear"))
    return layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(layers.ReLU()(x)))


@pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
@pytest.mark.parametrize(
    ("policy", "is_legacy"),
    [("mixed_float16", False), ("float16", False), ("mixed_bfloat16", False), ("float64", False),
     ("mixed_float16", True), ("float64", True)],
)  # fmt: skip
def test_network_of_another_dtype_policy_is_computed_in_float32(frameworks, read, faces, tmp_path, policy, is_legacy):
    keras, path = frameworks[is_legacy], tmp_path / ("net.h5" if is_legacy else "net.keras")
    mixed_precision = keras.mixed_precision
    mixed_precision.set_global_policy(policy)
    try:
        model = saved(keras, normalized, path)
    finally:
        mixed_precision.set_global_policy("float32")
    expected = np.asarray(model(encoded(faces)), np.float64)
    source, flatbuffer, _ = read(path)
    np.testing.assert_allclose(softmax(outputs(flatbuffer, faces)), expected, atol=2e-2)
    assert f"The dtype policy of its layers is {policy}; edgefer computes them in float32." in source.notes
    assert {str(np.dtype(weights.dtype)) for weights in source.keras.get_weights()} == {"float32"}


def test_nested_network_of_mixed_precision_is_computed_in_float32(keras, read, faces, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        base = keras.Sequential([keras.Input((24, 24, 1)), keras.layers.Conv2D(8, 3, activation="relu")])
        body = lambda layers, face: layers.Dense(3)(layers.GlobalAveragePooling2D()(base(face)))  # noqa: E731
        model = saved(keras, body, tmp_path / "net.keras")
    finally:
        keras.mixed_precision.set_global_policy("float32")
    source, flatbuffer, _ = read(tmp_path / "net.keras")
    assert {layer.compute_dtype for layer in source.keras._flatten_layers()} == {"float32"}
    expected = np.asarray(model(encoded(faces)), np.float64)
    np.testing.assert_allclose(outputs(flatbuffer, faces), expected, atol=2e-2)


def test_graph_of_another_dtype_is_refused_with_the_way_out(keras, read, tmp_path):
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = saved(keras, normalized, tmp_path / "net.keras")
        model.export(tmp_path / "net", verbose=False)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    with pytest.raises(IncompatibleError, match="has layers in float16") as refused:
        read(tmp_path / "net")
    assert "model.save('my_model.keras')" in refused.value.hint


def prelu(layers, face):
    return layers.PReLU(alpha_initializer="random_uniform", shared_axes=[1, 2])(stem(layers, face, activation=None))


def prelu_per_position(layers, face):
    return layers.PReLU(alpha_initializer="random_uniform")(stem(layers, face, activation=None))


def leaky_relu(layers, face):
    return layers.LeakyReLU(0.2)(layers.BatchNormalization()(stem(layers, face, activation=None)))


def separable(layers, face):
    return layers.SeparableConv2D(12, 3, depth_multiplier=2, activation="relu")(stem(layers, face))


def elu_then_norm(layers, face):
    return layers.BatchNormalization()(stem(layers, face, activation="elu"))


def hard_swish(layers, face):
    x = stem(layers, face, activation="hard_silu")
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid")(layers.Conv2D(4, 1, activation="relu")(gate))
    return layers.Multiply()([x, gate])


def relu6_and_swish(layers, face):
    return layers.Conv2D(8, 3, activation="silu")(stem(layers, face, activation="relu6"))


def branches(layers, face):
    x = stem(layers, face)
    left = layers.Conv2D(8, 1, padding="same", activation="relu")(x)
    right = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    return layers.Concatenate()([layers.Add()([left, right]), layers.Maximum()([left, x])])


def grouped_and_dilated(layers, face):
    x = layers.Conv2D(8, 3, dilation_rate=2, activation="relu")(stem(layers, face))
    return layers.Conv2D(8, 3, groups=2, padding="same", activation="relu")(x)


def shared_weights(layers, face):
    convolution = layers.Conv2D(8, 3, padding="same", activation="relu")
    return convolution(convolution(stem(layers, face)))


def selu(layers, face):
    """Build layers with SELU, which the converter computes with a comparison: its output is a truth value."""
    return layers.Conv2D(8, 3, activation="selu")(stem(layers, face, activation="selu"))


def residual(layers, face):
    x = stem(layers, face)
    y = layers.BatchNormalization()(layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False)(x))
    shortcut = layers.Conv2D(16, 1, strides=2, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.Add()([y, shortcut]))


def normalized_before_the_activation(layers, face):
    """Build a block of DenseNet, whose normalization of concatenated branches cannot be folded into a convolution."""
    x = stem(layers, face)
    y = layers.ReLU()(layers.BatchNormalization(moving_variance_initializer="ones")(x))
    x = layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same", use_bias=False)(y)])
    return layers.ReLU()(layers.BatchNormalization(beta_initializer="random_normal")(x))


def layer_norm_and_gelu(layers, face):
    """Build a block of ConvNeXt: a wide depthwise convolution, and Dense layers on each position."""
    x = stem(layers, face, activation=None)
    y = layers.LayerNormalization()(layers.DepthwiseConv2D(7, padding="same")(x))
    return layers.Add()([x, layers.Dense(8)(layers.Dense(16, activation="gelu")(y))])


def attention(layers, face):
    x = layers.Reshape((144, 8))(stem(layers, face))
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)]))
    return layers.Reshape((12, 12, 8))(x)


def shuffled_channels(layers, face):
    x = layers.Conv2D(8, 1, groups=2)(stem(layers, face))
    return layers.Reshape((12, 12, 8))(layers.Permute((1, 2, 4, 3))(layers.Reshape((12, 12, 2, 4))(x)))


def training_only(layers, face):
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(face))
    return layers.SpatialDropout2D(0.2)(stem(layers, layers.GaussianNoise(0.1)(x)))


def scaled_inside(layers, face):
    x = layers.Normalization(mean=[120.0], variance=[4000.0])(layers.Rescaling(255.0)(face))
    return stem(layers, x)


def without_biases(layers, face):
    x = stem(layers, face, use_bias=False)
    return layers.Dense(12, use_bias=False, activation="relu")(layers.GlobalMaxPooling2D(keepdims=True)(x))


FOREIGN = [
    prelu, prelu_per_position, leaky_relu, separable, elu_then_norm, hard_swish, relu6_and_swish, branches,
    grouped_and_dilated, shared_weights, selu, residual, normalized_before_the_activation, layer_norm_and_gelu,
    attention, shuffled_channels, training_only, scaled_inside, without_biases,
]  # fmt: skip


@pytest.mark.parametrize("body", FOREIGN)
def test_foreign_layers_keep_their_outputs_in_int8(keras, read, faces, tmp_path, body):
    def network(layers, face):
        x = layers.Flatten()(layers.MaxPooling2D(2, padding="same")(body(layers, face)))
        x = layers.Dropout(0.5)(layers.Dense(16, activation="relu")(x))
        return layers.Dense(3)(x)

    model = saved(keras, network, tmp_path / "net.keras")
    _, flatbuffer, _ = read(tmp_path / "net.keras")
    expected = outputs(flatbuffer, faces)
    np.testing.assert_allclose(expected, np.asarray(model(encoded(faces), training=False)), atol=1e-3)
    trust_model(flatbuffer)
    calibrator = Calibrator(flatbuffer, faces[:60], SPEC)
    default, refined, plain = (
        np.square(outputs(calibrator.quantize(options), faces[60:]) - expected[60:]).mean()
        for options in (
            DEFAULTS,
            QuantizationOptions("int8", bit_exact=False),
            QuantizationOptions("int8", rounding="nearest", bias_correction=False, bit_exact=False),
        )
    )
    assert default < 0.1 * expected[60:].var()
    # A difference within a step of the output is no loss.
    assert refined < 1.5 * plain + (np.ptp(expected) / 255) ** 2


def test_recurrent_network_is_refused_by_schemes_that_quantize_activations(keras, read, faces, tmp_path):
    def network(layers, face):
        return layers.Dense(3)(layers.LSTM(8)(layers.Reshape((24, 24))(face)))

    model = saved(keras, network, tmp_path / "net.keras")
    source, flatbuffer, _ = read(tmp_path / "net.keras")
    float_network = FloatNetwork(source.keras, faces, spec=SPEC, flatbuffer=flatbuffer)
    for scheme in ("int8", "int16x8"):
        with pytest.raises(IncompatibleError, match="activations of the network cannot be quantized") as refused:
            plugins.load(SCHEMES, scheme).convert(float_network, DEFAULTS)
        assert "its graph contains WHILE" in refused.value.why
        assert "--dynamic" in refused.value.hint
    dynamic = plugins.load(SCHEMES, "dynamic").convert(float_network, DEFAULTS)
    np.testing.assert_allclose(outputs(dynamic, faces), np.asarray(model(encoded(faces))), atol=0.02)
