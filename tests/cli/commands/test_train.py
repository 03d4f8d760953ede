import functools
import hashlib
import json
import shutil

import cv2
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data import dataset
from edgefer.data.synthetic import draw
from edgefer.workstation.training.run import Run, find_run


def test_training_writes_a_run_folder_and_a_record(workplace):
    record = workplace.trained.record
    assert (record["kind"], record["schema_version"]) == ("training", 1)
    assert record["settings"]["system"] == "compact_nano"
    assert record["evaluation"]["split"] == "PublicTest"
    assert Run(workplace.run).opened_with()["data"] == str(workplace.data.resolve())
    # The record may be published, so the paths of this machine stay in the run folder.
    assert str(workplace.data.parent) not in json.dumps(record["environment"])
    assert record["duration_s"] > 0
    assert (workplace.folder / record["run"]).resolve() == workplace.run
    assert workplace.run.parent == (workplace.folder / "runs").resolve()


def test_short_options_and_assignments_change_the_settings(workplace):
    settings = find_run(workplace.run).settings()
    assert (settings.epochs, settings.batch_size, settings.warmup_epochs) == (1, 32, 0)


def test_resuming_a_finished_run_gives_the_same_result(edgefer, workplace):
    again = edgefer("train", "--resume", "--json", cwd=workplace.folder)
    assert again.code == 0
    assert again.record == workplace.trained.record
    assert "data: " + str(workplace.data) in again.err


def test_the_text_names_the_next_step(edgefer, workplace):
    outcome = edgefer("train", "--resume", workplace.run, cwd=workplace.folder)
    assert "validation accuracy" in outcome.out
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
def test_a_resumed_run_accepts_no_other_settings(refused, workplace, conflict, named):
    error = refused("train", "--resume", workplace.run, *conflict, code=2)
    assert f"--resume with {named}" in error


def test_a_resumed_run_accepts_a_moved_data_set(edgefer, refused, workplace, tmp_path):
    moved = tmp_path / "moved.npz"
    moved.write_bytes(workplace.data.read_bytes())
    assert edgefer("train", "--resume", workplace.run, "--data", moved).code == 0


def test_a_resumed_run_accepts_no_other_data_set(refused, workplace, other_data):
    assert "other data" in refused("train", "--resume", workplace.run, "--data", other_data, code=1)


@pytest.fixture
def other_data(data, tmp_path):
    import numpy as np

    arrays = dict(np.load(data))
    arrays["pixels"][0, 0, 0] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)
    return tmp_path / "other.npz"


def test_a_run_on_synthetic_faces_is_resumed_on_synthetic_faces(edgefer, tmp_path, monkeypatch):
    few = functools.partial(dataset.synthetic_dataset, training=70, held_out=35)
    monkeypatch.setattr(dataset, "synthetic_dataset", few)
    begun = edgefer("train", "--system", "compact_nano", "--epochs", 1, "--set", "batch_size=32", "--json")
    assert "synthetic faces (no --data, no $EDGEFER_DATA and no ./fer2013.csv)" in begun.err
    assert begun.record["environment"]["data"]["layout"] == "synthetic"
    # A data set that exists only later does not replace the synthetic faces.
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
def test_invalid_options_are_rejected_before_a_run_folder_exists(refused, tmp_path, data, wrong, hint):
    given = [] if "--ferplus" in wrong else ["--data", data]
    assert hint in refused("train", *given, *wrong, code=2)
    assert not (tmp_path / "runs").exists()


def test_an_unknown_model_option_is_named(edgefer, data):
    outcome = edgefer("train", "--data", data, "--set", "model.depht=2")
    assert outcome.code == 2
    assert "expected one of stem, width, depth, dropout" in outcome.err


