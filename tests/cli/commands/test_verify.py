import dataclasses
import sys

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.inference.interpreters import run_model
from edgefer.inference.runtimes import tflite_runtime
from edgefer.inspection import parity as parity_module
from edgefer.models import SHIPPED
from edgefer.results.parity import Configuration

# On two busy cores, four threads are a hundred times slower.
LITERT = ("--runtime", "litert", "--threads", 1)
# Number of golden vectors in each artifact; they run before the real faces.
GOLDEN = 9


def test_the_shipped_model_without_a_data_set(edgefer):
    outcome = edgefer("verify", *LITERT)
    assert outcome.code == 0, outcome.err
    assert "the shipped model" in outcome.err
    assert "only the golden vectors" in outcome.err
    assert "golden vectors (synthetic), because no real faces are available" in " ".join(outcome.out.split())
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert "3 litert" in outcome.out


def test_the_record_of_a_comparison_on_public_test(edgefer, workplace):
    outcome = edgefer("verify", workplace.int8, *LITERT, "--data", workplace.data, "--faces", 50, "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"]) == ("parity", 1)
    assert (record["faces"], record["data"], record["unit"]) == (50, "validation split of npz", "steps")
    assert record["subject"]["file"] == workplace.int8.name
    assert record["subject"]["sha256"] == Artifact.load(workplace.int8).sha256
    assert [row["configuration"]["kernels"] for row in record["rows"]] == ["default", "builtin", "reference"]
    assert all(row["golden_ok"] for row in record["rows"])
    assert record["least_agreement"] >= 0.9


@pytest.mark.parametrize(("faces", "count"), [("all", 70), ("1000", 70), ("1", 1)])
def test_the_number_of_faces(edgefer, workplace, faces, count):
    record = edgefer("verify", workplace.float32, *LITERT, "--data", workplace.data, "--faces", faces, "--json").record
    assert record["faces"] == count
    assert record["unit"] == "logits"


def test_the_faces_are_spread_evenly(edgefer, workplace, monkeypatch):
    inputs = []

    def run(model, faces, configuration, spec):
        inputs.append(faces)
        return run_model(model, faces, configuration, spec)

    monkeypatch.setattr(parity_module, "run_model", run)
    assert edgefer("verify", workplace.int8, *LITERT, "--data", workplace.data, "--faces", 3).code == 0
    arrays = np.load(workplace.data)
    public = arrays["pixels"][arrays["usage"] == "PublicTest"]
    assert np.array_equal(inputs[0][-3:], public[[0, 34, 69]])


def test_the_default_data_set_comes_from_the_environment(edgefer, workplace, monkeypatch):
    monkeypatch.setenv("EDGEFER_DATA", str(workplace.data))
    # The edgefer fixture removes the variable only once, before the test.
    record = edgefer("verify", workplace.int8, *LITERT, "--faces", 5, "--json").record
    assert record["data"] == "validation split of npz"


@pytest.fixture
def one_label_change(monkeypatch):
    """Make the reference kernels give the first real face another label."""

    def run(model, faces, configuration, spec):
        outputs = run_model(model, faces, Configuration("litert"), spec).copy()
        if configuration.kernels == "reference" and len(faces) > GOLDEN:
            outputs[GOLDEN] = np.roll(outputs[GOLDEN], 1)
        return outputs

    monkeypatch.setattr(parity_module, "run_model", run)
    monkeypatch.setattr(parity_module, "list_layers", lambda model: ())


@pytest.mark.parametrize(("bound", "code"), [("90", 0), ("90.1", 3), ("100", 3)])
def test_low_agreement_is_exit_code_3_and_prints_the_result(edgefer, workplace, one_label_change, bound, code):
    outcome = edgefer(
        "verify", workplace.int8, *LITERT, "--data", workplace.data, "--faces", 10, "--min-agreement", bound, "--json"
    )
    assert outcome.code == code, outcome.err
    assert outcome.record["least_agreement"] == pytest.approx(0.9)
    if code:
        assert "the lowest agreement is 90.00 %" in outcome.err


def test_a_runtime_that_fails_to_run_is_exit_code_3(edgefer, monkeypatch):
    monkeypatch.setattr(tflite_runtime, "available", lambda: None)
    named = ("--runtime", "litert, tflite_runtime", "--threads", "1")
    assert edgefer("verify", SHIPPED, *named).code == 0
    outcome = edgefer("verify", SHIPPED, *named, "--min-agreement", 1)
    assert outcome.code == 3
    assert "tflite_runtime failed to run" in outcome.err
    assert "Row 4 did not run" in outcome.out


def test_golden_vectors_outside_the_tolerance_are_incompatible(edgefer, tmp_path):
    artifact = Artifact.load(SHIPPED)
    outputs = 127 - artifact.golden.outputs.astype(np.int16)
    golden = dataclasses.replace(artifact.golden, outputs=outputs, reference=outputs)
    dataclasses.replace(artifact, golden=golden).save(tmp_path / "wrong.tflite")
    outcome = edgefer("verify", "wrong.tflite", *LITERT)
    assert outcome.code == 5
    assert f"steps, tolerance {golden.tolerance:g}" in outcome.err
    assert "Rows 1, 2, 3: the golden vectors exceed the contract's tolerance" in outcome.out


def test_another_python_runs_its_own_runtimes(edgefer):
    record = edgefer("verify", SHIPPED, *LITERT, "--python", sys.executable, "--json").record
    assert [row["configuration"]["python"] for row in record["rows"]] == [""] * 3 + [sys.executable] * 3
    assert record["rows"][3]["identical"] == 1


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--faces", "0"], 2, "--faces 256"),
        (["--faces", "few"], 2, "--faces 256"),
        (["--threads", "1,0"], 2, "--threads 1,2,4"),
        (["--threads", "many"], 2, "--threads 1,2,4"),
        (["--runtime", "litret"], 2, "'litert'"),
        (["--python", "/nowhere/python"], 2, "/nowhere/python"),
        (["--min-agreement", "101"], 2, "--min-agreement"),
        (["--data", "nowhere.csv"], 1, "nowhere.csv"),
    ],
)
def test_invalid_options_get_a_hint(refused, options, code, named):
    assert named in refused("verify", SHIPPED, *options, code=code)


def test_a_bare_flatbuffer_is_compared_without_a_contract(edgefer, tmp_path):
    (tmp_path / "bare.tflite").write_bytes(Artifact.load(SHIPPED).model)
    result = edgefer("verify", "bare.tflite", *LITERT, "--json")
    assert result.code == 0, result.err
    assert "it has no contract" in result.err
    assert result.record["subject"]["sha256"] == Artifact.load(SHIPPED).sha256


@pytest.mark.parametrize(
    ("options", "named"),
    [(["--runtime", "litertt"], "litertt"), (["--python", "/no/python"], "no Python at /no/python")],
)
def test_the_runtimes_are_checked_before_the_data_set_is_read(refused, options, named):
    assert named in refused("verify", "--data", "nowhere.csv", *options, code=2)
