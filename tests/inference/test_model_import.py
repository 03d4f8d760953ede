"""A model with a contract gets another one."""

import dataclasses
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.input_description import parse_input
from edgefer.contract.preprocessing import Clahe
from edgefer.data.dataset import Dataset, Split
from edgefer.inference.model_import import ForeignModel, choose_input, make_artifact, parse_labels, sidecar_labels

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


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (["0 happy", "1 very sad", "2 neutral"], ("happy", "very sad", "neutral")),
        (["1: happy", "2: sad"], ("happy", "sad")),
        (["0  happy", "2  sad"], ("0  happy", "2  sad")),
        (["0 happy", "sad"], ("0 happy", "sad")),
        (["0", "1", "2"], ("0", "1", "2")),
        (["2 years", "3 years"], ("2 years", "3 years")),
        (["happy, very sad,neutral", ""], ("happy", "very sad", "neutral")),
        (["happy, laughing", "sad"], ("happy, laughing", "sad")),
    ],
)
def test_the_names_in_a_file_of_labels(tmp_path, lines, names):
    path = tmp_path / "labels.txt"
    path.write_text("\n".join(lines))
    assert parse_labels(str(path)) == names
    assert sidecar_labels(tmp_path / "model.tflite", len(names)) == (names, "labels.txt")


def test_labels_are_matched_with_the_data_in_any_spelling():
    classes = ("angry", "contempt", "disgust", "fear", "gl\u00fccklich", "sad", "traurig")
    faces = np.random.default_rng(0).integers(0, 256, (70, 48, 48), np.uint8)
    split = Split(faces, np.arange(70) % 7, np.arange(70), label_names=classes)
    dataset = Dataset("mine", "npz", {"Training": split}, "", labels=classes)
    named = ("Anger", "Contempt", "DISGUST", "Fear", "Glu\u0308cklich", "Sadness", "Traurig")
    choice = choose_input(ForeignModel.open(FIXTURE), labels=named, words="gray,0..1", dataset=dataset)
    assert choice.labels == classes
    assert len(choice.search.best.hits) == 70