@pytest.mark.parametrize(
    ("wrong", "code", "named"),
    [
        (["--set", "model.depht=2"], 2, "has no option model.depht"),
        (["--set", "model.depth=deep"], 2, "model.depth"),
        (["--set", "model.depth=[9,9,9,9,9,9]"], 2, "model.depth"),
        (["--views", "4"], 2, "without a teacher"),
        (["--teacher", "nano", "--set", "distill_alpha=0"], 2, "distill_alpha = 0"),
        (["--run", "occupied"], 1, "already contains a run"),
        (["--run", "file"], 1, "file"),
        (["--init-from", "damaged"], 1, "cannot load damaged/best.weights.h5"),
    ],
)
def test_settings_are_checked_before_the_data_set_is_read(refused, workplace, tmp_path, wrong, code, named):
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied/settings.toml").touch()
    (tmp_path / "file").touch()
    shutil.copytree(workplace.run, tmp_path / "damaged")
    (tmp_path / "damaged/best.weights.h5").write_bytes(b"damaged")
    # The missing data set would be reported next.
    assert named in refused("train", "--data", "nowhere.csv", *wrong, code=code)


def test_a_damaged_state_is_reported_before_the_data_set_is_read(refused, workplace, tmp_path):
    shutil.copytree(workplace.run, tmp_path / "run")
    (tmp_path / "run/state.npz").write_bytes(b"damaged")
    error = refused("train", "--resume", tmp_path / "run", "--data", "nowhere.csv", code=1)
    assert "state.npz is damaged" in error


def test_an_unwritable_folder_of_all_runs_is_reported_before_the_data_set_is_read(refused, tmp_path):
    (tmp_path / "runs").touch()
    assert "the folder of all runs" in refused("train", "--data", "nowhere.csv", code=1)


def test_a_missing_data_set_is_not_replaced_by_synthetic_faces(refused, tmp_path):
    assert "nowhere.csv" in refused("train", "--data", "nowhere.csv", code=1)
    assert not (tmp_path / "runs").exists()


def test_a_settings_file_overrides_the_system(refused, tmp_path, data):
    (tmp_path / "mine.toml").write_text("epochs = 3\n[augment]\nrotation = 3\n")
    assert "augment.rotation_degrees" in refused("train", "--data", data, "--settings", "mine.toml", code=2)


def test_a_settings_file_selects_the_system_that_it_names(refused, tmp_path):
    # compact_small, the default, has the option width; nano has not.
    (tmp_path / "mine.toml").write_text('system = "nano"\n[model]\nwidth = 16\n')
    assert "model.width" in refused("train", "--data", "nowhere.csv", "--settings", "mine.toml", code=2)
    error = refused("train", "--data", "nowhere.csv", "--settings", "mine.toml", "--system", "small", code=2)
    assert "--system small with --settings mine.toml" in error
    assert "settings of the system nano" in error


def test_a_settings_file_may_name_a_system_outside_the_catalog(refused, tmp_path):
    (tmp_path / "mine.toml").write_text('system = "my_net"\n[model]\nwidth = 16\n')
    error = refused("train", "--data", "nowhere.csv", "--settings", "mine.toml", code=1)
    assert "nowhere.csv" in error
    assert "my_net is not a system of edgefer; settings that mine.toml lacks are those of compact_small" in error


def test_an_existing_run_folder_is_not_overwritten(refused, workplace):
    error = refused("train", "--data", workplace.data, "--run", workplace.run, code=1)
    assert f"--resume {workplace.run}" in error


@pytest.mark.parametrize("resume", [["--resume"], ["--resume", "nowhere"]])
def test_resuming_without_a_run_is_an_error(refused, resume):
    assert "edgefer train" in refused("train", *resume, code=1)


def test_out_and_json_have_the_same_content(workplace):
    assert json.loads((workplace.folder / "train.json").read_text()) == workplace.trained.record


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--augment", "stong"], 2, "--augment strong"),
        (["--augment", "zom=0.2"], 2, "augment.zoom"),
        (["--init-from", "nowhere"], 1, "is not a run"),
        (["--teacher", "nowhere"], 1, "is not a run"),
        (["--teacher", "small, nowhere"], 1, "nowhere is not a run"),
        (["--teacher", ","], 2, "a name is empty"),
    ],
)
def test_invalid_starting_points_are_rejected_before_a_run_folder_exists(refused, tmp_path, options, code, named):
    assert named in refused("train", "--data", "synthetic", "--run", tmp_path / "run", *options, code=code)
    assert not (tmp_path / "run").exists()


