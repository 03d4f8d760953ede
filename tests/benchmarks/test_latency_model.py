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
    latencies = {entry.graph: entry.single_thread_ms for entry in latency_model.read_latencies(rows)}
    assert latencies == {"a-int8": 30.0, "c-int8": 50.0, "d-int8": 22.0, "d-float32": 16.0, "e-float32": 40.0}


def test_other_kernels_give_the_ratio_where_there_is_no_better_one():
    rows = [row("a", 1, 30.0, scale_only=True), row("a", 4, 10.0, scale_only=True), row("b", 4, 7.0)]
    (latency,) = latency_model.read_latencies(rows)
    assert (latency.graph, latency.published_ms, latency.single_thread_ms) == ("b-int8", 7.0, 21.0)


def latencies_of(times):
    return [
        latency_model.Latency(graph.removesuffix("-int8"), "int8", "pi4", 1, time, time)
        for graph, time in zip(COUNTS, times)
    ]


def test_a_fit_predicts_networks_that_it_has_not_seen():
    times = [
        np.array([counts.int8_mac, counts.float, counts.load_store, counts.other]) @ CYCLES / 1.5e6
        for counts in (boards["pi4"] for boards in COUNTS.values())
    ]
    model, predictions = latency_model.fit_board("pi4", latencies_of(times), COUNTS)
    assert (model.board, model.clock_ghz, model.errors["int8"].latencies) == ("Pi 4", 1.5, 9)
    assert model.errors["int8"].mean < 0.1
    assert len(predictions) == 9
    assert model.estimate(COUNTS["net0-int8"]["pi4"]).latency_ms == pytest.approx(times[0], rel=0.1)


def test_one_outlier_does_not_change_its_own_prediction():
    def predict(outlier_ms):
        _, predictions = latency_model.fit_board("pi4", latencies_of([100.0] * 3 + [outlier_ms] + [100.0] * 5), COUNTS)
        return predictions[3]

    assert predict(100.0)["predicted_ms"] == pytest.approx(predict(10_000.0)["predicted_ms"])
    assert predict(100.0)["without_family_ms"] == pytest.approx(predict(10_000.0)["without_family_ms"])


def test_detectors_belong_to_the_family_of_their_backbone():
    def family(network):
        return latency_model.Latency(network, "int8", "pi4", 1, 1.0, 1.0).family

    assert family("ssdlite_mobilenet_v2") == family("mobilenet_v2") == "mobilenet_v2"
    assert family("efficientdet_lite0") == family("efficientdet_lite2") == "efficientdet"


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
    assert {row["network"] for row in rows if not row.get("scale_only")} <= set(public_networks.NETWORKS)
    for row in rows:
        assert row["source"]
        assert row["runtime"]
        assert row["latency_ms"] > 0
        assert row["threads"] in (1, 4)
        assert row["processor"] in latency_model.BOARDS
