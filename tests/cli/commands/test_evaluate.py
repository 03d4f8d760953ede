import dataclasses
import functools
import json
import os
import shutil

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.data import dataset
from edgefer.results.evaluation import Evaluation


def test_artifacts_and_run_are_scored_on_the_same_images(edgefer, workplace):
    records = [
        edgefer("evaluate", subject, "--data", workplace.data, "--json").record
        for subject in (workplace.run, workplace.float32, workplace.int8)
    ]
    assert [record["subject"]["scheme"] for record in records] == ["keras", "float32", "int8"]
    assert {record["n"] for record in records} == {70}
    assert {record["accuracy_unseen_in_training"]["n"] for record in records} == {65}
    run, float32, int8 = records
    assert float32["confusion"] == run["confusion"]
    assert int8["accuracy"] == workplace.quantized.record["evaluation"]["accuracy"]


def test_a_record_identifies_the_file_and_the_runtime(edgefer, workplace):
    subject = edgefer("evaluate", workplace.int8, "--data", workplace.data, "--json").record["subject"]
    assert subject["file"] == workplace.int8.name
    assert subject["file_bytes"] == workplace.int8.stat().st_size
    assert subject["sha256"] == Artifact.load(workplace.int8).sha256
    assert subject["runtime"] in ("litert", "tflite_runtime")


def test_a_record_reads_back(edgefer, workplace):
    record = edgefer("evaluate", workplace.int8, "--data", workplace.data, "--json").record
    assert Evaluation.from_json(record).to_json() == record


@pytest.mark.parametrize(("split", "name", "count"), [("private", "test", 35), ("train", "Training", 280)])
def test_the_split_is_named(edgefer, workplace, split, name, count):
    outcome = edgefer("evaluate", workplace.int8, "--data", workplace.data, "--split", split)
    assert f"\n{name} accuracy" in outcome.out
    assert f"of {count} images" in outcome.out


def test_the_default_model_is_the_newest_artifact(edgefer, workplace, scratch, tmp_path):
    (tmp_path / "runs").mkdir()
    scratch.rename(tmp_path / "runs" / "some-run")
    newest = tmp_path / "runs" / "some-run" / workplace.float32.name
    os.utime(newest, (4e9, 4e9))
    outcome = edgefer("evaluate", "--data", workplace.data, "--json")
    assert outcome.record["subject"]["scheme"] == "float32"
    assert "(the newest artifact in runs/)" in outcome.err


def test_a_model_with_wrong_outputs_is_incompatible(refused, workplace, tmp_path):
    artifact = Artifact.load(workplace.int8)
    outputs = 127 - artifact.golden.outputs.astype(np.int16)
    golden = dataclasses.replace(artifact.golden, outputs=outputs, reference=outputs)
    dataclasses.replace(artifact, golden=golden).save(tmp_path / "wrong.tflite")
    error = refused("evaluate", "wrong.tflite", "--data", workplace.data, code=5)
    assert "golden vector" in error


@pytest.mark.parametrize(
    ("subject", "options", "code", "named"),
    [
        ("nowhere.tflite", [], 1, "nowhere.tflite"),
        (".", [], 1, "edgefer train"),
        ("int8", ["--runtime", "litret"], 2, "litert"),
        ("int8", ["--data", "nowhere.npz"], 1, "nowhere.npz"),
        ("int8", ["--split", "all"], 2, "public"),
    ],
)
def test_invalid_arguments_get_a_hint(refused, workplace, subject, options, code, named):
    subject = workplace.int8 if subject == "int8" else subject
    options = options if "--data" in options else [*options, "--data", workplace.data]
    assert named in refused("evaluate", subject, *options, code=code)


def test_a_bare_flatbuffer_needs_labels_and_input(refused, workplace, tmp_path):
    (tmp_path / "bare.tflite").write_bytes(Artifact.load(workplace.int8).model)
    assert "edgefer import bare.tflite --data PATH" in refused("evaluate", "bare.tflite", code=2)


def test_without_data_a_model_in_a_run_folder_is_scored_on_the_data_of_the_run(edgefer, workplace, scratch):
    outcome = edgefer("evaluate", scratch / workplace.int8.name, "--json")
    assert outcome.record["accuracy"] == workplace.quantized.record["evaluation"]["accuracy"]
    assert str(workplace.data) in outcome.err


@pytest.mark.parametrize("command", [["evaluate"], ["bench", "--runs", 2, "--seconds", 0, "--accuracy", "full"]])
def test_synthetic_faces_do_not_replace_the_data_of_a_model(command, refused, workplace, tmp_path):
    shutil.copy(workplace.int8, tmp_path / "moved.tflite")
    error = refused(command[0], "moved.tflite", *command[1:], code=2)
    assert "it was trained on npz" in error
    assert "--data PATH" in error


