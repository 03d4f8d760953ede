import itertools

import numpy as np
import pytest

from edgefer.workstation.quantization.bit_exact import is_mean
from edgefer.workstation.quantization.calibrator import Calibrator, activations
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer
from edgefer.workstation.quantization.gptq import PATCHES, InputStatistics, absorb_constant_inputs
from edgefer.workstation.quantization.options import QuantizationOptions


def correlated(size, seed=0):
    """Draw inputs whose mean is not zero, float64 (400, size)."""
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(400, size)) @ generator.normal(size=(size, size)) + 1
    return inputs + 0.5 * generator.normal(size=inputs.shape)


def loss(weights, steps, scales, second_moment):
    error = weights - steps * scales[:, None]
    return np.einsum("oi,ij,oj->o", error, second_moment, error)


def random_weights(outputs, size, seed=1):
    weights = np.random.default_rng(seed).normal(size=(outputs, size))
    return weights, np.abs(weights).max(axis=1) / 127


@pytest.fixture(scope="module")
def dense(build):
    """Return graphs of one dense layer, by the side length of their square input."""

    def body(layers, face):
        return layers.Dense(7, name="logits")(layers.Flatten(name="flatten")(face))

    return {side: Flatbuffer(convert(build(body, size=side))) for side in (2, 3)}


def gptq_steps(graph, weights, scales, inputs, *, centred=False):
    """Round weights (outputs, inputs) of the dense layer of a graph after it observed inputs (faces, inputs)."""
    statistics = InputStatistics(graph, faces=len(inputs))
    for face in inputs:
        statistics.observe(lambda tensor, face=face: face[None])
    last = len(graph.computing) - 1
    return statistics.round(last, weights[None], scales[None], centred=centred)[0]


@pytest.mark.parametrize("seed", range(5))
def test_gptq_error_is_between_the_optimum_and_nearest_rounding(dense, seed):
    inputs, (weights, scales) = correlated(4, seed), random_weights(3, 4, seed)
    second_moment = inputs.T @ inputs / len(inputs)
    scales = 20 * scales  # few steps, so that rounding errors are large
    nearest = np.round(weights / scales[:, None])
    floor = np.floor(weights / scales[:, None])
    candidates = [floor + np.array(offset) for offset in itertools.product(range(-3, 5), repeat=4)]
    optimum = np.min([loss(weights, steps, scales, second_moment) for steps in candidates], axis=0)
    gptq = loss(weights, gptq_steps(dense[2], weights, scales, inputs), scales, second_moment)
    assert (optimum <= gptq + 1e-12).all()
    assert gptq.sum() < loss(weights, nearest, scales, second_moment).sum()


def test_uncorrelated_inputs_are_rounded_to_the_nearest_step(dense):
    weights, scales = random_weights(5, 9)
    assert np.array_equal(gptq_steps(dense[3], weights, scales, np.eye(9)), np.round(weights / scales[:, None]))


def test_steps_stay_within_the_range(dense):
    weights, scales = random_weights(6, 9)
    steps = gptq_steps(dense[3], weights, scales / 2, correlated(9))  # only half of the largest weight fits
    assert np.abs(steps).max() == 127
    assert np.array_equal(steps, np.round(steps))


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("value", [0, 1, 1 / 3])
def test_constant_inputs_are_accepted(dense, value, centred):
    weights, scales = random_weights(2, 9)
    steps = gptq_steps(dense[3], weights, scales, np.full((40, 9), value, np.float32), centred=centred)
    assert np.isfinite(steps).all()
    assert np.abs(steps - weights / scales[:, None]).max() < 6


