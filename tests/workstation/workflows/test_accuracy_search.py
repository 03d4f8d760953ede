import dataclasses
import json

import numpy as np
import pytest

from edgefer.workstation.quantization.calibration_data import DrawnFaces
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import CALIBRATION_METHODS, DEFAULTS, QuantizationOptions
from edgefer.workstation.workflows.accuracy_search import search
from edgefer.workstation.workflows.calibration_stability import CalibrationTrials
from edgefer.workstation.workflows.quantization_context import QuantizationContext


@pytest.fixture(scope="module")
def make_trials(finished_run, faces):
    """Make calibration trials of a context whose network is given, and whose labels are those of that network."""

    def make(network):
        context = QuantizationContext(finished_run, faces, DrawnFaces(faces.split("Training").pixels[:40], seed=0))
        context.network = FloatNetwork(network)
        # The float network is correct on all images, so every lost point is a changed label.
        context.images = dataclasses.replace(context.images, labels=context.float_logits.argmax(axis=1))
        return CalibrationTrials(context, context.select_disjoint(3))

    return make


@pytest.fixture(scope="module")
def trials(make_trials, small_network):
    return make_trials(small_network)


@pytest.fixture(scope="module")
def none_within_bound(trials):
    return search(trials.context, trials, max_drop_points=-100)


def test_the_search_stops_at_the_first_candidate_within_the_bound_but_never_at_the_plain_converter(trials):
    steps = []
    result = search(trials.context, trials, max_drop_points=100, progress=lambda *step: steps.append(step))
    record = result.record
    assert [each.name for each in record.candidates] == ["plain converter", record.methods[0].name]
    assert all(each.within_bound for each in record.candidates)
    assert result.options == QuantizationOptions(calibration_method=record.methods[0].name)
    assert steps[-1][0] == steps[-1][1]
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)


def test_methods_are_sorted_by_agreement_with_the_float_network(none_within_bound):
    methods = none_within_bound.record.methods
    assert {method.name for method in methods} == set(CALIBRATION_METHODS)
    agreements = [method.float_agreement for method in methods]
    assert agreements == sorted(agreements, reverse=True)
    assert all(0 < method.float_agreement <= 1 and 0 < method.agreement <= 1 for method in methods)
    assert {len(method.accuracies) for method in methods} == {3}
    assert [each.name for each in none_within_bound.record.candidates[1:4]] == [method.name for method in methods]


def test_without_a_candidate_within_the_bound_there_are_no_options_but_a_full_record(none_within_bound):
    assert none_within_bound.options is None
    assert not any(each.within_bound for each in none_within_bound.record.candidates)
    plain = none_within_bound.record.candidates[0].options
    assert (plain["ranges"], plain["rounding"], plain["bias_correction"]) == ("min-max", "nearest", False)
    assert plain["bit_exact"] is False
    assert json.dumps(none_within_bound.record.to_json(), allow_nan=False)


def test_the_models_of_the_search_are_kept_for_the_quantization(trials, none_within_bound, monkeypatch):
    def fail(*_):
        raise AssertionError("converted twice")

    monkeypatch.setattr("edgefer.workstation.quantization.schemes.int8.convert", fail)
    for method in CALIBRATION_METHODS:
        options = dataclasses.replace(DEFAULTS, calibration_method=method)
        assert len(trials.context.flatbuffer("int8", options)) > 1000
        assert len(trials.labels(2, "int8", options)) == len(trials.context.images.labels)
    with pytest.raises(AssertionError, match="converted twice"):
        trials.context.flatbuffer("int8", QuantizationOptions(io="uint8"))


@pytest.fixture(scope="module")
def damaged_layer(make_trials, small_network):
    """A search on a network with a layer that loses most of its accuracy with one weight scale per tensor."""
    layer = small_network.get_layer("conv_b")
    before = layer.get_weights()
    weights, bias = (each.copy() for each in before)
    weights[..., 0], bias[0] = 1e3 * weights[..., 0], -1e6
    layer.set_weights([weights, bias])
    try:
        trials = make_trials(small_network)
        base = QuantizationOptions(per_channel=False, io="uint8", float_layers=("^conv$",))
        return search(trials.context, trials, base=base, max_drop_points=-100).record
    finally:
        layer.set_weights(before)


def test_the_most_sensitive_layer_is_kept_in_float(damaged_layer):
    candidates = damaged_layer.candidates
    assert candidates[5].name.startswith("conv_b")
    assert "^conv_b$" in candidates[5].options["float_layers"]
    assert candidates[5].agreement >= max(each.agreement for each in candidates[:5])
    assert candidates[5].model_bytes > candidates[1].model_bytes


def test_bit_exact_scales_are_given_up_before_a_layer_is_kept_in_float(damaged_layer):
    methods, inexact = damaged_layer.candidates[1:4], damaged_layer.candidates[4]
    assert all(each.options["bit_exact"] for each in methods)
    assert inexact.name == "8-bit weights, not bit-exact"
    best = max(methods, key=lambda each: each.agreement)
    assert inexact.options == {**best.options, "bit_exact": False}


def test_the_search_keeps_options_set_by_the_user(damaged_layer):
    for each in damaged_layer.candidates:
        assert (each.options["io"], each.options["per_channel"]) == ("uint8", False)
        assert each.options["float_layers"][0] == "^conv$"


def test_a_trained_network_with_two_calibration_sets(finished_run, faces):
    context = QuantizationContext(finished_run, faces, DrawnFaces(faces.split("Training").pixels[:40], seed=0))
    trials = CalibrationTrials(context, context.select_disjoint(2))
    result = search(context, trials, max_drop_points=50)
    assert result.options is not None
    assert np.isfinite([each.agreement for each in result.record.methods]).all()
