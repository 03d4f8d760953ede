import cv2
import numpy as np
import pytest

from edgefer.contract.preprocessing import InputSpec
from edgefer.errors import DataError, EdgeferError, UsageError
from edgefer.inspection.compatibility import check_targets
from edgefer.inspection.flatbuffer import read_model
from edgefer.workstation.quantization.calibrator import Calibrator, Ranges
from edgefer.workstation.quantization.converter import convert, require_identity_input
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer
from edgefer.workstation.quantization.options import CALIBRATION_METHODS, QuantizationOptions
from edgefer.workstation.training.keras_inference import flatbuffer_logits, keras_logits

PLAIN = QuantizationOptions(rounding="nearest", bias_correction=False, bit_exact=False)
SPEC = InputSpec()


@pytest.fixture(scope="module")
def calibrated(small_network, drawn):
    return Calibrator(convert(small_network), drawn)


def kinds(model):
    return [op.kind for op in Flatbuffer(model).ops]


def io_of(model):
    graph = Flatbuffer(model)
    return graph.dtype(graph.inputs[0]), graph.dtype(graph.outputs[0])


def snr_db(model, expected, faces, spec=SPEC):
    error = expected - flatbuffer_logits(model, faces, spec)
    return 10 * np.log10((expected**2).sum() / (error**2).sum())


@pytest.mark.parametrize("network", ["small_network", "depthwise_network"])
def test_default_options_have_a_smaller_error_than_the_converter_alone(network, request, drawn):
    network = request.getfixturevalue(network)
    expected, calibrated = keras_logits(network, drawn), Calibrator(convert(network), drawn)
    better = QuantizationOptions(bit_exact=False)
    plain, best, bit_exact = (
        snr_db(calibrated.quantize(options), expected, drawn) for options in (PLAIN, better, QuantizationOptions())
    )
    assert best > plain > 30
    assert bit_exact > plain - 3


def test_quantizing_again_gives_equal_bytes_in_any_order(calibrated, small_network, drawn):
    first = calibrated.quantize(QuantizationOptions())
    other = {"calibration_method": "moving-average", "float_layers": ("conv_b",), "per_channel": False}
    calibrated.quantize(QuantizationOptions(**other))
    assert calibrated.quantize(QuantizationOptions()) == first
    assert Calibrator(convert(small_network), drawn).quantize(QuantizationOptions()) == first


@pytest.mark.parametrize("dtype", ["int8", "uint8", "float32"])
def test_input_and_output_have_the_requested_type(calibrated, dtype):
    model = calibrated.quantize(QuantizationOptions(io=dtype))
    assert io_of(model) == (dtype, dtype)
    assert require_identity_input(model) is model


def test_input_and_output_are_int8_by_default(calibrated):
    assert calibrated.quantize(QuantizationOptions()) == calibrated.quantize(QuantizationOptions(io="int8"))


def test_logits_are_equal_with_every_input_and_output_type(calibrated, drawn):
    graphs = {io: Flatbuffer(calibrated.quantize(QuantizationOptions(io=io))) for io in ("int8", "uint8")}
    (scale, zero_point), (other_scale, other_zero_point) = (graph.scales(graph.outputs[0]) for graph in graphs.values())
    assert scale == other_scale
    assert other_zero_point - zero_point == 128
    models = [calibrated.quantize(QuantizationOptions(io=io)) for io in ("int8", "uint8", "float32")]
    logits = [flatbuffer_logits(model, drawn, SPEC) for model in models]
    assert np.allclose(logits[0], logits[1], atol=1e-7)
    assert np.allclose(logits[0], logits[2], atol=1e-6)


@pytest.mark.parametrize("patterns", [("^conv$",), ("conv",), ("logits",), (".",)])
@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_layers_stay_float_with_input_and_output_of_any_type(calibrated, drawn, small_network, patterns, io):
    model = require_identity_input(calibrated.quantize(QuantizationOptions(io=io, float_layers=patterns)))
    assert io_of(model) == (io, io)
    assert snr_db(model, keras_logits(small_network, drawn), drawn) > 35


def weight_dtypes(graph):
    return {op.layer: graph.dtype(op.inputs[1]) for op in graph.computing if op.weighted}