def im2col(image, height, width, stride, padding):
    """Return patches (positions, height, width, channels), padded as in tensorflow.org/api_docs/python/tf/nn."""
    if padding == "same":
        pads = [max((-(-size // stride) - 1) * stride + kernel - size, 0)
                for size, kernel in zip(image.shape, (height, width))]  # fmt: skip
        padded = np.zeros((image.shape[0] + pads[0], image.shape[1] + pads[1], image.shape[2]))
        top, left = pads[0] // 2, pads[1] // 2
        padded[top : top + image.shape[0], left : left + image.shape[1]] = image
        image = padded
    patches = []
    for row in range(0, image.shape[0] - height + 1, stride):
        for column in range(0, image.shape[1] - width + 1, stride):
            patches.append(image[row : row + height, column : column + width])
    return np.array(patches)


@pytest.fixture(scope="module")
def convolutions():
    """Return a function from kernel, stride and padding to a graph with a convolution and a depthwise convolution."""
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras(backend="tensorflow")

    def make(kernel, stride, padding):
        image = keras.Input((7, 6, 2), name="face")
        shape = {"kernel_size": kernel, "strides": stride, "padding": padding}
        outputs = [
            keras.layers.Flatten()(keras.layers.Conv2D(4, name="convolution", **shape)(image)),
            keras.layers.Flatten()(keras.layers.DepthwiseConv2D(name="depthwise", **shape)(image)),
        ]
        return Flatbuffer(convert(keras.Model(image, keras.layers.Concatenate()(outputs))))

    return make


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 3)])
def test_statistics_of_a_convolution_match_loops(convolutions, kernel, stride, padding):
    graph = convolutions(kernel, stride, padding)
    images = np.random.default_rng(0).normal(size=(3, 7, 6, 2)).astype(np.float32)
    statistics = InputStatistics(graph, faces=len(images))
    for image in images:
        statistics.observe(lambda tensor, image=image: image[None])
    patches = [im2col(image, *kernel, stride, padding) for image in images]
    assert len(patches[0]) <= PATCHES  # so that all are used
    patches = np.concatenate(patches)
    expected = {
        "CONV_2D": patches.reshape(1, len(patches), -1),
        "DEPTHWISE_CONV_2D": patches.transpose(3, 0, 1, 2).reshape(2, len(patches), -1),
    }
    weighted = {op.kind: index for index, op in enumerate(graph.computing) if op.weighted}
    assert set(weighted) == set(expected)
    for kind, index in weighted.items():
        inputs = expected[kind]
        second_moment = inputs.transpose(0, 2, 1) @ inputs / inputs.shape[1]
        assert np.allclose(statistics.mean(index), inputs.mean(axis=1), atol=1e-6)
        assert np.allclose(statistics.covariance(index, centred=False), second_moment, atol=1e-5)


def test_a_dense_layer_has_one_input_vector_per_row(build):
    """Keras applies a dense layer to the last dimension of its input."""

    def body(layers, face):
        return layers.Dense(7, name="logits")(layers.Reshape((3, 3), name="rows")(face))

    graph = Flatbuffer(convert(build(body, size=3)))
    statistics = InputStatistics(graph, faces=2)
    rows = np.random.default_rng(0).normal(size=(2, 1, 3, 3)).astype(np.float32)
    for face in rows:
        statistics.observe(lambda tensor, face=face: face)
    (index,) = (index for index, op in enumerate(graph.computing) if op.weighted)
    rows = rows.reshape(1, 6, 3)
    assert np.allclose(statistics.mean(index), rows.mean(axis=1), atol=1e-6)
    assert np.allclose(statistics.covariance(index, centred=False), rows.transpose(0, 2, 1) @ rows / 6, atol=1e-5)


@pytest.fixture(scope="module")
def calibrated(depthwise_network, drawn):
    return Calibrator(convert(depthwise_network), drawn)


@pytest.fixture(scope="module")
def statistics(calibrated, drawn):
    """Return the input statistics of the calibration faces."""
    statistics = InputStatistics(calibrated.graph, faces=len(drawn))
    for values in activations(calibrated.model, drawn):
        statistics.observe(values)
    return statistics


def test_statistics_match_the_inputs_of_the_last_operator(calibrated, statistics, drawn, depthwise_network):
    """The last layer has one input vector per face, so none is sampled."""
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras(backend="tensorflow")
    before = keras.Model(depthwise_network.inputs, depthwise_network.get_layer("average").output)
    inputs = before.predict(drawn[..., None].astype(np.float32) / 255, verbose=0).astype(np.float64)
    last = len(calibrated.graph.computing) - 1
    assert np.allclose(statistics.mean(last)[0], inputs.mean(axis=0), rtol=1e-4, atol=1e-6)
    second = inputs.T @ inputs / len(inputs)
    assert np.allclose(statistics.covariance(last, centred=False)[0], second, rtol=1e-3, atol=1e-6)
    centred = np.cov(inputs.T, ddof=0)
    assert np.allclose(statistics.covariance(last, centred=True)[0], centred, atol=1e-3 * np.abs(centred).max())


