import itertools
import types

import numpy as np
import pytest

from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer, Op
from edgefer.workstation.quantization.gptq import PATCHES, InputStatistics, _from_rows, _patches, _round, _rows
from edgefer.workstation.quantization.options import QuantizationOptions

SAME, VALID = 0, 1


def correlated(size, seed=0):
    generator = np.random.default_rng(seed)
    inputs = generator.normal(size=(400, size)) @ generator.normal(size=(size, size)) + 1
    return inputs.T @ inputs / len(inputs) + 0.3 * np.eye(size)


def loss(weights, steps, scales, covariance):
    error = weights - steps * scales[:, None]
    return np.einsum("oi,ij,oj->o", error, covariance, error)


def some_weights(outputs, size, seed=1):
    weights = np.random.default_rng(seed).normal(size=(outputs, size))
    return weights, np.abs(weights).max(axis=1) / 127


@pytest.mark.parametrize("seed", range(5))
def test_gptq_error_is_between_the_optimum_and_nearest_rounding(seed):
    covariance, (weights, scales) = correlated(4, seed), some_weights(3, 4, seed)
    scales = 20 * scales  # few steps, so that it matters how they are chosen
    nearest = np.round(weights / scales[:, None])
    floor = np.floor(weights / scales[:, None])
    every = [floor + np.array(offset) for offset in itertools.product(range(-3, 5), repeat=4)]
    best = np.min([loss(weights, steps, scales, covariance) for steps in every], axis=0)
    gptq = loss(weights, _round(weights, scales, covariance), scales, covariance)
    assert (best <= gptq + 1e-12).all()
    assert gptq.sum() < loss(weights, nearest, scales, covariance).sum()


def test_uncorrelated_inputs_are_rounded_to_the_nearest_step():
    weights, scales = some_weights(5, 12)
    assert np.array_equal(_round(weights, scales, np.eye(12)), np.round(weights / scales[:, None]))


def test_steps_stay_within_the_range():
    weights, scales = some_weights(6, 9)
    steps = _round(weights, scales / 2, correlated(9))  # only half of the largest weight fits
    assert steps.min() == -127 or steps.max() == 127
    assert np.abs(steps).max() == 127
    assert np.array_equal(steps, np.round(steps))


@pytest.mark.parametrize("covariance", [np.zeros((9, 9)), np.ones((9, 9)), -1e-9 * np.ones((9, 9))])
def test_constant_inputs_are_accepted(covariance):
    weights, scales = some_weights(2, 9)
    steps = _round(weights, scales, covariance, floor=1e-5)
    assert np.isfinite(steps).all()
    assert np.abs(steps - weights / scales[:, None]).max() < 6


def single_operator(kernel, weights_shape, source_shape, **options):
    """Return a stand-in for a graph, and its only operator."""
    shapes = {0: source_shape, 1: weights_shape, 2: (weights_shape[-1 if kernel.startswith("DEPTH") else 0],)}
    op = Op(kernel, "layer", (0, 1, 2), (3,), types.SimpleNamespace(**options))
    return types.SimpleNamespace(shape=shapes.__getitem__), op


def im2col(image, height, width, stride, padding):
    """Return patches (positions, height, width, channels), padded as in tensorflow.org/api_docs/python/tf/nn."""
    if padding == SAME:
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


def in_order(patches):
    return patches[np.lexsort(patches.reshape(len(patches), -1).T)]


@pytest.mark.parametrize("padding", [SAME, VALID])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [(3, 3), (2, 3)])
def test_patches_of_a_convolution_match_loops(padding, stride, kernel):
    image = np.random.default_rng(0).normal(size=(1, 7, 6, 2)).astype(np.float32)
    options = {"strideH": stride, "strideW": stride, "padding": padding}
    expected = im2col(image[0], *kernel, stride, padding)
    assert len(expected) <= PATCHES
    graph, op = single_operator("CONV_2D", (4, *kernel, 2), image.shape, **options)
    patches = _patches(graph, op, image, np.random.default_rng(0))
    assert np.allclose(in_order(patches[:, 0]), in_order(expected.reshape(len(expected), -1)))
    graph, op = single_operator("DEPTHWISE_CONV_2D", (1, *kernel, 2), image.shape, **options)
    patches = _patches(graph, op, image, np.random.default_rng(0))
    by_channel = expected.transpose(0, 3, 1, 2).reshape(len(expected), 2, -1)
    assert np.allclose(in_order(patches), in_order(by_channel))