def test_a_float_layer_is_between_dequantize_and_quantize(calibrated):
    graph = Flatbuffer(calibrated.quantize(QuantizationOptions(float_layers=("^conv_b$",))))
    assert [(op.kind, op.layer) for op in graph.ops][:4] == [
        ("CONV_2D", "conv"), ("DEQUANTIZE", "tfl.dequantize"), ("CONV_2D", "conv_b"), ("QUANTIZE", "tfl.quantize")
    ]  # fmt: skip
    assert weight_dtypes(graph) == {"conv": "int8", "conv_b": "float32", "average": "int8", "logits": "int8"}


def test_a_pattern_matches_names_as_a_regular_expression(calibrated):
    graph = Flatbuffer(calibrated.quantize(QuantizationOptions(float_layers=("^conv$",))))
    assert weight_dtypes(graph) == {"conv": "float32", "conv_b": "int8", "average": "int8", "logits": "int8"}
    graph = Flatbuffer(calibrated.quantize(QuantizationOptions(float_layers=("conv",))))
    assert weight_dtypes(graph) == {"conv": "float32", "conv_b": "float32", "average": "int8", "logits": "int8"}


def test_a_pattern_without_a_match_is_an_error_with_the_layers(calibrated):
    with pytest.raises(UsageError, match=r"'stem': expected one of conv, conv_b, average, logits"):
        calibrated.quantize(QuantizationOptions(float_layers=("conv", "stem")))


def weight_scales(model):
    graph = Flatbuffer(model)
    return {op.layer: len(graph.scales(op.inputs[1])[0]) for op in graph.ops if op.weighted}


def test_weights_have_a_scale_per_channel_or_per_tensor(calibrated):
    assert weight_scales(calibrated.quantize(QuantizationOptions())) == {
        "conv": 8, "conv_b": 8, "average": 8, "logits": 1,
    }  # fmt: skip
    per_tensor = calibrated.quantize(QuantizationOptions(per_channel=False))
    assert weight_scales(per_tensor) == {"conv": 1, "conv_b": 1, "average": 1, "logits": 1}


def test_compatibility_notes_the_early_kernels_that_miscompute_dense_per_channel(calibrated):
    model = calibrated.quantize(QuantizationOptions(dense_per_channel=True))
    assert weight_scales(model) == {"conv": 8, "conv_b": 8, "average": 8, "logits": 7}
    notes = {target.name: target.notes for target in check_targets(read_model(model), runtime="litert")}
    assert any("wrong results for per-channel FULLY_CONNECTED" in note for note in notes["tflm"])


@pytest.mark.parametrize("method", CALIBRATION_METHODS)
@pytest.mark.parametrize(
    "faces",
    [
        np.repeat(np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8), 70, axis=0),
        np.full((70, 48, 48), 128, np.uint8),
        np.zeros((70, 48, 48), np.uint8),
        np.random.default_rng(0).integers(0, 256, (1, 48, 48), np.uint8),
    ],
    ids=["equal", "gray", "black", "one"],
)
def test_calibration_faces_without_variation_make_a_model_that_runs(small_network, drawn, faces, method):
    model = Calibrator(convert(small_network), faces).quantize(QuantizationOptions(calibration_method=method))
    assert np.isfinite(flatbuffer_logits(require_identity_input(model), drawn[:3], SPEC)).all()