def test_init_from_takes_settings_and_data_of_the_other_run(edgefer, refused, workplace, tmp_path):
    error = refused("train", "--init-from", workplace.run, "--system", "compact_small", code=2)
    assert "omit --system" in error
    folder = tmp_path / "again"
    outcome = edgefer(
        "train", "--init-from", workplace.run, "--run", folder, "--set", "learning_rate=0.001", "--skip-bad-rows",
        "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    before = workplace.trained.record
    # The options of the command line open the data again, too.
    assert Run(folder).opened_with() == {**Run(workplace.run).opened_with(), "skip_bad_rows": True}
    assert outcome.record["settings"] == {**before["settings"], "learning_rate": 0.001}
    assert outcome.record["evaluation"]["accuracy"]["correct"] >= before["evaluation"]["accuracy"]["correct"]
    assert outcome.record["environment"]["parent"]["sha256"]
    assert str(workplace.data) in outcome.err


def test_the_classes_of_a_run_define_its_outputs_and_are_remembered(edgefer, workplace, tmp_path):
    outcome = edgefer(
        "train", "--data", workplace.data, "--system", "compact_nano", "--epochs", "1", "--set", "warmup_epochs=0",
        "--classes", "neutral,happiness,angry", "--run", tmp_path / "three", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.record["evaluation"]["label_names"] == ["neutral", "happy", "angry"]
    assert Run(tmp_path / "three").labels == ("neutral", "happy", "angry")
    evaluated = edgefer("evaluate", tmp_path / "three", "--json")
    assert evaluated.record["accuracy"] == outcome.record["evaluation"]["accuracy"]
    assert "images of other classes: disgust" in evaluated.err


def test_the_settings_of_a_run_name_the_architecture_file_in_its_folder(refused, tmp_path):
    source = (
        b"def build(keras, *, input_shape, classes):\n"
        b"    image = keras.Input(input_shape)\n"
        b"    return keras.Model(image, keras.layers.Dense(classes)(keras.layers.Flatten()(image)))\n"
    )
    digest = hashlib.sha256(source).hexdigest()[:12]
    (tmp_path / "settings.toml").write_text(f'system = "mine"\narchitecture = "mine-{digest}:build"\n')
    options = ("train", "--settings", tmp_path / "settings.toml", "--data", "nowhere.csv")
    assert "or --architecture FILE.py" in refused(*options, code=1)
    (tmp_path / "architecture.py").write_bytes(source)
    assert "nowhere.csv, which does not exist" in refused(*options, code=1)


def test_unknown_classes_are_refused_with_those_of_the_data(refused, workplace):
    error = refused("train", "--data", workplace.data, "--classes", "neutral,joyful", code=2)
    assert "--classes names joyful" in error
    assert "has the classes angry (" in error
    for classes, why in (("sad,,happy", "a name is empty"), ("happy,happiness,sad", "a class occurs twice")):
        assert f"--classes {classes}: {why}" in refused("train", "--data", workplace.data, "--classes", classes, code=2)


@pytest.fixture(scope="module")
def own_faces(tmp_path_factory):
    """Return a folder with folders of three classes, in which each person has a folder."""
    folder = tmp_path_factory.mktemp("own") / "faces"
    faces, labels = draw(84, seed=6)
    for index, (face, label) in enumerate(zip(faces, labels)):
        name = {"angry": "wut", "happy": "freude", "neutral": "neutral"}.get(LABELS[label])
        if name:
            path = folder / name / f"person{index % 4}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(path), face)
    return folder


def test_a_run_remembers_split_and_names_of_its_own_data(edgefer, own_faces, tmp_path):
    names = tmp_path / "names.toml"
    names.write_text('wut = "angry"\nfreude = "happy"\n')
    run = tmp_path / "run"
    outcome = edgefer(
        "train", "--data", own_faces, "--split", "50/25/25", "--labels-map", names, "--system", "compact_nano",
        "--epochs", "1", "--set", "warmup_epochs=0", "--set", "batch_size=4", "--set", "input.channels=rgb",
        "--run", run, "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    names.unlink()
    assert Run(run).labels == ("angry", "happy", "neutral")
    assert "Split by subject (2, 1, 1 subjects) with seed 0" in outcome.err
    scored = edgefer("evaluate", run, "--split", "private", "--json")
    assert scored.code == 0, scored.err
    assert scored.record["n"] == Run(run).environment()["data"]["images"]["PrivateTest"]
    quantized = edgefer("quantize", run, "--int8", "--json")
    assert quantized.code == 0, quantized.err
    again = edgefer("evaluate", Run(run).artifact("int8"), "--json")
    assert again.record["label_names"] == ["angry", "happy", "neutral"]


def test_options_of_data_are_checked_before_the_data_is_read(refused, own_faces, tmp_path):
    assert "--split 80/30" in refused("train", "--data", own_faces, "--split", "80/30", code=2)
    for columns in ("mood=label", "label=a,label=b,path=c"):
        assert f"--columns {columns}" in refused("train", "--data", own_faces, "--columns", columns, code=2)
    (tmp_path / "names.toml").write_text("angry = 1\n")
    error = refused("train", "--data", own_faces, "--labels-map", tmp_path / "names.toml", code=1)
    assert "'angry' is '1', expected a class name" in error
    assert "--split with synthetic faces" in refused("train", "--data", "synthetic", "--split", "80/10/10", code=2)


def test_a_shipped_model_trains_on_other_classes_and_its_result_trains_further(edgefer, own_faces, tmp_path):
    first = edgefer(
        "train", "--init-from", "nano", "--data", own_faces, "--split", "50/25/25", "--epochs", "1",
        "--set", "batch_size=4", "--run", tmp_path / "first", "--json",
    )  # fmt: skip
    assert first.code == 0, first.err
    assert "initial weights: nano-int8.tflite; new outputs: freude, wut" in first.err
    assert "times 0.1 before the last layer" in first.err
    settings, parent = first.record["settings"], first.record["environment"]["parent"]
    assert (settings["system"], settings["architecture"], settings["views"]) == ("nano", "residual", 0)
    assert (parent["run"], parent["new_classes"]) == ("nano-int8.tflite", ["freude", "wut"])
    assert Run(tmp_path / "first").labels == ("freude", "neutral", "wut")
    quantized = edgefer("quantize", tmp_path / "first", "--int8", "--json")
    assert quantized.code == 0, quantized.err
    assert quantized.record["provenance"]["parent"]["new_classes"] == ["freude", "wut"]
    model = Run(tmp_path / "first").artifact("int8")
    second = edgefer(
        "train", "--init-from", model, "--data", own_faces, "--split", "50/25/25", "--epochs", "1",
        "--set", "batch_size=4", "--run", tmp_path / "second", "--json",
    )  # fmt: skip
    assert second.code == 0, second.err
    assert "all outputs are kept" in second.err
    assert "new_classes" not in second.record["environment"]["parent"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ([], "no data set for --init-from nano-int8.tflite"),
        (["--data", "nowhere.csv", "--set", "model.stem=8"], "model.stem = 8 with --init-from nano-int8.tflite"),
        (["--data", "nowhere.csv", "--set", "architecture=vgg"], "architecture = vgg with --init-from"),
        (["--data", "nowhere.csv", "--system", "small"], "omit --system"),
        (["--data", "nowhere.csv", "--architecture", "vgg"], "omit --architecture"),
    ],
)
def test_options_that_do_not_fit_a_model_are_refused_before_the_data_set_is_read(refused, tmp_path, options, named):
    assert named in refused("train", "--init-from", "nano", *options, code=2)
    assert not (tmp_path / "runs").exists()


def test_a_run_trains_on_a_part_of_its_classes_with_their_outputs(edgefer, workplace, tmp_path):
    outcome = edgefer(
        "train", "--init-from", workplace.run, "--classes", "sad,happy", "--run", tmp_path / "two", "--json",
        "--epochs", "1",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert "2 of its 7 outputs are kept" in outcome.err
    assert outcome.record["evaluation"]["label_names"] == ["sad", "happy"]
    assert outcome.record["settings"]["backbone_lr_factor"] < 1
    assert Run(tmp_path / "two").baseline() is not None
