"""Training with initial weights of another run, with teachers, or with dynamic class weights."""

from __future__ import annotations

import dataclasses
import random
import shutil
import threading
import warnings

import numpy as np
import pytest

from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.errors import DataError, UsageError
from edgefer.report.terminal.training import training_text
from edgefer.workstation.plots.gallery import write_gallery
from edgefer.workstation.training.keras_inference import load_network, score_run
from edgefer.workstation.training.loop import train
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.initial_weights import RunWeights
from edgefer.workstation.workflows.train import complete, start, training_record

OPENED = {"data": "synthetic", "ferplus": None, "skip_bad_rows": False}


class Stopped(Exception):
    pass


def stop_after_one_epoch(done: int, total: int, note: str) -> None:
    if done == 1 and note.startswith("loss"):
        raise Stopped


@pytest.fixture(scope="module")
def better_run(finished_run, faces, tmp_path_factory):
    """Train from the weights of finished_run, which are hardly better than chance, and exceed them."""
    settings = dataclasses.replace(finished_run.settings(), epochs=6, learning_rate=2e-3)
    root, parent = tmp_path_factory.mktemp("better"), RunWeights(finished_run)
    run = start(settings, faces, opened_with=OPENED, root=root, parent=parent)
    complete(run, faces)
    return run


def test_epochs_that_exceed_the_parent_are_kept(finished_run, better_run):
    before, after = (run.metrics()["evaluation"]["accuracy"] for run in (finished_run, better_run))
    assert after["share"] > before["share"] + 0.05
    assert better_run.metrics()["best_epoch"] >= 1
    assert better_run.parent["sha256"] == finished_run.subject["sha256"]
    assert better_run.baseline().selection_accuracy == pytest.approx(before["share"], abs=1e-6)
    # Optimizer and schedule started anew, so the rate warms up again.
    assert better_run.history()[0].learning_rate < better_run.settings().learning_rate


def test_the_parents_weights_are_kept_if_no_epoch_exceeds_them(better_run, faces, tmp_path):
    wild = dataclasses.replace(better_run.settings(), epochs=1, learning_rate=0.5, optimizer="sgd")
    run = start(wild, faces, opened_with=OPENED, root=tmp_path, parent=RunWeights(better_run))
    before = better_run.metrics()["evaluation"]["accuracy"]
    assert complete(run, faces).accuracy.correct == before["correct"]
    assert run.metrics()["best_epoch"] == 0
    assert run.history()[0].selection_accuracy < run.baseline().selection_accuracy
    assert "exceeded the initial weights, which were kept" in training_text(training_record(run))
    images = make_evaluation_set(faces, faces.split("PublicTest"), name="PublicTest", spec=run.settings().input)
    gallery = write_gallery(score_run(run, images), tmp_path / "gallery", run=run)
    assert gallery.selection == "kept: the initial weights, by the accuracy on the validation split"
    for weights, parents in zip(weights_of(run), weights_of(better_run)):
        np.testing.assert_array_equal(weights, parents)


def weights_of(run):
    import keras

    return load_network(keras, run).get_weights()


def test_the_weights_of_another_network_are_rejected(finished_run, faces, tmp_path):
    other = dataclasses.replace(finished_run.settings(), model={"stem": 4, "width": 8, "depth": 1})
    with pytest.raises(UsageError, match=r"model\.stem = 4, model\.width = 8 with --init-from"):
        start(other, faces, opened_with=OPENED, root=tmp_path, parent=RunWeights(finished_run))
    assert not list(tmp_path.iterdir())


def test_a_warning_of_another_thread_stays_a_warning_while_weights_are_loaded(finished_run):
    import keras

    errors, loaded = [], threading.Event()

    def warn():
        while not loaded.is_set():
            try:
                warnings.warn("of another thread", UserWarning, stacklevel=1)
            except UserWarning as error:
                errors.append(error)
                return

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread = threading.Thread(target=warn)
        thread.start()
        try:
            load_network(keras, finished_run)
        finally:
            loaded.set()
            thread.join()
    assert not errors


def test_additional_and_missing_weights_are_named(finished_run, tmp_path):
    import h5py
    import keras

    for damage, count in ((lambda file: file.__delitem__("layers/conv2d/vars/0"), -1), (add_array, 1)):
        run = Run(tmp_path / f"run{count}")
        shutil.copytree(finished_run.folder, run.folder)
        with h5py.File(run.best_weights, "r+") as file:
            damage(file)
        expected = len(load_network(keras, finished_run).weights)
        with pytest.raises(DataError, match="cannot load") as caught:
            load_network(keras, run)
        assert f"it has {expected + count} weights, and the network has {expected}" in caught.value.why


def add_array(file):
    file["layers/other/vars/0"] = [1.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"class_weights": "dynamic", "oversampling": 0.5},
        {"class_weights": "dynamic", "loss": "focal", "augment": {"mixup": 0.2, "cutmix": 1.0, "shear_degrees": 5.0}},
    ],
)
def test_a_stopped_training_ends_with_the_same_weights(faces, settings, tmp_path, changes):
    augment = dataclasses.replace(settings.augment, **changes.get("augment", {}))
    settings = dataclasses.replace(settings, epochs=2, **{**changes, "augment": augment})
    whole = start(settings, faces, opened_with=OPENED, root=tmp_path)
    split = validation_split(faces, settings)
    train(split, settings, run=whole)
    stopped = start(settings, faces, opened_with=OPENED, root=tmp_path)
    with pytest.raises(Stopped):
        train(split, settings, run=stopped, progress=stop_after_one_epoch)
    assert len(stopped.history()) == 1
    train(split, settings, run=stopped)
    assert stopped.last_weights.read_bytes() == whole.last_weights.read_bytes()


def test_tensorboard_logs_the_values_of_each_epoch(faces, settings, tmp_path):
    import tensorflow as tf

    run = start(dataclasses.replace(settings, epochs=2), faces, opened_with=OPENED, root=tmp_path)
    train(validation_split(faces, run.settings()), run.settings(), run=run, tensorboard=True)
    logged = {}
    for path in sorted((run.folder / "tensorboard").iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            logged |= {(event.step, value.tag): value.simple_value for value in event.summary.value}
    for epoch in run.history():
        for name in ("loss", "accuracy", "selection_accuracy", "learning_rate"):
            assert logged[epoch.epoch, name] == pytest.approx(getattr(epoch, name), rel=1e-5)


def test_a_training_leaves_the_global_random_generators_alone(faces, settings, tmp_path):
    settings = dataclasses.replace(settings, epochs=1)
    run = start(settings, faces, opened_with=OPENED, root=tmp_path)
    before = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002 - the generator of the program
    train(validation_split(faces, settings), settings, run=run)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before  # noqa: NPY002