def test_low_contrast_faces_calibrate_all_layers(depthwise_network, drawn):
    """Inputs that vary by a hundredth of their mean have a covariance near the rounding error of float32 sums."""
    faces = (drawn // 32 + 120).astype(np.uint8)
    model = Calibrator(convert(depthwise_network), faces).quantize(QuantizationOptions())
    assert snr_db(model, keras_logits(depthwise_network, faces), faces) > 30


def test_an_empty_set_of_faces_is_refused(small_network, drawn):
    with pytest.raises(DataError, match="no calibration face"):
        Calibrator(convert(small_network), drawn[:0])


def changed(network, layer, change):
    """Return the flatbuffer of a network with other weights in one layer."""
    layer = network.get_layer(layer)
    before = layer.get_weights()
    layer.set_weights(change(*(array.copy() for array in before)))
    try:
        return convert(network)
    finally:
        layer.set_weights(before)


def test_a_channel_of_zeros_is_quantized(small_network, drawn):
    def empty(weights, bias):
        weights[..., 3], bias[3] = 0, 0.5
        weights[..., 4], bias[4] = 1e-12, -0.5
        return weights, bias

    model = changed(small_network, "conv_b", empty)
    expected = flatbuffer_logits(model, drawn, SPEC)
    assert snr_db(Calibrator(model, drawn).quantize(QuantizationOptions()), expected, drawn) > 35


@pytest.mark.parametrize("share", [1, 0])
def test_a_layer_whose_output_is_always_zero_is_quantized(small_network, drawn, share):
    """XNNPACK rejects a scale of zero, which zero weights or outputs would have."""
    model = changed(small_network, "conv_b", lambda weights, bias: (share * -np.abs(weights), -1 + 0 * bias))
    expected = flatbuffer_logits(model, drawn, SPEC)
    assert snr_db(Calibrator(model, drawn).quantize(QuantizationOptions()), expected, drawn) > 35


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_an_error_with_the_layer(small_network, drawn, value):
    def spoil(weights, bias):
        weights[0, 0, 0, 0] = value
        return weights, bias

    with pytest.raises(DataError, match="conv_b has weights that are not finite"):
        Calibrator(changed(small_network, "conv_b", spoil), drawn)


def dense_only(layers, face):
    x = layers.Dense(16, activation="relu", name="hidden")(layers.Flatten(name="flatten")(face))
    return layers.Dense(7, name="logits")(x)


def many_operators(layers, face):
    one, other = (layers.Conv2D(8, 3, strides=2, padding="same", activation="relu", name=name)(face) for name in "ab")
    x = layers.Concatenate(name="both")([layers.Multiply(name="product")([one, other]), one])
    x = layers.Reshape((6, 24, 16), name="reshape")(layers.AveragePooling2D(2, name="pool")(x))
    return layers.Dense(7, name="logits")(layers.Flatten(name="flatten")(x))


def squeeze_and_excite(layers, face):
    x = layers.Conv2D(8, 3, strides=2, name="stem")(layers.ZeroPadding2D(1, name="border")(face))
    mean = layers.GlobalAveragePooling2D(keepdims=True, name="mean")(x)
    share = layers.Dense(8, activation="sigmoid", name="up")(layers.Dense(4, activation="relu", name="down")(mean))
    x = layers.Dense(8, activation="relu", name="mix")(layers.Multiply(name="weigh")([x, share]))
    return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))


