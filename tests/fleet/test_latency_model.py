"""edgefer.fleet.latency_model: estimates from instruction counts."""

import json

import pytest

from edgefer.errors import DataError
from edgefer.fleet.latency_model import LatencyModel, read_latency_models
from edgefer.results.instructions import InstructionCounts

CYCLES = {"int8_mac": 0.5, "float": 1.0, "load_store": 2.0, "other": 0.25}


def test_an_estimate_is_the_sum_of_cycles_over_the_clock():
    model = LatencyModel("Pi 4", 1.5, CYCLES, error=0.1, networks=9)
    estimate = model.estimate(InstructionCounts(int8_mac=4_000_000, float=1_000_000, load_store=0, other=12_000_000))
    assert estimate.latency_ms == pytest.approx((2e6 + 1e6 + 3e6) / 1.5e6)
    assert estimate.error == 0.1


def test_shipped_models_are_below_the_limit_of_their_error():
    models = read_latency_models()
    assert set(models) == {"pi3", "pi4", "pi5"}
    for model in models.values():
        assert 0 < model.error <= 0.4
        assert all(cycles > 0 for cycles in model.cycles.values())


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "model.json"
    entry = {**LatencyModel("Pi 4", 1.5, CYCLES, 0.1, 9).to_json(), "clock_ghz": "fast"}
    path.write_text(json.dumps({"kind": "latency-model", "schema_version": 1, "processors": {"pi4": entry}}))
    with pytest.raises(DataError, match="clock_ghz"):
        read_latency_models(path)
