import functools
import json

import pytest

from edgefer.data import dataset
from edgefer.workstation.training.run import Run, find_run


def test_a_training_leaves_a_run_and_says_what_it_came_to(workplace):
    record = workplace.trained.record
    assert (record["kind"], record["schema_version"]) == ("training", 1)
    assert record["settings"]["system"] == "compact_nano"
    assert record["evaluation"]["split"] == "PublicTest"
    assert Run(workplace.run).opened_with()["data"] == str(workplace.data.resolve())
    # The record is made to be shown to others; the paths of this machine stay in the run folder.
    assert str(workplace.data.parent) not in json.dumps(record["environment"])
    assert record["duration_s"] > 0
    assert (workplace.folder / record["run"]).resolve() == workplace.run
    assert workplace.run.parent == (workplace.folder / "runs").resolve()


def test_short_options_and_assignments_arrive_in_the_settings(workplace):
    settings = find_run(workplace.run).settings()
    assert (settings.epochs, settings.batch_size, settings.warmup_epochs) == (1, 32, 0)


def test_a_finished_run_is_resumed_to_the_same_result(edgefer, workplace):
    again = edgefer("train", "--resume", "--json", cwd=workplace.folder)
    assert again.code == 0
    assert again.record == workplace.trained.record
    assert "data: " + str(workplace.data) in again.err


def test_the_text_says_what_comes_next(edgefer, workplace):
    outcome = edgefer("train", "--resume", workplace.run, cwd=workplace.folder)
    assert "PublicTest accuracy" in outcome.out
    assert outcome.out.rstrip().endswith("edgefer quantize --int8")


@pytest.mark.parametrize(
    ("conflict", "named"),
    [
        (["--epochs", "3"], "--epochs"),
        (["--seed", "1"], "--seed"),
        (["--system", "compact_nano"], "--system"),
        (["--set", "epochs=3"], "--set"),
        (["--settings", "mine.toml"], "--settings"),
        (["--run", "elsewhere"], "--run"),
        (["--ferplus", "fer2013new.csv"], "--ferplus"),
    ],
)
def test_a_resumed_run_takes_no_other_settings(refused, workplace, conflict, named):
    error = refused("train", "--resume", workplace.run, *conflict, code=2)
    assert f"--resume together with {named}" in error


def test_a_resumed_run_takes_its_data_from_elsewhere(edgefer, refused, workplace, tmp_path):
    moved = tmp_path / "moved.npz"
    moved.write_bytes(workplace.data.read_bytes())
    assert edgefer("train", "--resume", workplace.run, "--data", moved).code == 0


def test_a_resumed_run_takes_no_other_data(refused, workplace, other_data):
    assert "other data" in refused("train", "--resume", workplace.run, "--data", other_data, code=1)


@pytest.fixture
def other_data(data, tmp_path):
    import numpy as np

    arrays = dict(np.load(data))
    arrays["pixels"][0, 0, 0] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)
    return tmp_path / "other.npz"


def test_a_run_on_drawn_faces_is_resumed_on_drawn_faces(edgefer, tmp_path, monkeypatch):
    few = functools.partial(dataset.synthetic_dataset, training=70, held_out=35)
    monkeypatch.setattr(dataset, "synthetic_dataset", few)
    begun = edgefer("train", "--system", "compact_nano", "--epochs", 1, "--set", "batch_size=32", "--json")
    assert "synthetic faces (no --data, no $EDGEFER_DATA and no ./fer2013.csv)" in begun.err
    assert begun.record["environment"]["data"]["layout"] == "synthetic"
    # A data set that has turned up since does not take their place.
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    resumed = edgefer("train", "--resume", "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.record == begun.record


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (["--system", "compact_nanno"], "compact_nano"),
        (["--set", "epochz=3"], "epochs"),
        (["--set", "augment.flop=false"], "augment.flip"),
        (["--set", "epochs"], "--set epochs=30"),
        (["--epochs", "many"], "epochs"),
        (["--epochs", "0"], "epochs"),
        (["--set", "optimizer=lion"], "optimizer"),
        (["--settings", "nowhere.toml"], "nowhere.toml"),
        (["--ferplus", "fer2013new.csv"], "--data"),
        (["--set", "architecture=three_conv"], "two_conv"),
    ],
)
def test_slips_are_refused_before_anything_is_made(refused, tmp_path, data, wrong, hint):
    given = [] if "--ferplus" in wrong else ["--data", data]
    assert hint in refused("train", *given, *wrong, code=2)
    assert not (tmp_path / "runs").exists()


def test_an_option_that_the_architecture_does_not_have(edgefer, data):
    outcome = edgefer("train", "--data", data, "--set", "model.depht=2")
    assert outcome.code == 2
    assert "there are stem, width, depth, dropout" in outcome.err


def test_data_that_are_asked_for_are_never_replaced(refused, tmp_path):
    assert "nowhere.csv" in refused("train", "--data", "nowhere.csv", code=1)
    assert not (tmp_path / "runs").exists()


def test_a_settings_file_is_a_delta_on_the_system(refused, tmp_path, data):
    (tmp_path / "mine.toml").write_text("epochs = 3\n[augment]\nrotation = 3\n")
    assert "augment.rotation_degrees" in refused("train", "--data", data, "--settings", "mine.toml", code=2)


def test_a_folder_that_holds_a_run_is_not_used_again(refused, workplace):
    error = refused("train", "--data", workplace.data, "--run", workplace.run, code=1)
    assert f"--resume {workplace.run}" in error


@pytest.mark.parametrize("resume", [["--resume"], ["--resume", "nowhere"]])
def test_without_a_run_there_is_nothing_to_resume(refused, resume):
    assert "edgefer train" in refused("train", *resume, code=1)


def test_out_holds_what_json_prints(workplace):
    assert json.loads((workplace.folder / "train.json").read_text()) == workplace.trained.record


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--augment", "stong"], 2, "--augment strong"),
        (["--augment", "zom=0.2"], 2, "augment.zoom"),
        (["--init-from", "nowhere"], 1, "is not a run"),
        (["--teacher", "nowhere"], 1, "is not a run"),
    ],
)
def test_slips_in_what_a_training_begins_with(refused, tmp_path, options, code, named):
    assert named in refused("train", "--data", "synthetic", "--run", tmp_path / "run", *options, code=code)
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_from_another_has_its_settings_and_data(edgefer, refused, workplace, tmp_path):
    error = refused("train", "--init-from", workplace.run, "--system", "compact_small", code=2)
    assert "leave --system out" in error
    folder = tmp_path / "again"
    outcome = edgefer("train", "--init-from", workplace.run, "--run", folder, "--set", "learning_rate=0.001", "--json")
    assert outcome.code == 0, outcome.err
    before = workplace.trained.record
    assert outcome.record["settings"] == {**before["settings"], "learning_rate": 0.001}
    assert outcome.record["evaluation"]["accuracy"]["correct"] >= before["evaluation"]["accuracy"]["correct"]
    assert outcome.record["environment"]["parent"]["sha256"]
    assert str(workplace.data) in outcome.err

