"""Data sets other than FER2013, from training to the report."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.cli.data_options import DataOptions, resolve_model_data
from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.data.synthetic import draw
from edgefer.errors import UsageError
from edgefer.models import SHIPPED
from edgefer.workstation.training.run import Run

PHOTOGRAPH = Path(__file__).parents[1] / "fixtures" / "astronaut.jpg"
QUICK = ("--system", "compact_nano", "--epochs", "1", "--set", "warmup_epochs=0", "--set", "batch_size=8")
AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
EIGHT = ["angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise"]


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def affectnet(tmp_path_factory):
    """Return folders of eight numbered classes in those of two splits, as AffectNet is distributed."""
    folder = tmp_path_factory.mktemp("affectnet") / "AffectNet"
    faces, labels = draw(140, seed=9)
    for index, (face, label) in enumerate(zip(faces, labels)):
        # No face is drawn for contempt, so every fourth happy one is upside down.
        name = LABELS[label]
        if name == "happy" and index % 4 == 0:
            name, face = "contempt", face[::-1]
        split = "val" if index % 4 == 3 or (name == "contempt" and index % 8) else "train"
        path = folder / split / str(AFFECTNET.index(name)) / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), face)
    assert {path.name for path in (folder / "train").iterdir()} == set("01234567")
    return folder


def test_eight_classes_go_from_training_to_the_report(edgefer, affectnet, tmp_path):
    trained = edgefer("train", "--data", affectnet, *QUICK, "--run", "run", "--json", "--out", "train.json")
    assert trained.code == 0, trained.err
    assert trained.record["evaluation"]["label_names"] == EIGHT
    quantized = edgefer("quantize", "run", "--int8", "--json", "--out", "int8.json")
    assert quantized.code == 0, quantized.err
    model = Run(tmp_path / "run").artifact("int8")
    evaluated = edgefer("evaluate", model, "--json", "--out", "evaluation.json")
    assert evaluated.code == 0, evaluated.err
    assert evaluated.record["label_names"] == EIGHT
    assert np.array(evaluated.record["confusion"]).shape == (8, 8)
    # The records keep the names of FER2013's splits; texts name the splits of the data.
    assert evaluated.record["split"] == trained.record["evaluation"]["split"] == "PublicTest"
    texts = [trained.err, quantized.err, evaluated.err]
    for command in (("evaluate", model), ("report", "."), ("report", ".", "--markdown"), ("data", "check", affectnet)):
        outcome = edgefer(*command)
        assert outcome.code == 0, outcome.err
        texts += [outcome.out, outcome.err]
    assert edgefer("report", "run", ".", "--html", "report.html").code == 0
    assert edgefer("report", model, ".", "--card", "card.md").code == 0
    # The page also lists the entries of the contract as they are.
    page = (tmp_path / "report.html").read_text().replace("scores.split</th><td>PublicTest<", "")
    texts += [page, (tmp_path / "card.md").read_text()]
    assert [text for text in texts if "PublicTest" in text or "PrivateTest" in text] == []
    assert "validation accuracy" in texts[3]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Return folders of two classes with photographs of one person, and a picture without a face in each."""
    folder = tmp_path_factory.mktemp("own") / "scenes"
    photograph = cv2.imread(str(PHOTOGRAPH))
    for index in range(12):
        scene = np.clip(photograph.astype(int) + 4 * index, 0, 255).astype(np.uint8)
        name = ("happy", "neutral")[index % 2]
        (folder / name).mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name / f"{index:02d}.png"), scene[:, :: 1 if name == "happy" else -1])
    for name in ("happy", "neutral"):
        assert cv2.imwrite(str(folder / name / "wall.png"), np.full((200, 300), 90, np.uint8))
    return folder


RUN_DATA = {"data": "/data/faces.csv", "ferplus": "/data/votes.csv", "columns": "label=mood,pixels=p", "detect": True}


@pytest.mark.parametrize(
    ("data", "votes", "columns"),
    [
        (None, "/data/votes.csv", "label=mood,pixels=p"),
        ("/data/faces.csv", "/data/votes.csv", "label=mood,pixels=p"),
        ("/elsewhere/faces.csv", None, "label=mood,pixels=p"),
        ("/elsewhere/pictures", None, None),
        ("synthetic", None, None),
    ],
)
def test_votes_and_columns_of_a_run_do_not_apply_to_other_data(data, votes, columns):
    options = DataOptions(data=data).with_defaults({**RUN_DATA, "skip_bad_rows": False})
    assert (options.ferplus and str(options.ferplus), options.columns) == (votes, columns)
    assert options.detect is True
    given = DataOptions(data, ferplus=Path("v.csv"), columns="label=a,path=b").with_defaults(
        {**RUN_DATA, "skip_bad_rows": True}
    )
    assert (given.ferplus, given.columns) == (Path("v.csv"), "label=a,path=b")


