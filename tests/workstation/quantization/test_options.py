import dataclasses
import json

import pytest

from edgefer import plugins
from edgefer.errors import IncompatibleError, UsageError
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import (
    DEFAULTS,
    TARGETS,
    QuantizationOptions,
    check_options,
    for_target,
    require_fit,
)
from edgefer.workstation.quantization.schemes import dynamic, float16, float32, int8
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize

OTHER = {
    "io": "uint8", "per_channel": False, "dense_per_channel": True, "calibration_method": "min-max",
    "rounding": "nearest", "bias_correction": False, "bit_exact": False, "float_layers": ("stem", "logits"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "named"),
    [
        ({"io": "int16"}, "int8, uint8, float32"),
        ({"calibration_method": "max"}, "moving-average"),
        ({"rounding": "up"}, "nearest"),
    ],
)
def test_an_unknown_value_names_the_allowed_ones(choice, named):
    with pytest.raises(UsageError, match=named):
        QuantizationOptions(**choice)


def test_an_invalid_regular_expression_is_refused():
    with pytest.raises(UsageError, match=r"'\(stem' is not a regular expression: missing"):
        QuantizationOptions(float_layers=("logits", "(stem"))


def test_overrides_are_the_fields_that_differ_from_the_defaults():
    assert DEFAULTS.overrides() == {}
    assert QuantizationOptions(calibration_method="percentile", io="int8").overrides() == {"io": "int8"}


def test_json_keeps_its_names_and_is_read_back():
    options = QuantizationOptions(**OTHER)
    assert DEFAULTS.to_json(["calibration_method", "rounding"]) == {"ranges": "percentile", "rounding": "second-order"}
    assert QuantizationOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert QuantizationOptions.from_json({}) == DEFAULTS


def test_each_field_is_refused_by_a_scheme_that_does_not_support_it():
    assert set(OTHER) == {field.name for field in dataclasses.fields(QuantizationOptions)}
    for scheme in plugins.names("edgefer.workstation.quantization.schemes"):
        supported = plugins.load("edgefer.workstation.quantization.schemes", scheme).SUPPORTED_OPTIONS
        for name, value in OTHER.items():
            if name in supported:
                check_options(QuantizationOptions(**{name: value}), scheme=scheme, supported=supported)
            else:
                with pytest.raises(UsageError, match=scheme):
                    check_options(QuantizationOptions(**{name: value}), scheme=scheme, supported=supported)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bias_correction", "float32 does not support --no-bias-correction: it supports no numeric options"),
        ("float_layers", "float32 does not support --keep-float stem logits: "),
        ("dense_per_channel", "float32 does not support --target litert: "),
        ("io", "float32 does not support --io uint8: "),
    ],
)
def test_the_error_names_the_flag(name, message):
    with pytest.raises(UsageError, match=message):
        check_options(QuantizationOptions(**{name: OTHER[name]}), scheme="float32", supported=())


@pytest.fixture(scope="module")
def models(build, drawn):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=4, activation="relu", name="stem")(face)
        # The converter leaves weights of less than 1,024 elements in float.
        x = layers.Conv2D(16, 3, activation="relu", name="conv")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    network = build(body)
    converted = {module: module.convert(FloatNetwork(network, drawn), DEFAULTS)
                 for module in (dynamic, float16, float32, int8)}  # fmt: skip
    return {module.__name__.rpartition(".")[2]: model for module, model in converted.items()}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_int8_fits_every_target(small_network, drawn, target, io):
    options = for_target(QuantizationOptions(io=io), target)
    require_fit(int8.convert(FloatNetwork(small_network, drawn), options), target)


@pytest.mark.parametrize(
    ("scheme", "target", "obstacle"),
    [
        ("dynamic", "tflm", "dynamic-range"),
        ("float16", "tflm", "float16"),
        ("dynamic", "edgetpu", "float32"),
        ("float16", "edgetpu", "float32"),
        ("float32", "edgetpu", "float32"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_with_the_reason(models, scheme, target, obstacle):
    with pytest.raises(IncompatibleError, match=f"does not run on {target}: .*{obstacle}"):
        require_fit(models[scheme], target)


@pytest.mark.parametrize("scheme", ["dynamic", "float16", "float32"])
@pytest.mark.parametrize("target", ["litert", "tflite-runtime"])
def test_every_float_scheme_runs_on_both_runtimes(models, scheme, target):
    require_fit(models[scheme], target)


def test_an_unknown_target_names_the_targets():
    with pytest.raises(UsageError, match="litert, tflite-runtime, edgetpu, tflm"):
        for_target(DEFAULTS, "tensorrt")


def test_only_litert_allows_more_than_the_others():
    assert for_target(DEFAULTS, "litert") == QuantizationOptions(dense_per_channel=True)
    assert {for_target(DEFAULTS, target) for target in (None, *TARGETS[1:])} == {DEFAULTS}


def test_a_scheme_without_options_accepts_a_target(finished_run, faces):
    quantized = quantize(QuantizationContext(finished_run, faces), "float32", target="litert")
    assert quantized.artifact.provenance["recipe"] == {}
