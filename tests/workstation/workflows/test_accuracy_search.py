import dataclasses
import json

import numpy as np
import pytest

from edgefer.contract.preprocessing import InputSpec
from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.text_table import Result
from edgefer.workstation.quantization.options import RANGE_METHODS, QuantizationOptions
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.workflows.accuracy_search import Candidate, SearchResult, search, with_search
from edgefer.workstation.workflows.quantize import quantize


@pytest.fixture(scope="module")
def asked(small_network, faces):
    split = faces.split("PublicTest")
    images = make_evaluation_set(faces, split, name="PublicTest", spec=InputSpec())
    pixels = faces.split("Training").pixels
    logits = keras_logits(small_network, images.faces)
    # Labels that the parent has right, so that what is lost is what changes.
    images = dataclasses.replace(images, labels=logits.argmax(axis=1))
    arguments = {"spec": InputSpec(), "faces": pixels[:60], "sets": [pixels[60:100], pixels[100:140], pixels[140:180]]}
    return (small_network, logits, images), arguments


@pytest.fixture(scope="module")
def nothing_held(asked):
    positional, named = asked
    return search(*positional, **named, max_drop_points=-100)


def test_it_stops_at_the_first_that_holds_which_is_never_the_converter_alone(asked):
    positional, named = asked
    steps = []
    found = search(*positional, **named, max_drop_points=100, progress=lambda *step: steps.append(step))
    assert [each.name for each in found.tries] == ["converter alone", found.methods[0].name]
    assert all(each.holds for each in found.tries)
    assert found.recipe == QuantizationOptions(ranges=found.methods[0].name)
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)


def test_the_steadiest_way_to_find_ranges_comes_first(nothing_held):
    assert {method.name for method in nothing_held.methods} == set(RANGE_METHODS)
    kept = [method.parent_agreement for method in nothing_held.methods]
    assert kept == sorted(kept, reverse=True)
    assert all(0 < method.parent_agreement <= 1 and 0 < method.agreement <= 1 for method in nothing_held.methods)
    assert {len(method.accuracies) for method in nothing_held.methods} == {3}
    assert [each.name for each in nothing_held.tries[1:4]] == [method.name for method in nothing_held.methods]


def test_where_nothing_holds_there_is_no_recipe_and_all_that_was_tried(nothing_held):
    assert nothing_held.recipe is None
    assert not any(each.holds for each in nothing_held.tries)
    plain = nothing_held.tries[0].recipe
    assert (plain["ranges"], plain["rounding"], plain["bias_correction"]) == ("min-max", "nearest", False)
    assert json.dumps([dataclasses.asdict(each) for each in nothing_held.tries], allow_nan=False)


@pytest.fixture(scope="module")
def ruined(asked, small_network):
    """The search in a network of which one layer does not survive one scale a tensor."""
    (_, logits, images), named = asked
    layer = small_network.get_layer("conv_b")
    before = layer.get_weights()
    weights, bias = (each.copy() for each in before)
    weights[..., 0], bias[0] = 1e3 * weights[..., 0], -1e6
    layer.set_weights([weights, bias])
    try:
        base = QuantizationOptions(per_channel=False, io="uint8", float_layers=("^conv$",))
        return search(small_network, logits, images, **named, base=base, max_drop_points=-100)
    finally:
        layer.set_weights(before)


def test_the_layer_that_costs_most_is_left_in_float(ruined):
    assert ruined.tries[4].name.startswith("conv_b")
    assert "^conv_b$" in ruined.tries[4].recipe["float_layers"]
    assert ruined.tries[4].agreement >= max(each.agreement for each in ruined.tries[:4])
    assert ruined.tries[4].model_bytes > ruined.tries[1].model_bytes


def test_what_the_user_has_chosen_stays_chosen(ruined):
    for each in ruined.tries:
        assert (each.recipe["io"], each.recipe["per_channel"]) == ("uint8", False)
        assert each.recipe["float_layers"][0] == "^conv$"


@pytest.fixture(scope="module")
def quantized(finished_run, faces):
    return quantize(finished_run, "int8", faces, calibration_size=60)


def test_the_search_is_told_in_80_columns_and_in_json(nothing_held, quantized):
    result = with_search(Result({"kind": "quantization"}, "the rest"), nothing_held, quantized, max_drop_points=-100)
    assert max(len(line) for line in result.text.splitlines()) <= 80
    assert result.text.endswith("\n\nthe rest")
    record = json.loads(json.dumps(result.record, allow_nan=False))["search"]
    assert record["max_drop_points"] == -100
    assert [each["name"] for each in record["tries"]][-1] == "int8, trained on"
    assert len(record["tries"]) == len(nothing_held.tries) + 1
    assert record["tries"][-1]["duration_s"] is None


def test_long_names_and_large_losses_fit_too(nothing_held, quantized):
    names = ", ".join(f"stage{index}_block1_shortcut_conv" for index in range(3))
    worst = Candidate(f"{names} in float", "int8", {}, -54.32, (-61.23, -47.31), 0.1234, 4_000_000, 12.3, False)
    found = SearchResult(QuantizationOptions(), nothing_held.methods, (nothing_held.tries[0], worst))
    result = with_search(Result({}, "the rest"), found, quantized, max_drop_points=0.3)
    assert max(len(line) for line in result.text.splitlines()) <= 80
    assert "-54.32 (-61.23 to -47.31)" in result.text
    assert "trained on" not in result.text


def test_labels_of_a_trained_net_are_searched_as_well(finished_run, faces):
    from edgefer.workstation.networks.backend import load_keras

    network = load_network(load_keras(backend="tensorflow"), finished_run)
    images = make_evaluation_set(faces, faces.split("PublicTest"), name="PublicTest", spec=InputSpec())
    pixels = faces.split("Training").pixels
    found = search(
        network, keras_logits(network, images.faces), images, spec=InputSpec(), faces=pixels[:40],
        sets=[pixels[40:60], pixels[60:80]], max_drop_points=50,
    )  # fmt: skip
    assert found.recipe is not None
    assert np.isfinite([each.agreement for each in found.methods]).all()
