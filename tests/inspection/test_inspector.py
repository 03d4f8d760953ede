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


def test_the_model_that_ships(shipped_inspection: Inspection) -> None:
    found = shipped_inspection
    assert (found.parameters, found.macs, found.macs_unknown_ops) == (299_703, 77_350_392, 0)
    assert (found.minimum_runtime, found.first_run, found.runtime) == ("1.14", "ok", "litert")
    assert (found.delegate_groups, {op.in_delegate for op in found.ops}) == (1, {True})
    assert {target.name: target.fits for target in found.targets} == dict.fromkeys(
        ("litert", "tflite_runtime", "edgetpu", "tflm"), "yes"
    )


def test_its_contract_is_kept(shipped_inspection: Inspection) -> None:
    artifact, contract = Artifact.load(SHIPPED), shipped_inspection.contract
    assert (contract.status, contract.labels, contract.scheme) == ("ok", artifact.labels, "int8")
    assert contract.golden_worst <= contract.golden_tolerance == artifact.golden.tolerance
    assert shipped_inspection.sha256 == artifact.sha256


def test_a_model_without_a_contract(litert) -> None:
    found = inspect_in_process(DATA / "tiny-float32.tflite")
    assert (found.contract.status, found.contract.labels) == ("none", None)
    assert (found.parameters, found.parameter_bytes, found.macs) == (1367, 1367 * 4, 207_472)


def test_other_golden_outputs_are_a_mismatch(litert, int8_artifact: Artifact, saved) -> None:
    golden = int8_artifact.golden
    outputs = golden.outputs.copy()
    outputs[3, 2] = -100 if outputs[3, 2] > 0 else 100
    other = Golden(golden.inputs, outputs, outputs, golden.tolerance)
    found = inspect_in_process(saved(replace(int8_artifact, golden=other))).contract
    assert found.status == "mismatch"
    assert found.golden_worst > 90


def test_a_contract_for_another_shape_is_not_replayed(litert, int8_artifact: Artifact, saved) -> None:
    golden = int8_artifact.golden
    six = replace(golden, outputs=golden.outputs[:, :6], reference=golden.reference[:, :6])
    fewer = replace(int8_artifact, labels=int8_artifact.labels[:6], golden=six)
    found = inspect_in_process(saved(fewer)).contract
    assert found.status == "not replayed"
    assert "(1, 7)" in found.detail


def test_a_damaged_contract_says_so_and_the_rest_is_told(litert, int8_artifact: Artifact, saved) -> None:
    path = saved(int8_artifact)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"golden.npz") - 200] ^= 0xFF
    path.write_bytes(content[:-10])
    found = inspect_in_process(path)
    assert found.contract.status == "damaged"
    assert found.macs == 207_472


def test_a_version_that_no_runtime_has_is_an_obstacle_and_no_error(litert, tmp_path: Path, with_op_version) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_op_version((DATA / "tiny-int8.tflite").read_bytes(), 99))
    found = inspect_in_process(path)
    assert found.target("litert").fits == "no"
    assert "99" in found.first_run
    assert (found.delegate_groups, found.macs) == (None, 207_472)


def test_a_model_with_two_inputs_is_run(litert, tmp_path: Path) -> None:
    found = inspect_in_process(DATA / "two-inputs.tflite")
    assert (len(found.inputs), len(found.outputs), found.first_run) == (2, 2, "ok")


def test_numbers_are_plain(shipped_inspection: Inspection) -> None:
    assert not [value for value in vars(shipped_inspection).values() if isinstance(value, np.generic)]