def test_the_scores_of_synthetic_faces_are_marked(edgefer, workplace, tmp_path, monkeypatch):
    few = functools.partial(dataset.synthetic_dataset, training=70, held_out=35)
    monkeypatch.setattr(dataset, "synthetic_dataset", few)
    artifact = Artifact.load(workplace.int8)
    provenance = {**artifact.provenance, "data": {**artifact.provenance["data"], "name": "synthetic"}}
    dataclasses.replace(artifact, provenance=provenance).save(tmp_path / "drawn.tflite")
    outcome = edgefer("evaluate", "drawn.tflite", "--out", "drawn.json")
    assert outcome.code == 0, outcome.err
    assert "validation (synthetic) accuracy" in outcome.out
    assert Evaluation.from_json(json.loads((tmp_path / "drawn.json").read_text())).data == "synthetic"


def test_a_missing_split_is_named(refused, workplace, tmp_path):
    arrays = np.load(workplace.data)
    chosen = arrays["usage"] != "PrivateTest"
    np.savez(tmp_path / "two.npz", **{name: arrays[name][chosen] for name in arrays.files})
    error = refused("evaluate", workplace.int8, "--data", "two.npz", "--split", "private", code=1)
    assert "two.npz has no test images: it has Training (280), validation (70)" in error


def test_faces_without_splits_are_scored_with_the_option_in_the_hint(edgefer, refused, data, tmp_path):
    arrays = np.load(data)
    chosen = arrays["usage"] == "Training"
    np.savez(tmp_path / "mine.npz", **{name: arrays[name][chosen] for name in arrays.files})
    assert "--split train" in refused("evaluate", "nano", "--data", "mine.npz", code=1)
    assert edgefer("evaluate", "nano", "--data", "mine.npz", "--split", "train", "--json").record["n"] == 280


@pytest.mark.parametrize(("words", "count"), [(("public", "validation"), 70), (("private", "test"), 35)])
def test_a_split_has_two_names(words, count, edgefer, workplace):
    records = [edgefer("evaluate", workplace.int8, "--split", word, "--json").record for word in words]
    assert records[0] == records[1]
    assert records[0]["n"] == count


def test_a_run_is_scored_on_its_training_data_by_default(edgefer, workplace):
    outcome = edgefer("evaluate", workplace.run, "--json")
    assert f"data: {workplace.data}" in outcome.err
    assert outcome.record["accuracy"] == workplace.trained.record["evaluation"]["accuracy"]


def test_a_run_takes_no_runtime(refused, workplace):
    assert "pass a .tflite" in refused("evaluate", workplace.run, "--runtime", "litert", code=2)


@pytest.mark.parametrize("option", [("--labels", "happy,sad"), ("--input", "gray,-1..1")])
def test_a_run_takes_no_other_labels_or_input(refused, workplace, option):
    error = refused("evaluate", workplace.run, *option, code=2)
    assert f"{option[0]} with a run: the run defines labels and input" in error


PICTURES = ("confusion_counts", "confusion_shares", "errors", "reliability", "samples", "predictions")


@pytest.mark.parametrize(("subject", "pictures"), [("int8", PICTURES), ("run", (*PICTURES, "curves"))])
def test_plots_are_written_for_a_model_and_a_run(edgefer, workplace, tmp_path, subject, pictures):
    arguments = (getattr(workplace, subject), "--data", workplace.data)
    plain = edgefer("evaluate", *arguments)
    drawn = edgefer("evaluate", *arguments, "--pictures", "new/folder")
    assert drawn.code == 0, drawn.err
    folder = tmp_path / "new" / "folder"
    assert {path.stem for path in folder.glob("*.png")} == set(pictures)
    assert drawn.out.startswith(plain.out.rstrip("\n"))
    assert ("initial learning" in drawn.out) is (folder / "phases.txt").exists() is (subject == "run")


def test_plots_do_not_change_the_record(edgefer, workplace):
    arguments = ("evaluate", workplace.int8, "--data", workplace.data, "--json")
    assert edgefer(*arguments, "--pictures", "folder").record == edgefer(*arguments).record


@pytest.mark.parametrize("subject", ["int8", "run"])
def test_a_file_in_the_place_of_the_plot_folder_is_an_early_error(refused, workplace, tmp_path, subject):
    (tmp_path / "taken").touch()
    error = refused("evaluate", getattr(workplace, subject), "--pictures", "taken", "--data", "nowhere.npz", code=1)
    assert "cannot write --pictures taken" in error
    assert "data:" not in error


def test_damaged_weights_are_reported_before_the_data_set_is_read(refused, workplace, tmp_path):
    shutil.copytree(workplace.run, tmp_path / "run")
    (tmp_path / "run/best.weights.h5").write_bytes(b"damaged")
    assert "best.weights.h5" in refused("evaluate", tmp_path / "run", "--data", "nowhere.csv", code=1)
