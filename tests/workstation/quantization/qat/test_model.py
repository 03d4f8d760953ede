"""Supported networks, and equality of the simulation with the int8 model."""

import numpy as np
import pytest

from edgefer.contract.quantization_params import dequantize, quantize
from edgefer.errors import EdgeferError, UsageError
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.flatbuffer import read_model
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.quantization.qat.fake_quantization import fake_quantize
from edgefer.workstation.quantization.qat.model import check_supported, folded, qat_base
from edgefer.workstation.quantization.schemes import int8_qat
from edgefer.workstation.training.keras_inference import keras_logits, load_network

FACES = np.random.default_rng(3).integers(0, 256, (32, 16, 16), np.uint8)


@pytest.fixture(scope="module")
def tf_keras():
    load_keras(backend="tensorflow")
    return pytest.importorskip("tf_keras")


def network(tf_keras, middle):
    """Build a small network around ``middle(layers, x)``, with weights that make every layer matter."""
    layers = tf_keras.layers
    inputs = tf_keras.Input((16, 16, 1), name="face")
    x = middle(layers, layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(inputs))
    if len(x.shape) == 4:
        x = layers.GlobalAveragePooling2D(name="average")(x)
    net = tf_keras.Model(inputs, layers.Dense(7, name="logits")(x))
    generator = np.random.default_rng(1)
    for layer in net.layers:
        weights = [generator.uniform(-0.3, 0.4, array.shape) for array in layer.get_weights()]
        if type(layer).__name__ == "BatchNormalization":
            weights[-1] = generator.uniform(0.5, 2.0, weights[-1].shape)  # the variance
        layer.set_weights(weights)
    return net


def conv(layers, x, **options):
    return layers.Conv2D(8, 3, padding="same", name="second", **options)(x)


def doubled(values):
    return values * 2


def twice(layers, x):
    layer = layers.Conv2D(8, 3, padding="same", name="twice")
    return layer(layer(x))


def fed_elsewhere(layers, x):
    x = conv(layers, x)
    return layers.Add(name="add")([layers.BatchNormalization(name="bn")(x), x])


