"""Training is reproducible, also after interruptions."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.preprocessing import InputSpec
from edgefer.data.dataset import Dataset, Split
from edgefer.errors import DataError, UsageError
from edgefer.workstation.training.loop import check_trainable, train
from edgefer.workstation.training.run import Run, new_run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.initial_weights import RunWeights
from edgefer.workstation.workflows.train import complete, start

EPOCHS = 3
# Enables all stateful parts: momentum, averaged weights, dropout, augmentation, normalization.
TRAIN = f"""
import dataclasses, sys
from pathlib import Path
from edgefer.data.dataset import synthetic_dataset
from edgefer.workstation.workflows.train import load_system
from edgefer.workstation.training.run import Run, new_run
from edgefer.workstation.training.loop import train
from edgefer.workstation.training.validation import validation_split

folder = Path(sys.argv[1])
settings = dataclasses.replace(load_system("compact_nano"), epochs={EPOCHS}, batch_size=32, schedule="plateau")
started = (folder / "settings.toml").exists()
run = Run(folder) if started else new_run(folder.parent, settings, folder=folder)
split = validation_split(synthetic_dataset(training=280, held_out=70, seed=3), settings)
train(split, settings, run=run)
"""


def start_training(folder):
    return subprocess.Popen([sys.executable, "-c", TRAIN, str(folder)], stderr=subprocess.DEVNULL)


def reproducible_content(folder):
    """Read all bits that must be equal; history.csv and state.npz also contain durations."""
    run = Run(folder)
    with np.load(run.state) as state:
        variables = {name: state[name].tobytes() for name in state.files if name != "history"}
    history = [dataclasses.replace(epoch, duration_s=0.0) for epoch in run.history()]
    return run.best_weights.read_bytes(), run.last_weights.read_bytes(), variables, history


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert start_training(folder).wait() == 0
    return reproducible_content(folder)


@pytest.mark.slow
def test_a_training_killed_at_random_points_ends_with_the_same_bits(uninterrupted, tmp_path):
    folder, chance, kills = tmp_path / "run", random.Random(), 0
    while kills < 2:
        process = start_training(folder)
        # Let each process complete an epoch, then kill it at a random time.
        before = state_time(folder)
        while process.poll() is None and state_time(folder) == before:
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 1.0))
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            break
        kills += 1
    assert kills
    assert start_training(folder).wait() == 0
    assert reproducible_content(folder) == uninterrupted
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def state_time(folder):
    state = folder / "state.npz"
    return state.stat().st_mtime_ns if state.exists() else None


def test_training_a_completed_run_changes_nothing(finished_run, faces):
    before = {path.name: path.read_bytes() for path in finished_run.folder.iterdir()}
    settings = finished_run.settings()
    train(validation_split(faces, settings), settings, run=finished_run)
    assert {path.name: path.read_bytes() for path in finished_run.folder.iterdir()} == before


def test_a_run_folder_contains_all_files(finished_run):
    names = {path.name for path in finished_run.folder.iterdir()}
    assert names >= {
        "settings.toml", "environment.json", "history.csv", "best.weights.h5", "last.weights.h5", "state.npz",
        "metrics.json", "curves.png", "confusion.png",
    }  # fmt: skip
    assert (finished_run.folder.parent / "latest").resolve() == finished_run.folder.resolve()


def test_metrics_are_those_of_the_best_epoch(finished_run):
    metrics = finished_run.metrics()
    best = finished_run.history()[metrics["best_epoch"] - 1]
    assert metrics["evaluation"]["accuracy"]["share"] == pytest.approx(best.selection_accuracy, abs=1e-9)
    assert metrics["evaluation"]["cross_entropy_nats"] == pytest.approx(best.selection_loss, rel=1e-3)
    assert best.selection_accuracy == max(epoch.selection_accuracy for epoch in finished_run.history())


def test_the_environment_records_data_and_packages(finished_run, faces):
    environment = finished_run.environment()
    assert environment["data"]["sha256"] == faces.sha256
    assert {"keras", "tensorflow", "numpy"} <= set(environment["packages"])
    json.dumps(environment, allow_nan=False)


def test_a_state_of_another_model_is_refused(finished_run, faces, tmp_path):
    other = dataclasses.replace(finished_run.settings(), model={"stem": 8, "width": 8, "depth": 1})
    run = new_run(tmp_path, other)
    run.state.write_bytes(finished_run.state.read_bytes())
    with pytest.raises(DataError, match="does not match"):
        train(validation_split(faces, other), other, run=run)


def test_a_diverging_training_is_an_error_and_keeps_the_last_good_state(faces, settings, tmp_path):
    # Each step multiplies the weights by 1 - 1000, so they overflow within an epoch.
    wild = dataclasses.replace(settings, architecture="two_conv", model={}, optimizer="sgd", warmup_epochs=0)
    wild = dataclasses.replace(wild, learning_rate=1e3, weight_decay=1.0)
    run = new_run(tmp_path, wild)
    with pytest.raises(DataError, match="diverged in epoch 1") as caught:
        train(validation_split(faces, wild), wild, run=run)
    assert caught.value.hint == "--set learning_rate=100   (a new run)"
    assert not run.state.exists()


def split_of(labels):
    labels = np.asarray(labels, np.int64)
    return Split(np.zeros((len(labels), 48, 48), np.uint8), labels, np.arange(len(labels)))


def test_an_unknown_model_option_is_rejected_before_training(faces):
    with pytest.raises(UsageError, match=r"no option model\.widht"):
        check_trainable(validation_split(faces, TrainSettings()), TrainSettings(model={"widht": 3}))


def test_an_empty_validation_split_is_rejected():
    dataset = Dataset("test", "npz", {"Training": split_of([0] * 3)}, "", ())
    few, half = TrainSettings(selection_share=0.01), TrainSettings(selection_share=0.5)
    with pytest.raises(DataError, match="has 0 of 3 Training images") as caught:
        check_trainable(validation_split(dataset, few), few)
    assert "selection_share=0.5" in caught.value.hint
    check_trainable(validation_split(dataset, half), half)


def test_images_of_a_single_class_are_rejected():
    dataset = Dataset("test", "npz", {"Training": split_of([0] * 30)}, "", (), labels=("calm",))
    with pytest.raises(DataError, match="all images have the class calm: a network learns to distinguish two"):
        check_trainable(validation_split(dataset, TrainSettings()), TrainSettings())


@pytest.mark.parametrize("value", ["wide", 3.5, True, None, [8]])
def test_a_model_option_of_the_wrong_type_is_rejected_before_training(faces, value):
    with pytest.raises(UsageError, match=r"model\.width = .*type int"):
        check_trainable(validation_split(faces, TrainSettings()), TrainSettings(model={"width": value}))


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"width": 0}},
        {"model": {"dropout": 2}},
        {"architecture": "two_conv", "input": InputSpec(height=8, width=8)},
    ],
)
def test_settings_that_build_no_network_leave_no_folder(faces, settings, tmp_path, changes):
    with pytest.raises(UsageError, match="cannot be built"):
        start(dataclasses.replace(settings, **{"model": {}, **changes}), faces, opened_with={}, root=tmp_path)
    assert os.listdir(tmp_path) == []


def test_batch_statistics_of_averaged_weights_need_no_full_batch(faces, settings, tmp_path):
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.training.keras_inference import load_network

    few = dataclasses.replace(settings, epochs=1, batch_size=1000, ema_epochs=2.0)
    run = train(validation_split(faces, few), few, run=new_run(tmp_path, few))
    network = load_network(load_keras(), run)
    (stem,) = [layer for layer in network.layers if layer.name == "stem_bn"]
    training = faces.split("Training").pixels[..., None].astype(np.float32) / 255
    convolved = np.asarray(network.layers[1](training))
    np.testing.assert_allclose(np.asarray(stem.moving_mean), convolved.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-4)


@pytest.fixture
def copied_run(finished_run, tmp_path):
    return Run(Path(shutil.copytree(finished_run.folder, tmp_path / "run")))


def test_a_training_killed_before_its_last_row_of_history_keeps_the_epoch(copied_run, finished_run, faces):
    path = copied_run.folder / "history.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    (copied_run.folder / "metrics.json").unlink()
    complete(copied_run, faces)
    assert copied_run.history() == finished_run.history()
    assert copied_run.metrics()["epochs"] == 2


@pytest.mark.parametrize("length", [0, 1000, 0.5, 0.999])
def test_a_damaged_state_is_an_error_that_changes_nothing(copied_run, faces, length):
    size = copied_run.state.stat().st_size
    os.truncate(copied_run.state, length if length >= 1 else int(length * size))
    before = {path.name: path.read_bytes() for path in copied_run.folder.iterdir()}
    with pytest.raises(DataError, match=r"state\.npz is damaged") as caught:
        complete(copied_run, faces)
    assert "--settings" in caught.value.hint
    assert {path.name: path.read_bytes() for path in copied_run.folder.iterdir()} == before


def test_a_run_without_its_state_does_not_restart_over_its_weights(copied_run, faces):
    copied_run.state.unlink()
    before = {path.name: path.read_bytes() for path in copied_run.folder.iterdir()}
    with pytest.raises(DataError, match=r"state\.npz is missing"):
        complete(copied_run, faces)
    assert {path.name: path.read_bytes() for path in copied_run.folder.iterdir()} == before


def test_a_run_with_edited_settings_does_not_resume(copied_run, faces):
    path = copied_run.folder / "settings.toml"
    path.write_text(path.read_text().replace("epochs = 2\n", "epochs = 3\n").replace("zoom = 0.05", "zoom = 0.1"))
    with pytest.raises(DataError, match=r"epochs was 2 and is 3; augment\.zoom was 0\.05 and is 0\.1"):
        complete(copied_run, faces)


def test_a_resumed_run_keeps_its_votes(settings, faces, tmp_path):
    def voted(seed):
        votes = np.random.default_rng(seed).integers(0, 5, (420, 10)).astype(np.float32)
        training = dataclasses.replace(faces.split("Training"), votes=votes)
        return dataclasses.replace(faces, splits={**faces.splits, "Training": training})

    opened_with = {"data": "synthetic", "ferplus": "votes.csv", "skip_bad_rows": False}
    run = start(settings, voted(1), opened_with=opened_with, root=tmp_path)
    for other in (faces, voted(2)):
        with pytest.raises(DataError, match="other FER"):
            complete(run, other)
    assert complete(run, voted(1)).n == 140


def test_a_run_without_votes_rejects_votes(copied_run, faces):
    training = dataclasses.replace(faces.split("Training"), votes=np.ones((420, 10), np.float32))
    with pytest.raises(DataError, match="no FER") as caught:
        complete(copied_run, dataclasses.replace(faces, splits={**faces.splits, "Training": training}))
    assert caught.value.hint == "omit --ferplus"


def test_a_run_keeps_its_backend(copied_run, faces):
    environment = copied_run.environment()
    copied_run.save_json("environment.json", {**environment, "backend": "torch"})
    with pytest.raises(UsageError, match="runs Keras on tensorflow"):
        complete(copied_run, faces)


def test_a_full_disk_is_an_error_before_weights_are_written(settings, faces, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    run = new_run(tmp_path, settings)
    with pytest.raises(OSError, match=r"No space left on device: .*best\.weights\.h5"):
        train(validation_split(faces, settings), settings, run=run)
    assert sorted(os.listdir(run.folder)) == ["settings.toml"]


def test_a_full_disk_is_an_error_before_initial_weights_are_written(finished_run, faces, tmp_path, monkeypatch):
    full = shutil.disk_usage(tmp_path)._replace(free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    folder, parent = tmp_path / "run", RunWeights(finished_run)
    with pytest.raises(OSError, match=r"No space left on device: .*parent\.weights\.h5"):
        start(finished_run.settings(), faces, opened_with={}, folder=folder, root=tmp_path, parent=parent)
    assert not list(folder.iterdir())
