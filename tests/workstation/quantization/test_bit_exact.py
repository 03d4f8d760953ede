import dataclasses

import numpy as np
import pytest

from edgefer.inference.interpreters import run_model
from edgefer.results.parity import Configuration
from edgefer.workstation.quantization.bit_exact import SMALLEST, is_mean, replace_means
from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer
from edgefer.workstation.quantization.options import DEFAULTS, QuantizationOptions
from edgefer.workstation.quantization.sensitivity import layer_errors

INEXACT = dataclasses.replace(DEFAULTS, bit_exact=False)
OPTIONS = {
    "defaults": DEFAULTS,
    "per tensor": QuantizationOptions(per_channel=False),
    "dense per channel": QuantizationOptions(dense_per_channel=True),
    "nearest": QuantizationOptions(rounding="nearest", bias_correction=False),
    "min-max": QuantizationOptions(calibration_method="min-max"),
    "uint8": QuantizationOptions(io="uint8"),
    "float32": QuantizationOptions(io="float32"),
}


@pytest.fixture(scope="module")
def residual_network(build):
    """Build sums, also in a chain and after pooling, separable and strided convolutions, and a mean."""

    def block(layers, x, filters, name, stride=1):
        y = layers.Conv2D(filters, 3, strides=stride, padding="same", activation="relu", name=f"{name}_1")(x)
        y = layers.Conv2D(filters, 3, padding="same", name=f"{name}_2")(y)
        x = layers.Conv2D(filters, 1, strides=stride, name=f"{name}_shortcut")(x) if stride > 1 else x
        return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([y, x]))

    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name="stem")(face)
        x = block(layers, block(layers, x, 8, "a"), 16, "b", stride=2)
        x = block(layers, layers.MaxPooling2D(2, name="pool")(x), 16, "c")
        x = layers.SeparableConv2D(16, 3, padding="same", name="separable")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    return build(body)


@pytest.fixture(scope="module")
def calibrators(small_network, depthwise_network, residual_network, drawn):
    networks = {"small": small_network, "depthwise": depthwise_network, "residual": residual_network}
    return {name: Calibrator(convert(network), drawn) for name, network in networks.items()}


@pytest.fixture(scope="module")
def noise():
    """Draw images of any contrast, uint8 (300, 48, 48)."""
    generator = np.random.default_rng(3)
    images = generator.integers(0, 256, (300, 48, 48)) * generator.uniform(0.1, 1, (300, 1, 1))
    return images.astype(np.uint8)


def outputs(model, faces):
    """Return the outputs of a model with each kind of kernels."""
    kinds = ("default", "builtin", "reference")
    return [run_model(model, faces, Configuration("litert", kernels, 1)) for kernels in kinds]


def assert_equal_outputs(model, faces):
    xnnpack, builtin, reference = outputs(model, faces)
    assert np.array_equal(xnnpack, builtin)
    assert np.array_equal(reference, builtin)


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("name", ["small", "depthwise", "residual"])
def test_all_kernels_compute_the_same_outputs(calibrators, noise, name, options):
    assert_equal_outputs(calibrators[name].quantize(options), noise)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (lambda layers: layers.AveragePooling2D(2), "AVERAGE_POOL_2D"),
        (lambda layers: layers.AveragePooling2D(3, strides=2, padding="same"), "AVERAGE_POOL_2D"),
        (lambda layers: layers.Activation("hard_swish"), "HARD_SWISH"),
        (lambda layers: layers.PReLU(shared_axes=[1, 2], alpha_initializer="random_uniform"), "PRELU"),
        (lambda layers: layers.Activation("tanh"), "TANH"),
        (lambda layers: layers.ZeroPadding2D(1), "PAD"),
    ],
)
def test_other_operators_that_all_kernels_compute_alike(build, drawn, noise, layer, kind):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=4, padding="same", name="stem")(face)
        x = layers.Conv2D(16, 3, padding="same", name="conv")(layer(layers)(x))
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    model = Calibrator(convert(build(body)), drawn).quantize(DEFAULTS)
    assert kind in [op.kind for op in Flatbuffer(model).ops]
    assert_equal_outputs(model, noise)


def test_kernels_differ_without_aligned_scales(calibrators, noise):
    xnnpack, builtin, _ = outputs(calibrators["residual"].quantize(INEXACT), noise)
    assert 0.01 < (xnnpack != builtin).mean() < 0.5
    assert np.abs(xnnpack.astype(int) - builtin).max() <= 8


@pytest.mark.parametrize("name", ["small", "depthwise", "residual"])
def test_products_stay_away_from_ties(calibrators, name):
    graph = Flatbuffer(calibrators[name].quantize(DEFAULTS))
    for op in graph.ops:
        (target,) = graph.scales(op.outputs[0])[0]
        if op.kind == "ADD":
            multiples = [255 * float(graph.scales(index)[0][0]) / target for index in op.inputs]
            assert np.allclose(multiples, np.round(multiples), atol=1e-3)
        elif op.weighted:
            divisors = target / (graph.scales(op.inputs[0])[0] * graph.scales(op.inputs[1])[0])
            assert np.allclose(divisors, np.round(divisors), rtol=1e-6)
            assert (np.round(divisors) % 4 == 2).all()
            assert (divisors >= SMALLEST).all()
            assert not (graph.values(op.inputs[1]) % 2).any()
            assert not (graph.values(op.inputs[2]) % 2).any()


