import importlib
import importlib.metadata
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgefer.artefact import Artefact, Golden
from edgefer.board.anatomy import SCHEMA
from edgefer.board.inspect import MEMORY_BYTES, _crash, inspect, inspect_apart
from edgefer.child import Ended
from edgefer.errors import DataError, IncompatibleError
from edgefer.inspection import Inspection
from edgefer.models import SHIPPED

DATA = Path(__file__).parent / "data"
MUTATE = Path(__file__).parents[1] / "tools" / "mutate_models.py"


@pytest.fixture(scope="module")
def shipped_inspection(litert) -> Inspection:
    return inspect(SHIPPED)


@pytest.fixture
def saved(tmp_path: Path):
    def save(artefact: Artefact) -> Path:
        artefact.save(tmp_path / "model.tflite")
        return tmp_path / "model.tflite"

    return save


def test_the_model_that_ships(shipped_inspection: Inspection) -> None:
    found = shipped_inspection
    assert (found.parameters, found.macs, found.macs_unknown_ops) == (302_791, 25_105_280, 0)
    assert (found.minimum_runtime, found.first_run, found.runtime) == ("1.14", "ok", "litert")
    assert (found.delegate_groups, {op.in_delegate for op in found.ops}) == (1, {True})
    assert {target.name: target.fits for target in found.targets} == dict.fromkeys(
        ("litert", "tflite_runtime", "edgetpu", "tflm"), "yes"
    )


def test_its_contract_is_kept(shipped_inspection: Inspection) -> None:
    artefact, contract = Artefact.load(SHIPPED), shipped_inspection.contract
    assert (contract.status, contract.labels, contract.scheme) == ("ok", artefact.labels, "int8")
    assert contract.golden_worst <= contract.golden_tolerance == artefact.golden.tolerance
    assert shipped_inspection.sha256 == artefact.sha256


def test_apart_and_here_agree(shipped_inspection: Inspection) -> None:
    assert json.dumps(inspect_apart(SHIPPED).to_json()) == json.dumps(shipped_inspection.to_json())


def test_a_model_without_a_contract(litert) -> None:
    found = inspect(DATA / "tiny-float32.tflite")
    assert (found.contract.status, found.contract.labels) == ("none", None)
    assert (found.parameters, found.parameter_bytes, found.macs) == (1367, 1367 * 4, 207_472)


def test_other_golden_outputs_are_a_mismatch(litert, int8_artefact: Artefact, saved) -> None:
    golden = int8_artefact.golden
    outputs = golden.outputs.copy()
    outputs[3, 2] = -100 if outputs[3, 2] > 0 else 100
    found = inspect(saved(replace(int8_artefact, golden=Golden(golden.inputs, outputs, golden.tolerance)))).contract
    assert found.status == "mismatch"
    assert found.golden_worst > 90


def test_a_contract_for_another_shape_is_not_replayed(litert, int8_artefact: Artefact, saved) -> None:
    golden = int8_artefact.golden
    six = replace(golden, outputs=golden.outputs[:, :6])
    fewer = replace(int8_artefact, labels=int8_artefact.labels[:6], golden=six)
    found = inspect(saved(fewer)).contract
    assert found.status == "not replayed"
    assert "(1, 7)" in found.detail


def test_a_damaged_contract_says_so_and_the_rest_is_told(litert, int8_artefact: Artefact, saved) -> None:
    path = saved(int8_artefact)
    content = bytearray(path.read_bytes())
    content[content.rindex(b"golden.npz") - 200] ^= 0xFF
    path.write_bytes(content[:-10])
    found = inspect(path)
    assert found.contract.status == "damaged"
    assert found.macs == 207_472


@pytest.mark.parametrize("content", [b"", b"hello", bytes(4096), b"\x1c\0\0\0TFL3" + b"\xff" * 500])
def test_what_is_no_model_is_told_in_one_sentence(litert, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a TensorFlow Lite model"):
        inspect_apart(path)


def test_a_truncated_model_is_a_damaged_one(litert, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes((DATA / "tiny-int8.tflite").read_bytes()[:3000])
    with pytest.raises(DataError, match="or a damaged one"):
        inspect_apart(path)


def test_a_version_that_no_runtime_has_is_an_obstacle_and_no_error(litert, tmp_path: Path, with_op_version) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(with_op_version((DATA / "tiny-int8.tflite").read_bytes(), 99))
    found = inspect(path)
    assert found.target("litert").fits == "no"
    assert "99" in found.first_run
    assert (found.delegate_groups, found.macs) == (None, 207_472)


def test_a_model_with_two_inputs_is_run(litert, tmp_path: Path) -> None:
    found = inspect(DATA / "two-inputs.tflite")
    assert (len(found.inputs), len(found.outputs), found.first_run) == (2, 2, "ok")


@pytest.mark.parametrize("name", ["nowhere.tflite", "."])
def test_no_such_file(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="not a model file"):
        inspect_apart(tmp_path / name)


def test_time_that_is_up_is_told(litert) -> None:
    with pytest.raises(DataError, match="more than 0.05 s") as caught:
        inspect_apart(SHIPPED, timeout_s=0.05)
    assert "--timeout" in caught.value.fix


def test_memory_that_ran_out_is_told(litert, tmp_path: Path) -> None:
    schema = importlib.import_module(SCHEMA)
    content = bytearray((DATA / "tiny-int8.tflite").read_bytes())
    graph = schema.Model.GetRootAs(content, 0).Subgraphs(0)
    # A view of the bytes: an input of 20,000 x 20,000, whose activations are more than the limit.
    graph.Tensors(graph.Inputs(0)).ShapeAsNumpy()[1:3] = 20_000
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    found = inspect_apart(path, memory_bytes=MEMORY_BYTES)
    assert "more memory than it may take" in found.first_run
    assert found.target("litert").fits == "no"


@pytest.mark.parametrize(
    ("ended", "words"),
    [
        (Ended(-11, ""), "SIGSEGV while the first run"),
        (Ended(-6, "terminate called"), "SIGABRT while the first run"),
        (Ended(1, "Traceback\nMemoryError"), "wanted more than 1,024 MiB"),
        (Ended(1, "Traceback\nKeyError: 3"), "ended with KeyError: 3"),
        (Ended(-9, "", timed_out=True), "more than 60 s"),
    ],
)
def test_whatever_becomes_of_the_child_is_a_sentence(ended: Ended, words: str) -> None:
    error = _crash(Path("model.tflite"), ended, stage="the first run", timeout_s=60, memory_bytes=MEMORY_BYTES)
    assert words in error.why
    assert error.fix


def test_without_litert_the_pip_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def not_installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)
    with pytest.raises(IncompatibleError, match="needs LiteRT") as caught:
        inspect_apart(SHIPPED)
    assert caught.value.fix.startswith("pip install ai-edge-litert")


@pytest.mark.slow
def test_damaged_files_neither_crash_nor_hang_it(litert) -> None:
    models = [SHIPPED, *sorted(DATA.glob("*.tflite"))]
    done = subprocess.run(
        [sys.executable, MUTATE, "--count", "300", "--first", "20000", *models],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "300 mutants, 0 failed" in done.stdout


def test_numbers_are_plain(shipped_inspection: Inspection) -> None:
    assert not [value for value in vars(shipped_inspection).values() if isinstance(value, np.generic)]