@pytest.mark.parametrize(
    ("data", "given", "expected"),
    [
        (None, None, {"0": "neutral", "calm": "neutral"}),
        ("/data/faces.csv", None, {"0": "neutral", "calm": "neutral"}),
        ("/elsewhere/faces.csv", None, {"calm": "neutral"}),
        ("/elsewhere/faces.csv", {"0": "happy"}, {"0": "happy"}),
    ],
)
def test_numbers_in_the_labels_map_of_a_run_do_not_apply_to_other_data(data, given, expected, capsys):
    saved = {**RUN_DATA, "skip_bad_rows": False, "labels_map": {"0": "neutral", "calm": "neutral"}}
    assert DataOptions(data, labels_map=given).with_defaults(saved).labels_map == expected
    is_noted = expected == {"calm": "neutral"}
    assert ("the numbers in the run's labels map: 0 (see --labels-map)" in capsys.readouterr().err) == is_noted
    only_numbers = DataOptions("/elsewhere/faces.csv").with_defaults({**saved, "labels_map": {"0": "neutral"}})
    assert only_numbers.labels_map is None


@pytest.mark.parametrize("origin", [None, "fer2013", ["fer2013"], {}])
def test_a_contract_with_unusual_data_needs_a_data_set(origin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("EDGEFER_DATA", raising=False)
    artifact = Artifact.load(SHIPPED)
    artifact = dataclasses.replace(artifact, provenance={**artifact.provenance, "data": origin})
    with pytest.raises(UsageError, match="it was trained on unknown data"):
        resolve_model_data(tmp_path / "odd.tflite", artifact, DataOptions())


def test_faces_in_scenes_are_cropped_and_pictures_without_one_are_left_out(edgefer, scenes):
    whole = edgefer("data", "check", scenes, "--json")
    for _ in range(2):  # the second time, from the cache
        cropped = edgefer("data", "check", scenes, "--detect", "--json")
        assert cropped.code == 0, cropped.err
        assert cropped.record["classes"]["Training"] == {"happy": 6, "neutral": 6}
        note = "Skipped: 2 pictures without a detected face: happy/wall.png, neutral/wall.png."
        assert note in cropped.record["notes"]
    assert whole.record["classes"]["Training"] == {"happy": 7, "neutral": 7}
    assert edgefer("data", "check", scenes, "--no-detect", "--json").record["sha256"] == whole.record["sha256"]


def test_a_run_remembers_that_faces_were_detected(edgefer, scenes, tmp_path):
    trained = edgefer("train", "--data", scenes, "--detect", *QUICK, "--split", "50/50", "--run", "run", "--json")
    assert trained.code == 0, trained.err
    assert Run(tmp_path / "run").opened_with()["detect"] is True
    quantized = edgefer("quantize", "run", "--int8", "--json")
    assert quantized.code == 0, quantized.err
    assert "without a detected face" in quantized.err
    for subject in ("run", Run(tmp_path / "run").artifact("int8")):
        scored = edgefer("evaluate", subject, "--json")
        assert scored.code == 0, scored.err
        assert scored.record["n"] == 6
        scored = edgefer("evaluate", subject, "--no-detect", "--json")
        assert scored.record["n"] == 7


def test_faces_are_not_detected_in_pixels(refused, scenes, data, tmp_path):
    error = refused("data", "check", data, "--detect", code=2)
    assert "its pixels are faces already" in error
    assert "--no-detect" in error
    assert "--detect with synthetic faces" in refused("train", "--data", "synthetic", "--detect", code=2)


def test_without_any_face_the_error_names_the_pictures(refused, tmp_path):
    for name in ("happy", "sad"):
        (tmp_path / "walls" / name).mkdir(parents=True)
        assert cv2.imwrite(str(tmp_path / "walls" / name / "wall.png"), np.full((200, 300), 90, np.uint8))
    error = refused("data", "check", tmp_path / "walls", "--detect", code=1)
    assert "has no usable images" in error
    assert "2 pictures without a detected face: happy/wall.png, sad/wall.png" in error
