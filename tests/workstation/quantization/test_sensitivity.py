import json
import math

import numpy as np
import pytest

from edgefer.errors import DataError
from edgefer.workstation.quantization.calibrator import Calibrator, activations
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.flatbuffer_editor import Flatbuffer
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import QuantizationOptions
from edgefer.workstation.quantization.schemes import int16x8
from edgefer.workstation.quantization.sensitivity import layer_errors, sensitive_layers, sensitivity


@pytest.fixture(scope="module")
def calibrated(small_network, drawn):
    return Calibrator(convert(small_network), drawn)


@pytest.fixture(scope="module")
def int8(calibrated):
    return calibrated.quantize(QuantizationOptions())


def damaged(model, layer, damage):
    graph = Flatbuffer(model)
    (op,) = (op for op in graph.ops if op.layer == layer and op.weighted)
    graph.set_values(op.inputs[1], damage(graph.values(op.inputs[1])))
    return graph.to_bytes()


def test_a_model_has_no_error_against_itself(calibrated, drawn):
    errors = layer_errors(calibrated.model, calibrated.model, drawn[:5])
    assert [error.layer for error in errors] == ["conv", "conv_b", "average", "logits"]
    for error in errors:
        assert error.activation.snr_db == math.inf
        assert error.activation.cosine == pytest.approx(1.0)
        assert error.activation.saturation == 0.0
        assert error.weights is None


def test_int8_errors_are_small_and_include_the_weights(calibrated, int8, drawn):
    errors = {error.layer: error for error in layer_errors(calibrated.model, int8, drawn[:20])}
    assert all(30 < error.activation.snr_db < 70 for error in errors.values())
    assert all(0.999 < error.activation.cosine <= 1 for error in errors.values())
    assert all(25 < errors[layer].weights.snr_db < 60 for layer in ("conv", "conv_b", "logits"))
    assert errors["average"].weights is None


@pytest.mark.parametrize("layer", ["conv", "conv_b", "logits"])
def test_damage_in_one_layer_changes_no_error_before_it(calibrated, int8, drawn, layer):
    def flip(steps):
        steps[0] = -steps[0]
        return steps

    before = layer_errors(calibrated.model, int8, drawn[:10])
    after = layer_errors(calibrated.model, damaged(int8, layer, flip), drawn[:10])
    place = [error.layer for error in before].index(layer)
    assert after[:place] == before[:place]
    assert after[place].weights.snr_db < 15 < before[place].weights.snr_db
    assert after[place].activation.snr_db < before[place].activation.snr_db - 10


def test_distances_of_the_logits_match_their_definition(calibrated, int8, drawn):
    from edgefer.contract.preprocessing import InputSpec
    from edgefer.workstation.training.keras_inference import flatbuffer_logits

    expected, actual = (
        flatbuffer_logits(model, drawn, InputSpec()).astype(float) for model in (calibrated.model, int8)
    )
    logits = layer_errors(calibrated.model, int8, drawn)[-1].activation
    assert logits.snr_db == pytest.approx(
        10 * np.log10((expected**2).sum() / ((expected - actual) ** 2).sum()), abs=0.05
    )
    cosine = (expected * actual).sum() / np.sqrt((expected**2).sum() * (actual**2).sum())
    assert logits.cosine == pytest.approx(cosine, abs=1e-6)


def test_saturation_is_the_share_of_values_outside_the_integer_range(calibrated, int8, drawn, with_quantization):
    graph = Flatbuffer(int8)
    output = graph.ops[0].outputs[0]
    scale = float(graph.scales(output)[0][0]) / 4
    narrow_model = with_quantization(int8, output, scale=[scale])
    narrow = layer_errors(calibrated.model, narrow_model, drawn[:10])[0].activation.saturation
    limit = scale * 255.5
    beyond = [(values(calibrated.graph.ops[0].outputs[0]) > limit).mean()
              for values in activations(calibrated.model, drawn[:10])]  # fmt: skip
    assert narrow == pytest.approx(np.mean(beyond))
    assert narrow > 0.01 > layer_errors(calibrated.model, int8, drawn[:10])[0].activation.saturation


def test_float_layers_and_other_input_types_are_compared(calibrated, drawn):
    for options in (
        QuantizationOptions(float_layers=("conv_b",), io="uint8"),
        QuantizationOptions(io="float32"),
        QuantizationOptions(per_channel=False),
    ):
        errors = layer_errors(calibrated.model, calibrated.quantize(options), drawn[:5])
        assert [error.layer for error in errors] == ["conv", "conv_b", "average", "logits"]
        assert (errors[1].weights is None) == bool(options.float_layers)
        assert errors[-1].activation.snr_db > 30


def test_int16_activations_are_compared(small_network, calibrated, drawn):
    model = int16x8.convert(FloatNetwork(small_network, drawn), QuantizationOptions())
    errors = layer_errors(calibrated.model, model, drawn[:5])
    default_errors = layer_errors(calibrated.model, calibrated.quantize(QuantizationOptions()), drawn[:5])
    assert errors[0].activation.snr_db > default_errors[0].activation.snr_db


def test_another_network_is_refused(calibrated, depthwise_network, drawn):
    with pytest.raises(DataError, match="5 operators, expected 4"):
        layer_errors(calibrated.model, convert(depthwise_network), drawn[:1])


def test_a_layer_with_an_outlier_channel_is_the_most_sensitive(small_network, drawn):
    """With one scale per tensor, a channel a thousand times larger leaves a single step to the others."""
    layer = small_network.get_layer("conv_b")
    before = layer.get_weights()
    weights, bias = (array.copy() for array in before)
    weights[..., 0] *= 1e3
    bias[0] = -1e6  # its output is always zero
    layer.set_weights([weights, bias])
    try:
        calibrated = Calibrator(convert(small_network), drawn)
    finally:
        layer.set_weights(before)
    gains = sensitivity(calibrated, QuantizationOptions(per_channel=False), drawn[:20])
    assert sensitive_layers(gains)[0] == "conv_b"
    assert gains["conv_b"] > 10
    assert set(gains) == {"conv", "conv_b", "logits"}
    assert "conv_b" not in sensitive_layers(sensitivity(calibrated, QuantizationOptions(), drawn[:20]))


def test_logits_that_are_always_zero_have_no_gains(small_network, drawn):
    layer = small_network.get_layer("logits")
    before = layer.get_weights()
    layer.set_weights([0 * array for array in before])
    try:
        calibrated = Calibrator(convert(small_network), drawn)
    finally:
        layer.set_weights(before)
    gains = sensitivity(calibrated, QuantizationOptions(), drawn[:5])
    assert gains == {"conv": 0.0, "conv_b": 0.0, "logits": 0.0}
    assert json.dumps(gains, allow_nan=False)
    errors = layer_errors(calibrated.model, calibrated.quantize(QuantizationOptions()), drawn[:5])
    assert errors[-1].activation.snr_db == math.inf
    assert errors[-1].activation.cosine == 1.0


def test_sensitive_layers_gain_a_decibel_and_are_in_descending_order():
    assert sensitive_layers({"a": 0.99, "b": 1.0, "c": -4.0, "d": math.inf, "e": 7.0}) == ["d", "e", "b"]
