from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact, Golden
from edgefer.inspection.inspector import inspect_in_process
from edgefer.models import SHIPPED
from edgefer.results.inspection import Inspection

DATA = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def shipped_inspection(litert) -> Inspection:
    return inspect_in_process(SHIPPED)


@pytest.fixture
def saved(tmp_path: Path):
    def save(artifact: Artifact) -> Path:
        artifact.save(tmp_path / "model.tflite")
        return tmp_path / "model.tflite"

    return save


def test_facts_of_the_shipped_model(shipped_inspection: Inspection) -> None:
    inspection = shipped_inspection
    assert (inspection.parameters, inspection.macs, inspection.macs_unknown_ops) == (317_607, 45_475_872, 0)
    assert (inspection.minimum_runtime, inspection.first_run, inspection.runtime) == ("1.14", "ok", "litert")
    assert (inspection.delegate_groups, {op.in_delegate for op in inspection.ops}) == (1, {True})
    assert {target.name: target.fits for target in inspection.targets} == dict.fromkeys(
        ("litert", "tflite_runtime", "edgetpu", "tflm"), "yes"
    )


def test_shipped_model_reproduces_its_contract(shipped_inspection: Inspection) -> None:
    artifact, contract = Artifact.load(SHIPPED), shipped_inspection.contract
    assert (contract.status, contract.labels, contract.scheme) == ("ok", artifact.labels, "int8")
    assert contract.golden_worst <= contract.golden_tolerance == artifact.golden.tolerance
    assert shipped_inspection.sha256 == artifact.sha256


def test_model_without_a_contract(litert) -> None:
    inspection = inspect_in_process(DATA / "tiny-float32.tflite")
    assert (inspection.contract.status, inspection.contract.labels) == ("none", None)
    assert (inspection.parameters, inspection.parameter_bytes, inspection.macs) == (1367, 1367 * 4, 207_472)


def test_changed_golden_outputs_are_a_mismatch(litert, int8_artifact: Artifact, saved) -> None:
    golden = int8_artifact.golden
    outputs = golden.outputs.copy()
    outputs[3, 2] = -100 if outputs[3, 2] > 0 else 100
    other = Golden(golden.inputs, outputs, outputs, golden.tolerance)
    contract = inspect_in_process(saved(replace(int8_artifact, golden=other))).contract
    assert contract.status == "mismatch"
    assert contract.golden_worst > 90


def test_contract_for_another_shape_is_not_replayed(litert, int8_artifact: Artifact, saved) -> None:
    golden = int8_artifact.golden
    six = replace(golden, outputs=golden.outputs[:, :6], reference=golden.reference[:, :6])
    fewer = replace(int8_artifact, labels=int8_artifact.labels[:6], golden=six)
    contract = inspect_in_process(saved(fewer)).contract
    assert contract.status == "not replayed"
    assert "(1, 7)" in contract.detail


def test_contract_tells_logits_from_probabilities(litert, int8_artifact: Artifact, saved) -> None:
    assert inspect_in_process(saved(int8_artifact)).contract.output == "logits"
    assert inspect_in_process(saved(replace(int8_artifact, output="probabilities"))).contract.output == "probabilities"


def test_damaged_contract_does_not_hide_the_other_facts(litert, int8_artifact: Artifact, saved) -> None:
    path = saved(int8_artifact)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"golden.npz") - 200] ^= 0xFF
    path.write_bytes(content[:-10])
    inspection = inspect_in_process(path)
    assert inspection.contract.status == "damaged"
    assert inspection.macs == 207_472


def test_unsupported_operator_version_is_an_obstacle_and_not_an_error(litert, tmp_path: Path, with_op_version) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_op_version((DATA / "tiny-int8.tflite").read_bytes(), 99))
    inspection = inspect_in_process(path)
    assert inspection.target("litert").fits == "no"
    assert "99" in inspection.first_run
    assert (inspection.delegate_groups, inspection.macs) == (None, 207_472)


def test_model_with_two_inputs_runs(litert, tmp_path: Path) -> None:
    inspection = inspect_in_process(DATA / "two-inputs.tflite")
    assert (len(inspection.inputs), len(inspection.outputs), inspection.first_run) == (2, 2, "ok")


def test_numbers_are_python_numbers(shipped_inspection: Inspection) -> None:
    assert not [value for value in vars(shipped_inspection).values() if isinstance(value, np.generic)]
