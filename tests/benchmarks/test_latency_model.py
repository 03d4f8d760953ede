"""benchmarks/latency_model.py: the fit of latencies to instructions."""

import json

import latency_model
import numpy as np
import pytest

from edgefer.results.instructions import InstructionCounts

CYCLES = np.array([0.5, 1.0, 1.5, 0.75])
GENERATOR = np.random.default_rng(0)
COUNTS = {
    f"net{index}-int8": {"pi4": InstructionCounts(*map(int, GENERATOR.integers(10**6, 10**8, 4)))} for index in range(9)
}


def row(network, threads, latency_ms, *, dtype="int8", source="a table", **others):
    return {
        "network": network, "dtype": dtype, "processor": "pi4", "threads": threads, "latency_ms": latency_ms,
        "source": source, **others,
    }  # fmt: skip


def test_a_latency_of_four_threads_is_scaled_by_the_median_published_ratio():
    rows = [
        row("a", 1, 30.0), row("a", 4, 10.0), row("b", 1, 20.0, scale_only=True), row("b", 4, 10.0, scale_only=True),
        row("c", 1, 50.0), row("c", 4, 20.0), row("d", 4, 8.0), row("d", 4, 8.0, dtype="float32", source="another"),
        row("e", 1, 40.0, dtype="float32"), row("e", 4, 20.0, dtype="float32"),
    ]  # fmt: skip
    latencies = {entry.network: entry.latency_ms for entry in latency_model.single_thread_latencies(rows)}
    assert latencies == {"a-int8": 30.0, "c-int8": 50.0, "d-int8": 20.0, "d-float32": 16.0, "e-float32": 40.0}


def test_a_fit_predicts_networks_that_it_has_not_seen():
    latencies = []
    for network, boards in COUNTS.items():
        counts = boards["pi4"]
        numbers = np.array([counts.int8_mac, counts.float, counts.load_store, counts.other])
        latencies.append(latency_model.Latency(network, "pi4", float(numbers @ CYCLES) / 1.5e6, 1))
    model, predictions = latency_model.fit_board("pi4", latencies, COUNTS)
    assert (model.board, model.clock_ghz, model.networks) == ("Pi 4", 1.5, 9)
    assert model.error < 0.1
    assert len(predictions) == 9
    assert model.estimate(COUNTS["net0-int8"]["pi4"]).latency_ms == pytest.approx(latencies[0].latency_ms, rel=0.1)


def test_one_outlier_does_not_change_its_own_prediction():
    def predict(outlier_ms):
        latencies = [
            latency_model.Latency(network, "pi4", outlier_ms if network == "net3-int8" else 100.0, 1)
            for network in COUNTS
        ]
        _, predictions = latency_model.fit_board("pi4", latencies, COUNTS)
        return next(entry["predicted_ms"] for entry in predictions if entry["network"] == "net3-int8")

    assert predict(100.0) == pytest.approx(predict(10_000.0))


def test_costs_are_never_negative_and_tend_to_a_common_one():
    numbers = np.array([[1.0, 1.0, 0.0, 0.0], [2.0, 1.0, 0.0, 0.0]])
    cycles = latency_model.fit_cycles(numbers, np.array([2.0, 1.0]))
    assert (cycles >= 0).all()
    # Nothing is known of the last two classes.
    assert cycles[2] == pytest.approx(cycles[3])
    assert cycles[2] == pytest.approx(cycles[:2].mean())


def test_every_published_latency_has_its_source_and_every_network_can_be_built():
    rows = json.loads(latency_model.PUBLISHED.read_text())["latencies"]
    public_networks = pytest.importorskip("public_networks", reason="needs Keras", exc_type=ImportError)
    assert {row["network"] for row in rows} <= set(public_networks.NETWORKS)
    for row in rows:
        assert row["source"]
        assert row["runtime"]
        assert row["latency_ms"] > 0
        assert row["threads"] in (1, 4)
        assert row["processor"] in latency_model.BOARDS
