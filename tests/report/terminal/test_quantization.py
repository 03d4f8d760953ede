import dataclasses

import pytest

from edgefer.data.naming import counted
from edgefer.report.terminal.quantization import quantization_text, quantizations_text
from edgefer.results.accuracy_search import AccuracySearch, Candidate, MethodResult
from edgefer.results.calibration_stability import CalibrationStability
from edgefer.results.quantization import Quantization
from edgefer.results.temperature_scaling import TemperatureFit

LONG = "stage{0}_block{0}_{1}_convolution_with_a_name_that_is_long"
STABILITY = CalibrationStability(size=50, split="PublicTest", n=200, correct=(120, 124, 122), agreement=0.975)
PLAIN = Candidate("plain converter", "int8", {}, -1.25, (-2.5, 0.0), 0.96, 100_000, 1.0, False)


@pytest.fixture
def quantization(quantized):
    return Quantization.from_json(quantized())


def lines(text):
    return text.splitlines()


def test_the_text_is_80_columns_wide_and_ends_with_the_next_command(quantization):
    text = lines(quantization_text(quantization))
    assert max(map(len, text)) <= 80
    assert text[-1] == "next: edgefer bench --device"
    assert "float network" in "\n".join(text)


def test_the_number_of_changed_labels_is_that_of_the_comparison(quantization):
    comparison = quantization.comparison
    changes = round((1 - comparison.agreement) * comparison.n)
    assert changes > 0
    text = " ".join(quantization_text(quantization).split())
    assert f"small-int8.flips.csv lists the {counted(changes, 'change')}." in text


def test_a_temperature_at_the_bound_of_its_fit_is_marked(quantization):
    for temperature, marked in ((8.0, True), (1.3, False)):
        fit = TemperatureFit(20, temperature, 0.05, 0.01)
        text = " ".join(quantization_text(dataclasses.replace(quantization, confidence=fit)).split())
        assert f"temperature of int8 is {temperature:g}" in text
        assert (", the bound of the fit" in text) is marked
        assert "1.0 % with it" in text


def test_calibration_trials_come_before_the_next_command(quantization):
    text = quantization_text(dataclasses.replace(quantization, stability=STABILITY))
    assert "60.00 to 62.00 %, std 1.00 points" in text
    assert text.index("disjoint sets") < text.index("next:")
    assert max(map(len, lines(text))) <= 80


def test_calibration_trials_on_a_share_of_training_fit_80_columns(quantization):
    stability = dataclasses.replace(STABILITY, size=5000, split="10% of Training", n=28709)
    text = lines(quantization_text(dataclasses.replace(quantization, stability=stability)))
    assert max(map(len, text)) <= 80
    assert "of 28,709 images of 10% of Training" in " ".join(" ".join(text).split())


def layer_rows(layer, count):
    return tuple({**layer, "layer": LONG.format(index // 2 + 1, index % 2 + 1)} for index in range(count))


def test_sensitive_layers_are_named(quantization, layer):
    layers = layer_rows(layer, 12)
    names = tuple(row["layer"] for row in layers[:4])
    text = quantization_text(dataclasses.replace(quantization, layers=layers, sensitive_layers=names))
    assert max(map(len, lines(text))) <= 80
    assert "sensitive layers:" in text
    assert names[1] in text
    assert text.endswith("\n\nnext: edgefer bench --device")


def test_without_a_sensitive_layer_the_text_reports_it_if_gains_were_measured(quantization, layer):
    note = "no single layer reduces the logit SNR by 1 dB"
    measured = dataclasses.replace(quantization, layers=layer_rows({**layer, "float_gain_db": 0.2}, 2))
    assert note in quantization_text(dataclasses.replace(measured, sensitive_layers=()))
    unmeasured = dataclasses.replace(quantization, layers=layer_rows({**layer, "float_gain_db": None}, 2))
    assert note not in quantization_text(dataclasses.replace(unmeasured, sensitive_layers=()))


def test_a_search_comes_first_and_fits_80_columns_with_long_names_and_large_losses(quantization):
    names = ", ".join(f"stage{index}_block1_shortcut_conv" for index in range(3))
    worst = Candidate(f"{names} in float", "int8", {}, -54.32, (-61.23, -47.31), 0.1234, 4_000_000, 12.3, False)
    method = MethodResult("moving-average", (0.6, 0.62, 0.61), 0.97, 0.95)
    search = AccuracySearch(0.3, (method,), (PLAIN, worst))
    text = quantization_text(dataclasses.replace(quantization, search=search))
    assert max(map(len, lines(text))) <= 80
    assert text.startswith("Each calibration method on 3 disjoint calibration sets.")
    assert "-54.32 (-61.23 to -47.31)" in text
    assert "-53.07 points of accuracy" in text


def test_several_schemes_share_one_table(quantized):
    both = [Quantization.from_json(quantized(scheme=scheme)) for scheme in ("int8", "float16")]
    text = quantizations_text(both)
    assert max(map(len, lines(text))) <= 80
    assert [line.split()[0] for line in lines(text)[2:4]] == ["int8", "float16"]
    assert lines(text)[-2:] == [each.path for each in both]