@pytest.mark.parametrize("io", ["int8", "float32"])
@pytest.mark.parametrize("size", [48, 33])
@pytest.mark.parametrize("body", [dense_only, many_operators, squeeze_and_excite])
def test_networks_with_other_operators_and_sizes_are_quantized(build, drawn, body, size, io):
    if body is many_operators:
        size = 48
    network = build(body, size=size)
    faces = np.stack([cv2.resize(face, (size, size)) for face in drawn])
    spec = InputSpec(width=size, height=size)
    for calibration in (faces, (faces // 4 + 30).astype(np.uint8)):
        model = require_identity_input(Calibrator(convert(network), calibration).quantize(QuantizationOptions(io=io)))
        assert snr_db(model, keras_logits(network, calibration), calibration, spec) > 25


def test_an_input_that_is_not_the_identity_on_pixels_is_refused(calibrated, with_quantization):
    for io, zero_point in (("int8", -128), ("uint8", 0)):
        model = calibrated.quantize(QuantizationOptions(io=io))
        with pytest.raises(EdgeferError, match=rf": {io}, scale \[0.00999.*\], zero point \[{zero_point}\]; expected"):
            require_identity_input(with_quantization(model, Flatbuffer(model).inputs[0], scale=[0.01]))
    model = calibrated.quantize(QuantizationOptions(io="float32"))
    with pytest.raises(EdgeferError, match="zero point"):
        require_identity_input(with_quantization(model, Flatbuffer(model).ops[0].outputs[0], zeroPoint=[0]))


@pytest.fixture
def graph(small_network):
    return Flatbuffer(convert(small_network))


def observe(graph, faces):
    """Return the ranges of activations; each array has the values of all tensors for one face."""
    observed = Ranges(graph)
    for values in faces:
        observed.observe(lambda tensor, values=values: np.float32(values))
    return observed


def test_each_method_has_the_range_of_known_values(graph):
    tensor = graph.ops[0].outputs[0]
    observed = observe(graph, [[-1.0, 0.0, 2.0], [-3.0, 1.0, 6.0]])
    assert observed.range_of(tensor, "min-max") == (-3.0, 6.0)
    assert observed.range_of(tensor, "moving-average") == (-2.0, 4.0)
    low, high = observed.range_of(tensor, "percentile")
    assert (low, high) == pytest.approx(np.percentile([-1, 0, 2, -3, 1, 6], [0.01, 99.99]), rel=1e-6)
    assert (low, high) != (-3.0, 6.0)


def test_a_single_outlier_does_not_widen_the_percentile(graph):
    tensor = graph.ops[0].outputs[0]
    calm = np.linspace(-1, 1, 2000)
    observed = observe(graph, [calm] * 19 + [np.append(calm[1:], 1000.0)])
    assert observed.range_of(tensor, "min-max")[1] == 1000.0
    assert observed.range_of(tensor, "percentile")[1] < 1.01


@pytest.mark.parametrize("shape", [(1, 24, 24, 9), (1, 12, 12, 48), (1, 24, 24, 3), (1, 48, 48, 16), (1, 7)])
def test_the_percentile_includes_every_channel(graph, shape):
    tensor = graph.ops[0].outputs[0]
    for channel in range(shape[-1]):
        values = np.zeros(shape, np.float32)
        values[..., channel] = -1
        # A share of one channel in 48 far exceeds the share that the percentile clips.
        assert observe(graph, [values]).range_of(tensor, "percentile") == pytest.approx((-1, 0), abs=1e-3)
        assert observe(graph, [1 + values]).range_of(tensor, "percentile") == pytest.approx((0, 1), abs=1e-3)


def test_before_global_max_pooling_the_maxima_set_the_range():
    import keras

    # The maximum of each map is rare in the map, but the pooling passes on nothing else.
    face = keras.Input((48, 48, 1))
    x = keras.layers.MaxPooling2D()(keras.layers.Conv2D(4, 1, name="maps")(face))
    model = keras.Model(face, keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(x)))
    graph, generator = Flatbuffer(convert(model)), np.random.default_rng(0)
    kinds = [op.kind for op in graph.ops]
    assert kinds[:3] == ["CONV_2D", "MAX_POOL_2D", "REDUCE_MAX"]
    maps = generator.random((20, 1, 48, 48, 4), dtype=np.float32)
    maps[:, 0, 24, 24] = generator.uniform(5, 9, (20, 4))
    observed = Ranges(graph)
    for values in maps:
        pooled = values.reshape(1, 24, 2, 24, 2, 4).max(axis=(2, 4))
        by_tensor = dict(zip((op.outputs[0] for op in graph.ops), (values, pooled, pooled.max(axis=(1, 2)))))
        observed.observe(lambda tensor, known=by_tensor, other=pooled[0, 0]: known.get(tensor, other))
    assert observed.range_of(graph.ops[0].outputs[0], "percentile")[1] < 9.0
    observed.apply("percentile")
    for op in graph.ops[:3]:
        assert range_in(graph, op.outputs[0])[1] == pytest.approx(maps.max(), abs=0.01)


def test_the_input_range_is_always_0_to_1(graph):
    observed = observe(graph, [[0.2, 0.3]])
    for method in ("percentile", "min-max", "moving-average"):
        observed.apply(method)
        assert range_in(graph, graph.inputs[0]) == (0.0, 1.0)


def range_in(graph, tensor):
    """Return the range that a graph has in its .tflite."""
    from tensorflow.lite.tools import flatbuffer_utils

    content = flatbuffer_utils.read_model_from_bytearray(bytearray(graph.to_bytes()))
    params = content.subgraphs[0].tensors[tensor].quantization
    return params.min[0], params.max[0]


def test_an_activation_that_is_always_zero_has_a_positive_range(graph):
    observe(graph, [[0.0, 0.0]]).apply("percentile")
    assert range_in(graph, graph.ops[0].outputs[0]) == (0.0, 1.0)


def test_an_activation_that_is_rarely_above_zero_has_its_minimum_and_maximum_as_range(graph):
    rare = np.zeros(100_000)
    rare[1] = 0.5
    observed = observe(graph, [rare])
    assert observed.range_of(graph.ops[0].outputs[0], "percentile") == (0.0, 0.0)
    observed.apply("percentile")
    assert range_in(graph, graph.ops[0].outputs[0]) == (0.0, 0.5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_activations_that_are_not_finite_are_an_error_with_the_layer(graph, value):
    with pytest.raises(DataError, match="conv has values that are not finite"):
        observe(graph, [[0.0, value]]).apply("min-max")
