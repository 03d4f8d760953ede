import dataclasses

import pytest

from edgefer import plugins
from edgefer.errors import IncompatibleError, UsageError
from edgefer.workstation.quantization.options import (
    DEFAULTS,
    TARGETS,
    QuantizationOptions,
    check_options,
    for_target,
    require_fit,
)
from edgefer.workstation.quantization.schemes import dynamic, float16, float32, int8
from edgefer.workstation.workflows.quantize import quantize

OTHER = {
    "io": "uint8", "per_channel": False, "dense_per_channel": True, "ranges": "min-max", "rounding": "nearest",
    "bias_correction": False, "float_layers": ("stem", "logits"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("choice", "named"),
    [({"io": "int16"}, "int8, uint8, float32"), ({"ranges": "max"}, "moving-average"), ({"rounding": "up"}, "nearest")],
)
def test_an_unknown_choice_is_told_what_there_is(choice, named):
    with pytest.raises(UsageError, match=named):
        QuantizationOptions(**choice)


def test_a_broken_regular_expression_is_refused_before_anything_is_read():
    with pytest.raises(UsageError, match=r"'\(stem' is no regular expression: missing"):
        QuantizationOptions(float_layers=("logits", "(stem"))


def test_told_is_what_differs():
    assert DEFAULTS.told() == {}
    assert QuantizationOptions(ranges="percentile", io="int8").told() == {"io": "int8"}


def test_each_field_is_refused_by_a_scheme_that_does_not_take_it():
    assert set(OTHER) == {field.name for field in dataclasses.fields(QuantizationOptions)}
    for scheme in plugins.names("edgefer.workstation.quantization.schemes"):
        takes = plugins.load("edgefer.workstation.quantization.schemes", scheme).TAKES
        for name, value in OTHER.items():
            if name in takes:
                check_options(QuantizationOptions(**{name: value}), scheme=scheme, takes=takes)
            else:
                with pytest.raises(UsageError, match=scheme):
                    check_options(QuantizationOptions(**{name: value}), scheme=scheme, takes=takes)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bias_correction", "float32 without bias correction: float32 leaves the choice of nothing"),
        ("float_layers", "float32 with float layers stem, logits: float32"),
        ("dense_per_channel", "float32 with dense per channel: float32"),
        ("io", "float32 with io uint8: float32"),
    ],
)
def test_what_is_refused_is_said_in_words(name, said):
    with pytest.raises(UsageError, match=said):
        check_options(QuantizationOptions(**{name: OTHER[name]}), scheme="float32", takes=())


@pytest.fixture(scope="module")
def models(build, drawn):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=4, activation="relu", name="stem")(face)
        # The converter leaves weights of less than 1,024 elements in float.
        x = layers.Conv2D(16, 3, activation="relu", name="conv")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    network = build(body)
    made = {module: module.convert(network, calibration=drawn, recipe=QuantizationOptions())
            for module in (dynamic, float16, float32, int8)}  # fmt: skip
    return {module.__name__.rpartition(".")[2]: model for module, model in made.items()}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_int8_fits_every_target(small_network, drawn, target, io):
    options = for_target(QuantizationOptions(io=io), target)
    require_fit(int8.convert(small_network, calibration=drawn, recipe=options), target)


@pytest.mark.parametrize(
    ("scheme", "target", "obstacle"),
    [
        ("dynamic", "tflm", "dynamic range"),
        ("float16", "tflm", "float16"),
        ("dynamic", "edgetpu", "float32"),
        ("float16", "edgetpu", "float32"),
        ("float32", "edgetpu", "float32"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_obstacle(models, scheme, target, obstacle):
    with pytest.raises(IncompatibleError, match=f"does not run on {target}: .*{obstacle}"):
        require_fit(models[scheme], target)


@pytest.mark.parametrize("scheme", ["dynamic", "float16", "float32"])
@pytest.mark.parametrize("target", ["litert", "tflite-runtime"])
def test_all_that_is_converted_runs_on_the_runtimes(models, scheme, target):
    require_fit(models[scheme], target)


def test_an_unknown_target_is_told_what_there_is():
    with pytest.raises(UsageError, match="litert, tflite-runtime, edgetpu, tflm"):
        for_target(DEFAULTS, "tensorrt")


def test_only_litert_allows_more_than_the_others():
    assert for_target(DEFAULTS, "litert") == QuantizationOptions(dense_per_channel=True)
    assert {for_target(DEFAULTS, target) for target in (None, *TARGETS[1:])} == {DEFAULTS}


def test_a_scheme_that_leaves_no_choice_takes_a_target_all_the_same(finished_run, faces):
    quantized = quantize(finished_run, "float32", faces, target="litert")
    assert quantized.artifact.provenance["recipe"] == {}
