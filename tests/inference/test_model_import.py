"""A model with a contract gets another one."""

import dataclasses
import zipfile
from pathlib import Path

import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.input_description import parse_input
from edgefer.contract.preprocessing import Clahe
from edgefer.inference.model_import import ForeignModel, choose_input, make_artifact

FIXTURE = Path(__file__).parents[1] / "fixtures" / "tiny-float32.tflite"
NAMES = tuple("abcdefg")


@pytest.mark.parametrize("words", ["gray,0..1", "gray,-1..1"])
def test_clahe_stays_and_the_temperature_of_the_same_input(tmp_path, words):
    foreign = ForeignModel.open(FIXTURE)
    choice = choose_input(foreign, labels=NAMES, words="gray,0..1")
    spec = dataclasses.replace(choice.spec, clahe=Clahe())
    old = make_artifact(foreign, dataclasses.replace(choice, spec=spec))
    dataclasses.replace(old, temperature=1.5).save(tmp_path / "old.tflite")
    model = ForeignModel.open(tmp_path / "old.tflite")
    new = make_artifact(model, choose_input(model, labels=NAMES[::-1], words=words))
    assert new.labels == NAMES[::-1]
    assert new.input_spec == parse_input(words, spec)
    assert new.temperature == (1.5 if words == "gray,0..1" else 1.0)


def test_model_with_tflite_metadata_gets_a_contract(tmp_path):
    path = tmp_path / "metadata.tflite"
    path.write_bytes(FIXTURE.read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("labels.txt", "\n".join(NAMES[::-1]))
    model = ForeignModel.open(path)
    make_artifact(model, choose_input(model, labels=NAMES, words="gray,0..1")).save(tmp_path / "out.tflite")
    artifact = Artifact.load(tmp_path / "out.tflite")
    assert artifact.labels == NAMES
    assert artifact.model == path.read_bytes()