def test_gptq_changes_each_weight_by_a_few_steps(calibrated):
    """Weights that are written back in another order differ by up to 254 steps."""
    nearest, gptq = (
        Flatbuffer(calibrated.quantize(QuantizationOptions(rounding=rounding))) for rounding in ("nearest", "gptq")
    )
    for before, after in zip(nearest.ops, gptq.ops):
        if before.weighted and not is_mean(nearest, before):
            steps = [graph.values(op.inputs[1]).astype(int) for graph, op in ((nearest, before), (gptq, after))]
            assert 0 < np.abs(steps[1] - steps[0]).max() < 20


def test_weights_with_too_few_samples_are_rounded_to_the_nearest_step(depthwise_network, drawn):
    """One face provides enough patches for the convolution, but only one for the 12 inputs of the dense layer."""
    calibrated = Calibrator(convert(depthwise_network), drawn[:1])
    nearest, second = (
        Flatbuffer(calibrated.quantize(QuantizationOptions(rounding=rounding, bias_correction=False)))
        for rounding in ("nearest", "gptq")
    )
    changed = {
        op.layer for op in nearest.ops
        if op.weighted and not np.array_equal(nearest.values(op.inputs[1]), second.values(op.inputs[1]))
    }  # fmt: skip
    assert "stem" in changed
    assert "logits" not in changed


def weight_rows(graph, op):
    """Return the weights as (groups, outputs, inputs), with one group per channel of a depthwise convolution."""
    weights = graph.values(op.inputs[1]).astype(float)
    if op.kind == "DEPTHWISE_CONV_2D":
        return np.stack([weights[..., channel].reshape(1, -1) for channel in range(weights.shape[-1])])
    return np.stack([channel.ravel() for channel in weights])[None]


@pytest.mark.parametrize(("bit_exact", "bias_steps"), [(False, 1), (True, 2)])
def test_bias_correction_removes_the_mean_error_of_each_channel(calibrated, statistics, bit_exact, bias_steps):
    origin = calibrated.graph
    graph = Flatbuffer(calibrated.quantize(QuantizationOptions(rounding="nearest", bit_exact=bit_exact)))
    for index, (float_op, op) in enumerate(zip(origin.computing, graph.computing)):
        if not float_op.weighted:
            continue
        mean = statistics.mean(index)
        (scales, _), (bias_scale, _) = graph.scales(op.inputs[1]), graph.scales(op.inputs[2])
        steps = weight_rows(graph, op)
        weights = steps * np.broadcast_to(scales, steps.shape[0] * steps.shape[1]).reshape(*steps.shape[:2], 1)
        actual = np.einsum("goi,gi->go", weights, mean).ravel() + graph.values(op.inputs[2]) * bias_scale
        expected = np.einsum("goi,gi->go", weight_rows(origin, float_op), mean).ravel()
        expected += origin.values(float_op.inputs[2])
        assert (np.abs(actual - expected) <= 0.51 * bias_steps * bias_scale).all()


def test_scales_and_float_layers_are_unchanged(calibrated):
    shared = {"bit_exact": False, "float_layers": ("pointwise",)}
    plain = QuantizationOptions(rounding="nearest", bias_correction=False, **shared)
    before = Flatbuffer(calibrated.quantize(plain))
    after = Flatbuffer(calibrated.quantize(QuantizationOptions(**shared)))
    assert [op.kind for op in before.ops] == [op.kind for op in after.ops]
    for one, other in zip(before.ops, after.ops):
        if one.weighted:
            assert np.array_equal(before.scales(one.inputs[1])[0], after.scales(other.inputs[1])[0])
            same = np.array_equal(before.values(one.inputs[1]), after.values(other.inputs[1]))
            assert same == (one.layer == "pointwise")
    assert {before.dtype(op.inputs[1]) for op in before.ops if op.layer == "pointwise"} == {"float32"}