@pytest.mark.parametrize("name", ["small", "depthwise", "residual"])
def test_ranges_become_wider_by_two_percent_at_most(calibrators, name):
    exact, inexact = (Flatbuffer(calibrators[name].quantize(options)) for options in (DEFAULTS, INEXACT))
    for op, other in zip(exact.ops, inexact.ops):
        (scale,), (zero_point,) = exact.scales(op.outputs[0])
        (other_scale,), (other_zero_point,) = inexact.scales(other.outputs[0])
        assert other_scale * (1 - 1e-6) <= scale <= other_scale * 1.02
        assert zero_point == other_zero_point


@pytest.mark.parametrize("name", ["small", "depthwise", "residual"])
def test_the_largest_weight_of_a_channel_uses_the_range(calibrators, name):
    graph = Flatbuffer(calibrators[name].quantize(DEFAULTS))
    for op in graph.ops:
        if op.weighted:
            weights = np.abs(graph.values(op.inputs[1]).astype(int))
            assert weights.max() <= 126
            assert weights.max() >= 120


def test_errors_grow_by_a_decibel_at_most(calibrators, drawn):
    calibrator = calibrators["residual"]
    exact, inexact = (
        layer_errors(calibrator.model, calibrator.quantize(options), drawn)[-1].activation.snr_db
        for options in (DEFAULTS, INEXACT)
    )
    assert exact > inexact - 1


def test_a_mean_becomes_a_convolution_with_equal_weights(calibrators):
    graph = Flatbuffer(calibrators["residual"].quantize(DEFAULTS))
    (mean,) = [op for op in graph.ops if op.layer == "average"]
    assert mean.kind == "DEPTHWISE_CONV_2D"
    assert is_mean(graph, mean)
    assert [op.layer for op in graph.ops if is_mean(graph, op)] == ["average"]
    assert set(graph.values(mean.inputs[1]).reshape(-1)) == {126}
    assert np.allclose(graph.scales(mean.inputs[1])[0], 1 / 126 / 6**2, rtol=1e-5)


def test_a_mean_before_a_convolution_becomes_a_convolution(build, drawn, noise):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=4, padding="same", activation="relu", name="conv")(face)
        x = layers.GlobalAveragePooling2D(keepdims=True, name="average")(x)
        return layers.Flatten(name="flat")(layers.Conv2D(7, 1, name="logits")(x))

    model = Calibrator(convert(build(body)), drawn).quantize(DEFAULTS)
    assert [op.kind for op in Flatbuffer(model).ops] == ["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "RESHAPE"]
    assert_equal_outputs(model, noise)


@pytest.mark.parametrize("reader", ["output", "product"])
def test_a_mean_that_no_weights_follow_stays(build, drawn, reader):
    def body(layers, face):
        x = layers.Conv2D(7, 3, strides=8, activation="relu", name="conv")(face)
        mean = layers.GlobalAveragePooling2D(keepdims=reader == "product", name="average")(x)
        return layers.Flatten(name="flat")(layers.Multiply(name="scaled")([x, mean])) if reader == "product" else mean

    model = convert(build(body))
    assert replace_means(model) == Flatbuffer(model).to_bytes()
    kinds = [op.kind for op in Flatbuffer(Calibrator(model, drawn).quantize(DEFAULTS)).ops]
    assert "MEAN" in kinds
    assert "DEPTHWISE_CONV_2D" not in kinds


def test_a_mean_of_too_many_values_stays(build):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=2, padding="same", name="conv")(face)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    model = convert(build(body))  # 24 x 24 values
    assert replace_means(model) == Flatbuffer(model).to_bytes()


def test_a_layer_in_float_keeps_its_weights(calibrators):
    options = dataclasses.replace(DEFAULTS, float_layers=("^a_1$",))
    model = calibrators["residual"].quantize(options)
    origin = calibrators["residual"].graph
    (kept,), (original,) = ([op for op in graph.ops if op.layer == "a_1"] for graph in (Flatbuffer(model), origin))
    assert np.array_equal(Flatbuffer(model).values(kept.inputs[1]), origin.values(original.inputs[1]))


def test_a_channel_of_zeros_has_a_finite_scale(build, drawn):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=8, activation="relu", name="conv")(face)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    network = build(body)
    kernel, bias = network.get_layer("conv").get_weights()
    kernel[..., 2] = 0
    network.get_layer("conv").set_weights([kernel, bias])
    model = Calibrator(convert(network), drawn).quantize(DEFAULTS)
    graph = Flatbuffer(model)
    scales = graph.scales(graph.ops[0].inputs[1])[0]
    assert np.isfinite(scales).all()
    assert (scales > 0).all()
    xnnpack, builtin, reference = outputs(model, drawn)
    assert np.array_equal(xnnpack, builtin)
    assert np.array_equal(reference, builtin)
