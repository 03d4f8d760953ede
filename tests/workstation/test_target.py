import pytest

from edgefer.errors import IncompatibleError, UsageError
from edgefer.workstation.quantize import quantize
from edgefer.workstation.recipe import DEFAULTS, Recipe
from edgefer.workstation.schemes import dynamic, float16, float32, int8
from edgefer.workstation.target import TARGETS, for_target, require_fit


@pytest.fixture(scope="module")
def models(build, drawn):
    def body(layers, face):
        x = layers.Conv2D(8, 3, strides=4, activation="relu", name="stem")(face)
        # The converter leaves weights of less than 1,024 elements in float.
        x = layers.Conv2D(16, 3, activation="relu", name="conv")(x)
        return layers.Dense(7, name="logits")(layers.GlobalAveragePooling2D(name="average")(x))

    network = build(body)
    made = {module: module.convert(network, calibration=drawn, recipe=Recipe())
            for module in (dynamic, float16, float32, int8)}  # fmt: skip
    return {module.__name__.rpartition(".")[2]: model for module, model in made.items()}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("io", ["int8", "uint8", "float32"])
def test_int8_fits_every_target(small_network, drawn, target, io):
    require_fit(int8.convert(small_network, calibration=drawn, recipe=for_target(Recipe(io=io), target)), target)


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
    assert for_target(DEFAULTS, "litert") == Recipe(dense_per_channel=True)
    assert {for_target(DEFAULTS, target) for target in (None, *TARGETS[1:])} == {DEFAULTS}


def test_a_scheme_that_leaves_no_choice_takes_a_target_all_the_same(finished_run, faces):
    quantized = quantize(finished_run, "float32", faces, target="litert")
    assert quantized.artefact.provenance["recipe"] == {}