def test_weights_shared_by_two_operators_are_rounded_to_the_nearest_step(build, drawn):
    def body(layers, face):
        twice = layers.Conv2D(8, 3, padding="same", activation="relu", name="twice")
        x = layers.Conv2D(8, 3, strides=4, activation="relu", name="stem")(face)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(twice(twice(x))))

    calibrated = Calibrator(convert(build(body)), drawn)
    plain = QuantizationOptions(rounding="nearest", bias_correction=False, bit_exact=False)
    better = QuantizationOptions(bit_exact=False)
    nearest, second = (Flatbuffer(calibrated.quantize(options)) for options in (plain, better))
    for one, other in zip(nearest.ops, second.ops):
        if one.weighted:
            same = np.array_equal(nearest.values(one.inputs[1]), second.values(other.inputs[1]))
            assert same == (one.layer == "twice")


def test_grouped_and_dilated_convolutions_are_left_to_the_quantizer(build, drawn):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=4, activation="relu", name="stem")(face)
        x = layers.Conv2D(8, 3, groups=2, name="groups")(x)
        x = layers.Conv2D(8, 3, dilation_rate=2, name="dilated")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    calibrated = Calibrator(convert(build(body)), drawn)
    plain = QuantizationOptions(rounding="nearest", bias_correction=False, bit_exact=False)
    better = QuantizationOptions(bit_exact=False)
    nearest, gptq = (Flatbuffer(calibrated.quantize(options)) for options in (plain, better))
    changed = {
        before.layer: not np.array_equal(nearest.values(before.inputs[1]), gptq.values(after.inputs[1]))
        for before, after in zip(nearest.ops, gptq.ops)
        if before.weighted
    }
    assert changed == {"stem": True, "groups": False, "dilated": False, "logits": True}


@pytest.fixture
def nearly_constant(build, drawn):
    """Build a network with a hidden unit of nearly constant value that the last layer multiplies by 300.

    A normalization after an activation trains such weights.
    """

    def body(layers, face):
        x = layers.Flatten()(layers.AveragePooling2D(12)(face))
        x = layers.Dense(8, activation="relu", name="hidden")(x)
        return layers.Dense(7, name="logits")(x)

    network = build(body)
    hidden, logits = network.get_layer("hidden"), network.get_layer("logits")
    kernel, bias = hidden.get_weights()
    kernel *= 40
    kernel[:, 0], bias[0] = 1e-4, 5
    hidden.set_weights([kernel, bias])
    kernel, bias = logits.get_weights()
    kernel[0] = np.linspace(-300, 300, 7)
    logits.set_weights([kernel, bias - 5 * kernel[0]])
    return Calibrator(convert(network), drawn)


def logit_error(calibrator, options, drawn):
    """Return the mean squared error of the int8 logits, relative to their variance."""
    models = (calibrator.model, calibrator.quantize(options))
    rows = []
    for model in models:
        graph = Flatbuffer(model)
        (output,) = graph.outputs
        scales, zero_points = graph.scales(output)
        values = [read(output)[0].astype(np.float64) for read in activations(model, drawn)]
        rows.append(np.array(values) if not len(scales) else (np.array(values) - zero_points) * scales)
    return np.square(rows[1] - rows[0]).mean() / rows[0].var()


def test_nearly_constant_inputs_with_large_weights_move_to_the_bias(nearly_constant, drawn):
    assert logit_error(nearly_constant, QuantizationOptions(io="int8"), drawn) < 0.01
    plain = QuantizationOptions(io="int8", rounding="nearest", bias_correction=False)
    assert logit_error(nearly_constant, plain, drawn) > 0.1


def test_network_without_nearly_constant_inputs_keeps_its_weights(depthwise_network, drawn):
    model = convert(depthwise_network)
    statistics = InputStatistics(Flatbuffer(model), faces=len(drawn))
    for values in activations(model, drawn):
        statistics.observe(values)
    assert absorb_constant_inputs(model, statistics, lambda tensor: 1e-5) is model