def test_patches_of_a_fully_connected_layer_are_the_rows_of_its_input():
    graph, op = single_operator("FULLY_CONNECTED", (5, 4), (1, 2, 3, 4))
    source = np.arange(24, dtype=np.float32).reshape(1, 2, 3, 4)
    patches = _patches(graph, op, source, np.random.default_rng(0))
    assert np.array_equal(in_order(patches[:, 0]), source.reshape(6, 4))


@pytest.fixture(scope="module")
def calibrated(depthwise_network, drawn):
    return Calibrator(convert(depthwise_network), drawn)


def test_statistics_match_the_inputs_of_the_last_operator(calibrated, drawn, depthwise_network):
    """The last layer has one input vector per face, so none is sampled."""
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras(backend="tensorflow")
    before = keras.Model(depthwise_network.inputs, depthwise_network.get_layer("average").output)
    inputs = before.predict(drawn[..., None].astype(np.float32) / 255, verbose=0).astype(np.float64)
    moments, last = calibrated._moments, len(calibrated.graph.computing) - 1
    assert np.allclose(moments.mean(last)[0], inputs.mean(axis=0), rtol=1e-4, atol=1e-6)
    second = inputs.T @ inputs / len(inputs)
    assert np.allclose(moments.covariance(last, centred=False)[0], second, rtol=1e-3, atol=1e-6)
    centred = np.cov(inputs.T, ddof=0)
    assert np.allclose(moments.covariance(last, centred=True)[0], centred, atol=1e-3 * np.abs(centred).max())


def test_rows_are_converted_back_to_weights(calibrated):
    for op in calibrated.graph.ops:
        if op.weighted:
            rows = _rows(calibrated.graph, op)
            shape = calibrated.graph.shape(op.inputs[1])
            assert rows.shape[0] == (8 if op.kind == "DEPTHWISE_CONV_2D" else 1)
            assert np.array_equal(_from_rows(rows, op, shape), calibrated.graph.values(op.inputs[1]))


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


def test_bias_correction_removes_the_mean_error_of_each_channel(calibrated, drawn):
    moments, origin = calibrated._moments, calibrated.graph
    graph = Flatbuffer(calibrated.quantize(QuantizationOptions(rounding="nearest")))
    for index, (float_op, op) in enumerate(zip(origin.computing, graph.computing)):
        if not op.weighted:
            continue
        mean, (scales, _), (bias_scale, _) = moments.mean(index), graph.scales(op.inputs[1]), graph.scales(op.inputs[2])
        steps = _rows(graph, op)
        weights = steps * np.broadcast_to(scales, steps.shape[0] * steps.shape[1]).reshape(*steps.shape[:2], 1)
        actual = np.einsum("goi,gi->go", weights, mean).ravel() + graph.values(op.inputs[2]) * bias_scale
        expected = np.einsum("goi,gi->go", _rows(origin, float_op), mean).ravel() + origin.values(float_op.inputs[2])
        assert (np.abs(actual - expected) <= 0.51 * bias_scale).all()


def test_scales_and_float_layers_are_unchanged(calibrated):
    plain = QuantizationOptions(rounding="nearest", bias_correction=False, float_layers=("pointwise",))
    before = Flatbuffer(calibrated.quantize(plain))
    after = Flatbuffer(calibrated.quantize(QuantizationOptions(float_layers=("pointwise",))))
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
    plain = QuantizationOptions(rounding="nearest", bias_correction=False)
    nearest, second = (Flatbuffer(calibrated.quantize(options)) for options in (plain, QuantizationOptions()))
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

    graph = Flatbuffer(convert(build(body)))
    moments = InputStatistics(graph, faces=60)
    assert [graph.computing[index].layer for index, _ in moments._ops] == ["stem", "logits"]
    assert Calibrator(convert(build(body)), drawn).quantize(QuantizationOptions())