REFUSED = {
    "normalization after a ReLU": (
        lambda la, x: la.BatchNormalization(name="bn")(la.ReLU(name="relu")(conv(la, x))),
        r"bn \(BatchNormalization\): it follows relu \(ReLU\); expected a Conv2D",
    ),
    "normalization after an activation within a layer": (
        lambda la, x: la.BatchNormalization(name="bn")(conv(la, x, activation="relu")),
        r"bn \(BatchNormalization\): it follows the relu of second \(Conv2D\)",
    ),
    "normalization of an output that other layers read": (
        fed_elsewhere,
        r"bn \(BatchNormalization\): other layers read the output of second \(Conv2D\)",
    ),
    "ELU": (lambda la, x: la.ELU(name="elu")(conv(la, x)), r"elu \(ELU\): expected one of Conv2D, "),
    "ELU within a layer": (lambda la, x: conv(la, x, activation="elu"), r"second \(Conv2D\): its activation is elu"),
    "a custom activation": (
        lambda la, x: conv(la, x, activation=doubled),
        r"second \(Conv2D\): its activation is a custom function; expected linear or relu",
    ),
    "PReLU": (lambda la, x: la.PReLU(name="prelu")(conv(la, x)), r"not support prelu \(PReLU\)"),
    "swish": (lambda la, x: la.Activation("swish", name="swish")(conv(la, x)), r"swish \(Activation\).* is swish"),
    "ReLU with another bound": (lambda la, x: la.ReLU(4.0, name="relu4")(conv(la, x)), r"relu4 \(ReLU\).*max_value=6"),
    "LayerNormalization": (lambda la, x: la.LayerNormalization(name="norm")(x), r"norm \(LayerNormalization\)"),
    "SeparableConv2D": (lambda la, x: la.SeparableConv2D(8, 3, name="sep")(x), r"sep \(SeparableConv2D\)"),
    "Multiply": (lambda la, x: la.Multiply(name="times")([x, x]), r"times \(Multiply\)"),
    "an operator": (lambda la, x: x * 2.0, r"not support .* \(TFOpLambda\)"),
    "a layer used twice": (twice, r"twice \(Conv2D\): the network calls it more than once"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_unsupported_layer_is_an_error_with_the_reason(tf_keras, case):
    middle, message = REFUSED[case]
    with pytest.raises(UsageError, match=message) as caught:
        check_supported(network(tf_keras, middle))
    assert caught.value.hint == "edgefer quantize --int8"


def test_a_model_that_is_not_functional_is_refused(tf_keras):
    net = tf_keras.Sequential([tf_keras.Input((16, 16, 1)), tf_keras.layers.Flatten(), tf_keras.layers.Dense(7)])
    with pytest.raises(UsageError, match="functional model"):
        check_supported(net)


def normalized(layers, x, **options):
    return layers.BatchNormalization(name="bn", **options)(x)


ACCEPTED = {
    "convolution": lambda la, x: conv(la, x),
    "convolution, ReLU": lambda la, x: la.ReLU()(conv(la, x)),
    "convolution, ReLU by name": lambda la, x: la.Activation("relu")(conv(la, x)),
    "convolution, ReLU6": lambda la, x: la.ReLU(6.0)(conv(la, x)),
    "convolution, LeakyReLU": lambda la, x: la.LeakyReLU()(conv(la, x)),
    "convolution with bias, normalization": lambda la, x: normalized(la, conv(la, x)),
    "convolution, normalization, ReLU": lambda la, x: la.ReLU()(normalized(la, conv(la, x, use_bias=False))),
    "convolution, normalization, ReLU6": lambda la, x: la.ReLU(6.0)(normalized(la, conv(la, x, use_bias=False))),
    "normalization without scale": lambda la, x: normalized(la, conv(la, x), scale=False),
    "normalization without center": lambda la, x: normalized(la, conv(la, x), center=False),
    "depthwise": lambda la, x: la.ReLU()(normalized(la, la.DepthwiseConv2D(3, use_bias=False)(x))),
    "depthwise, two outputs per channel": lambda la, x: normalized(la, la.DepthwiseConv2D(3, depth_multiplier=2)(x)),
    "dense, normalization, ReLU": lambda la, x: la.ReLU()(normalized(la, la.Dense(16)(la.Flatten()(x)))),
    "sum, ReLU": lambda la, x: la.ReLU()(la.Add()([normalized(la, conv(la, x)), x])),
    "ReLU beside a sum": lambda la, x: (lambda y: la.Add()([la.ReLU()(y), y]))(conv(la, x)),
    "concatenation": lambda la, x: la.Concatenate()([conv(la, x, activation="relu"), x]),
    "maximum": lambda la, x: la.MaxPooling2D(2)(x),
    "average": lambda la, x: la.AveragePooling2D(2)(x),
    "global maximum": lambda la, x: la.GlobalMaxPooling2D()(x),
    "padding": lambda la, x: la.ZeroPadding2D(1)(x),
    "reshape": lambda la, x: la.Reshape((8, 32, 8))(x),
    "dropout": lambda la, x: la.Dropout(0.5)(la.SpatialDropout2D(0.5)(x)),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_the_int8_model_matches_its_simulation(tf_keras, case):
    net = network(tf_keras, ACCEPTED[case])
    check_supported(net)
    base = folded(net)
    np.testing.assert_allclose(keras_logits(base, FACES), keras_logits(net, FACES), rtol=1e-4, atol=1e-5)
    assert not {"BatchNormalization", "Dropout", "SpatialDropout2D"} & {type(layer).__name__ for layer in base.layers}

    model = fake_quantize(base, FACES)
    flatbuffer = int8_qat.convert(FloatNetwork(model), DEFAULTS)
    assert {tensor.dtype for tensor in read_model(flatbuffer).main.tensors} <= {"int8", "int32"}
    expected = keras_logits(model, FACES)
    runtime = select_runtime().open_model(flatbuffer)
    # In int8, an average pool has the scale of its input; in the simulation it has its own.
    tolerance = 1.0 if case == "average" else 0.3
    steps = np.abs(quantized_logits(runtime, FACES) - expected) / runtime.output.params.scale
    assert steps.mean() < tolerance
    # The simulation rounds at all.
    assert np.abs(expected - keras_logits(base, FACES)).max() > 0


def quantized_logits(runtime, faces):
    """Return the logits of uint8 (n, h, w) faces; one gray value is one step of the input."""
    logits = []
    for face in faces:
        values = quantize(face.astype(np.float32) / np.float32(255), runtime.input.params)
        runtime.set_input(values.reshape(runtime.input.shape))
        runtime.invoke()
        logits.append(runtime.get_output()[0])
    return dequantize(np.array(logits), runtime.output.params)


def test_every_kernel_is_quantized_in_training(tf_keras):
    """This includes the kernel before a ReLU layer, which tfmot alone leaves unquantized."""
    model = fake_quantize(folded(network(tf_keras, ACCEPTED["convolution, ReLU"])), FACES)
    names = {variable.name.rpartition("/")[2] for layer in model.layers for variable in layer.weights}
    assert "kernel_max:0" in names
    for layer in model.layers:
        kernels = {variable.name.rpartition("/")[2] for variable in layer.weights}
        assert ("kernel:0" in kernels) == ("kernel_max:0" in kernels), layer.name


@pytest.mark.parametrize("case", ["depthwise", "depthwise, two outputs per channel"])
def test_a_depthwise_kernel_has_a_scale_per_output(tf_keras, case):
    model = fake_quantize(folded(network(tf_keras, ACCEPTED[case])), FACES)
    graph = read_model(int8_qat.convert(FloatNetwork(model), DEFAULTS)).main
    (op,) = [op for op in graph.ops if op.name == "DEPTHWISE_CONV_2D"]
    kernel = graph.tensors[op.inputs[1]]
    assert kernel.scales == kernel.shape[-1] > 1


def test_folding_does_not_change_the_network(tf_keras):
    net = network(tf_keras, ACCEPTED["convolution, normalization, ReLU"])
    before = [layer.name for layer in net.layers], [array.tobytes() for array in net.get_weights()]
    folded(net)
    assert ([layer.name for layer in net.layers], [array.tobytes() for array in net.get_weights()]) == before


def test_the_rebuilt_network_has_the_logits_of_the_run(finished_run, faces):
    trained = load_network(load_keras(), finished_run)
    pixels = faces.split("PublicTest").pixels
    base = qat_base(trained, finished_run.settings(), pixels)
    assert type(base).__module__.startswith("tf_keras")
    np.testing.assert_allclose(keras_logits(base, pixels), keras_logits(trained, pixels), atol=1e-4)


@pytest.mark.parametrize("damage", ["another activation", "NaN weights"])
def test_a_rebuilt_network_with_other_logits_is_an_error(finished_run, faces, damage):
    keras = load_keras()
    trained = load_network(keras, finished_run)
    if damage == "NaN weights":
        trained.set_weights([np.full_like(array, np.nan) for array in trained.get_weights()])
    else:
        trained.layers[-1].activation = keras.activations.tanh
    with pytest.raises(EdgeferError, match="differs from the trained network: the logits of 9 faces differ"):
        qat_base(trained, finished_run.settings(), faces.split("Training").pixels[:9])
