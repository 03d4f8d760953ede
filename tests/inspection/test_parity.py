from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.preprocessing import InputSpec
from edgefer.errors import IncompatibleError, UsageError
from edgefer.inference.interpreters import installed_runtimes, run_model
from edgefer.inference.runtimes import litert, tflite_runtime
from edgefer.inspection import parity as parity_module
from edgefer.inspection.flatbuffer import SCHEMA, load_schema
from edgefer.inspection.parity import list_configurations, verify
from edgefer.inspection.tensor_probe import list_layers
from edgefer.models import SHIPPED
from edgefer.results.parity import Configuration

CONFIGURATIONS = [("default", 1), ("default", 4), ("builtin", 1), ("builtin", 4), ("reference", 1)]


@pytest.fixture(scope="module")
def best() -> str:
    return next(iter(installed_runtimes().runtimes))


def other_runtime_when(which, change, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the configurations that ``which`` selects run ``change(model)``; all use the default kernels."""

    def run(model: bytes, faces: np.ndarray, configuration: Configuration, spec: InputSpec) -> np.ndarray:
        plain = Configuration(configuration.runtime)
        return run_model(change(model) if which(configuration) else model, faces, plain, spec)

    monkeypatch.setattr(parity_module, "run_model", run)


def test_every_configuration_is_a_row_that_is_compared_with_the_first(
    best: str, artifact: Artifact, faces: np.ndarray
) -> None:
    parity = verify(artifact, faces, data="synthetic blocks", runtimes=[best])
    assert [(row.configuration.kernels, row.configuration.threads) for row in parity.rows] == CONFIGURATIONS
    first, *others = parity.rows
    assert (first.identical, first.top1_agreement, first.divergence) == (None, None, None)
    assert not parity.failed
    assert not parity.outside_tolerance
    for row in others:
        assert 0 <= row.identical <= 1
        assert row.top1_agreement >= 0.9
        assert (row.divergence is None) == (row.identical == 1) or row.divergence_problem
    assert others[0].identical == 1, "thread counts give identical outputs"
    assert parity.least_agreement <= min(row.top1_agreement for row in others)
    assert (parity.faces, parity.unit) == (40, parity.unit)
    json.dumps(parity.to_json(), allow_nan=False)


def test_int8_kernels_differ_by_a_step_at_a_convolution(litert, int8_artifact: Artifact, faces: np.ndarray) -> None:
    reference = verify(int8_artifact, faces, runtimes=["litert"]).rows[-1]
    assert reference.configuration.kernels == "reference"
    assert reference.divergence.name == "CONV_2D"
    assert (reference.divergence.largest_difference, reference.divergence.unit) == (1, "steps")
    assert 0 < reference.divergence.differing < 0.05


def with_other_bias(model: bytes, op: int) -> bytes:
    """Return ``model`` with 5,000 added to each bias of its operator ``op``."""
    graph = load_schema().Model.GetRootAs(model, 0)
    main = graph.Subgraphs(0)
    bias = graph.Buffers(main.Tensors(main.Operators(op).Inputs(2)).Buffer()).DataAsNumpy().tobytes()
    assert model.count(bias) == 1
    return model.replace(bias, (np.frombuffer(bias, np.int32) + 5000).tobytes())


@pytest.mark.parametrize("position", [0, 4, -1])
def test_first_differing_layer_is_the_one_that_was_changed(
    litert, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = Artifact.load(SHIPPED)
    with_bias = [layer for layer in list_layers(artifact.model) if layer.name in ("CONV_2D", "FULLY_CONNECTED")]
    planted = with_bias[position]
    other_runtime_when(
        lambda configuration: configuration.kernels == "builtin",
        # The model may have a probed output; the bias has the same position.
        lambda model: with_other_bias(model, planted.op),
        monkeypatch,
    )
    rows = verify(artifact, runtimes=["litert"]).rows
    for row in rows[1:]:
        if row.configuration.kernels == "builtin":
            assert (row.divergence.op, row.divergence.name, row.divergence.tensor) == (
                planted.op, planted.name, planted.tensor_name,
            )  # fmt: skip
            assert row.divergence.differing > 0.01
        else:
            assert (row.identical, row.divergence) == (1, None)


def test_difference_that_no_single_layer_shows_has_no_layer(
    litert, int8_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(model: bytes, faces: np.ndarray, configuration: Configuration, spec: InputSpec) -> np.ndarray:
        outputs = run_model(model, faces, Configuration("litert"), spec)
        whole = len(faces) > 24
        return outputs ^ 1 if whole and configuration.kernels == "reference" else outputs

    monkeypatch.setattr(parity_module, "run_model", run)
    row = verify(int8_artifact, int8_artifact.golden.inputs[:8], runtimes=["litert"]).rows[-1]
    assert row.divergence is None
    assert "every layer agrees" in row.divergence_problem


def test_missing_schema_leaves_the_layer_unknown(
    best: str, int8_artifact: Artifact, faces: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, SCHEMA, None)
    row = next(row for row in verify(int8_artifact, faces, runtimes=[best]).rows if row.identical not in (None, 1))
    assert row.divergence is None
    assert "schema is not installed" in row.divergence_problem


def test_missing_runtime_is_a_row_with_the_problem(
    best: str, int8_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = litert if best != "litert" else tflite_runtime
    name = missing.__name__.rpartition(".")[2]
    monkeypatch.setattr(missing, "available", lambda: None)
    parity = verify(int8_artifact, runtimes=[best, name])
    (row,) = parity.failed
    assert (row.configuration, row.version) == (Configuration(name), None)
    assert "not installed" in row.problem
    assert row.top1_agreement is None
    assert len(parity.rows) == len(CONFIGURATIONS) + 1


def test_runtime_that_cannot_load_the_model_is_a_row_with_the_problem(
    best: str, int8_artifact: Artifact, with_op_version, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_runtime_when(
        lambda configuration: configuration.kernels == "default", lambda model: with_op_version(model, 99), monkeypatch
    )
    parity = verify(int8_artifact, runtimes=[best])
    assert ["cannot load the model" in row.problem for row in parity.rows] == [True, True, False, False, False]
    assert [row.identical for row in parity.rows] == [None, None, None, 1, 1]
    assert parity.least_agreement == 1


def test_nan_outputs_exceed_the_tolerance(best: str, artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    if artifact.scheme != "float32":
        pytest.skip("integers cannot be NaN")

    def run(model: bytes, faces: np.ndarray, configuration: Configuration, spec: InputSpec) -> np.ndarray:
        outputs = run_model(model, faces, Configuration(best), spec)
        return outputs * np.float32("nan") if configuration.kernels == "reference" else outputs

    monkeypatch.setattr(parity_module, "run_model", run)
    parity = verify(artifact, runtimes=[best])
    assert [row.configuration.kernels for row in parity.outside_tolerance] == ["reference"]
    assert json.loads(json.dumps(parity.to_json(), allow_nan=False))["rows"][-1]["golden_worst"] is None


def test_another_python_has_separate_rows(best: str, int8_artifact: Artifact) -> None:
    parity = verify(int8_artifact, runtimes=[best], pythons=[sys.executable], threads=[1])
    assert [row.configuration.python for row in parity.rows] == [""] * 3 + [sys.executable] * 3
    assert set(parity.pythons) == {"", sys.executable}
    _, _, here, first_there, _, there = parity.rows
    assert first_there.identical == 1
    assert there.divergence == here.divergence


def test_least_agreement_is_over_all_pairs(best: str, int8_artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two rows that each differ from the first in one face differ from each other in two.
    order = iter(range(len(CONFIGURATIONS)))

    def run(model: bytes, faces: np.ndarray, configuration: Configuration, spec: InputSpec) -> np.ndarray:
        outputs = run_model(model, faces, Configuration(best), spec).copy()
        turn = next(order, 0)
        if turn in (2, 4):
            outputs[-turn] = np.roll(outputs[-turn], 1)
        return outputs

    monkeypatch.setattr(parity_module, "run_model", run)
    monkeypatch.setattr(parity_module, "list_layers", lambda model: ())
    faces = int8_artifact.golden.inputs[:10]
    parity = verify(int8_artifact, faces, runtimes=[best])
    assert [row.top1_agreement for row in parity.rows] == [None, 1.0, 0.9, 1.0, 0.9]
    assert (parity.least_agreement, parity.least_pair) == (0.8, (2, 4))


def test_unknown_runtimes_and_interpreters_are_rejected(best: str) -> None:
    with pytest.raises(UsageError, match="litert"):
        list_configurations(["litret"])
    with pytest.raises(UsageError, match="no Python"):
        list_configurations([best], ["/nowhere/python"])


def test_other_python_without_the_runtime_is_rejected(best: str) -> None:
    missing = next((name for name in ("litert", "tflite_runtime") if name not in installed_runtimes().runtimes), None)
    if missing is None:
        pytest.skip("every runtime is installed")
    with pytest.raises(IncompatibleError, match="has no such runtime") as caught:
        list_configurations([missing], [sys.executable])
    assert caught.value.hint.startswith(f"{sys.executable} -m pip install ")
