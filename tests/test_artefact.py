import dataclasses
import io
import json
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from edgefer.artefact import Artefact, Golden
from edgefer.errors import DataError, IncompatibleError
from edgefer.labels import LABELS
from edgefer.preprocess import InputSpec


@pytest.fixture
def artefact():
    generator = np.random.default_rng(0)
    return Artefact(
        model=generator.bytes(1000),
        labels=LABELS,
        input_spec=InputSpec(),
        scheme="int8",
        golden=Golden(generator.integers(0, 256, (3, 48, 48), np.uint8), np.int8(np.arange(21).reshape(3, 7)), 2.0),
        provenance={"system": "test", "scores": {"accuracy": 0.5}},
    )


def test_what_is_saved_is_what_is_loaded(artefact, tmp_path):
    artefact.save(tmp_path / "model.tflite")
    loaded = Artefact.load(tmp_path / "model.tflite")
    for item in dataclasses.fields(Artefact):
        if item.name != "golden":
            assert getattr(loaded, item.name) == getattr(artefact, item.name)
    assert np.array_equal(loaded.golden.inputs, artefact.golden.inputs)
    assert np.array_equal(loaded.golden.outputs, artefact.golden.outputs)
    assert loaded.golden.outputs.dtype == np.int8
    assert loaded.golden.tolerance == 2.0


def test_the_same_artefact_is_the_same_bytes(artefact):
    assert artefact.to_bytes() == artefact.to_bytes()


def test_the_file_begins_with_the_model(artefact):
    assert artefact.to_bytes()[:1000] == artefact.model


def test_other_tools_see_a_zip(artefact, tmp_path):
    path = tmp_path / "model.tflite"
    artefact.save(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {"labels.txt", "edgefer.json", "golden.npz"}
        assert archive.read("labels.txt").decode().split() == list(LABELS)


def test_golden_outputs_within_the_tolerance_pass(artefact):
    assert artefact.golden.check(artefact.golden.outputs + 2) == 2


def test_a_golden_mismatch_says_by_how_many_steps_and_where(artefact):
    outputs = artefact.golden.outputs.copy()
    outputs[1, 4] += 9
    with pytest.raises(IncompatibleError, match="9 steps off in golden vector 1, class 4") as caught:
        artefact.golden.check(outputs)
    assert "1 of 3 vectors" in str(caught.value)


def test_a_nan_is_a_mismatch():
    golden = Golden(np.zeros((1, 48, 48), np.uint8), np.zeros((1, 7), np.float32), 0.1)
    outputs = np.zeros((1, 7), np.float32)
    outputs[0, 2] = np.nan
    with pytest.raises(IncompatibleError, match="class 2"):
        golden.check(outputs)


def test_a_plain_model_has_no_contract(tmp_path):
    (tmp_path / "plain.tflite").write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(100))
    with pytest.raises(DataError, match=r"plain\.tflite: the model carries no contract"):
        Artefact.load(tmp_path / "plain.tflite")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.tflite"):
        Artefact.load(tmp_path / "none.tflite")


def test_a_flipped_bit_in_the_model_is_found(artefact):
    content = bytearray(artefact.to_bytes())
    content[500] ^= 1
    with pytest.raises(DataError, match="damaged"):
        Artefact.from_bytes(bytes(content))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9, 0.999])
def test_a_file_that_was_cut_short_is_refused(artefact, share):
    content = artefact.to_bytes()
    with pytest.raises(DataError):
        Artefact.from_bytes(content[: int(len(content) * share)])


def test_a_later_contract_is_refused(artefact):
    content = artefact.to_bytes()
    buffer = io.BytesIO(content[:1000])
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(buffer, "a") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'"contract_version": 1', b'"contract_version": 99'))
    with pytest.raises(IncompatibleError, match="version 99"):
        Artefact.from_bytes(buffer.getvalue())


def test_python_itself_lists_the_contract(artefact, tmp_path):
    artefact.save(tmp_path / "model.tflite")
    command = [sys.executable, "-m", "zipfile", "-l", str(tmp_path / "model.tflite")]
    listing = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "edgefer.json" in listing.stdout


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_contract_is_a_data_error_or_whole(artefact, seed):
    rng, content = np.random.default_rng(seed), artefact.to_bytes()
    for _ in range(50):
        damaged = bytearray(content)
        for place in rng.integers(len(artefact.model), len(content), 3):
            damaged[place] = rng.integers(256)
        try:
            found = Artefact.from_bytes(bytes(damaged))
        except (DataError, IncompatibleError):
            continue
        assert found.model == artefact.model
        assert found.golden.outputs.shape == artefact.golden.outputs.shape


def with_facts(artefact, **changes):
    """The bytes of ``artefact`` with other values in its edgefer.json; the checksums are right."""
    content = io.BytesIO(artefact.model)
    with zipfile.ZipFile(io.BytesIO(artefact.to_bytes())) as old, zipfile.ZipFile(content, "a") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, json.dumps(json.loads(text) | changes) if name == "edgefer.json" else text)
    return content.getvalue()


@pytest.mark.parametrize(
    "changes",
    [
        {"contract_version": "1"},
        {"contract_version": None},
        {"model_bytes": "all"},
        {"input": []},
        {"input": {"height": 48, "width": 47, "clahe": None}},
        {"golden_tolerance": None},
        {"golden_tolerance": "much"},
        {"provenance": 3},
    ],
)
def test_facts_of_another_kind_are_refused(artefact, changes):
    assert Artefact.from_bytes(with_facts(artefact)).labels == artefact.labels
    with pytest.raises(DataError):
        Artefact.from_bytes(with_facts(artefact, **changes))
