"""edgefer.fleet.latency_model: estimates from instruction counts."""

import json

import pytest

from edgefer.errors import DataError
from edgefer.fleet.emulated_board import PROCESSORS
from edgefer.fleet.latency_model import FitError, LatencyModel, read_latency_models
from edgefer.results.instructions import InstructionCounts

CYCLES = {"int8_mac": 0.5, "float": 1.0, "load_store": 2.0, "other": 0.25}
ERRORS = {"float32": FitError(0.1, 9), "int8": FitError(0.2, 5)}


def test_an_estimate_is_the_sum_of_cycles_over_the_clock():
    model = LatencyModel("Pi 4", 1.5, CYCLES, ERRORS)
    estimate = model.estimate(InstructionCounts(int8_mac=4_000_000, float=1_000_000, load_store=0, other=12_000_000))
    assert estimate.latency_ms == pytest.approx((2e6 + 1e6 + 3e6) / 1.5e6)
    assert (estimate.board, estimate.error, estimate.tested) == ("Pi 4, 1.5 GHz", 0.2, 5)
    assert model.estimate(InstructionCounts(int8_mac=0, float=9, load_store=0, other=0)).error == 0.1


def test_shipped_models_are_below_the_limit_of_their_error():
    models = read_latency_models()
    assert tuple(models) == PROCESSORS
    for model in models.values():
        assert all(0 < error.mean <= 0.4 for error in model.errors.values())
        assert all(cycles > 0 for cycles in model.cycles.values())


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "model.json"
    entry = {**LatencyModel("Pi 4", 1.5, CYCLES, ERRORS).to_json(), "clock_ghz": "fast"}
    path.write_text(json.dumps({"kind": "latency-model", "schema_version": 1, "processors": {"pi4": entry}}))
    with pytest.raises(DataError, match="clock_ghz"):
        read_latency_models(path)
    path.write_text("{")
    with pytest.raises(DataError):
        read_latency_models(path)
