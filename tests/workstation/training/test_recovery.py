"""A training that begins with the weights of another, with teachers, or with weights that follow its progress."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.errors import DataError, UsageError
from edgefer.statistics import softmax
from edgefer.workstation.plots.gallery import write_album
from edgefer.workstation.training.distillation import compute_teacher_logits, soft_targets, views
from edgefer.workstation.training.keras_inference import keras_logits, load_network, score_run
from edgefer.workstation.training.loop import train, validation_split
from edgefer.workstation.workflows.train import complete, start, summary

OPENED = {"data": "synthetic", "ferplus": None, "skip_bad_rows": False}


class Stopped(Exception):
    pass


def stop_after_one_epoch(done: int, total: int, note: str) -> None:
    if done == 1 and note.startswith("loss"):
        raise Stopped


@pytest.fixture(scope="module")
def better_run(finished_run, faces, tmp_path_factory):
    """It begins with the weights of finished_run, which are hardly better than chance, and goes beyond them."""
    settings = dataclasses.replace(finished_run.settings(), epochs=6, learning_rate=2e-3)
    run = start(settings, faces, opened_with=OPENED, root=tmp_path_factory.mktemp("better"), parent=finished_run)
    complete(run, faces)
    return run


def test_what_is_better_takes_its_parents_place(finished_run, better_run):
    before, after = (run.metrics()["evaluation"]["accuracy"] for run in (finished_run, better_run))
    assert after["share"] > before["share"] + 0.05
    assert better_run.metrics()["best_epoch"] >= 1
    assert better_run.parent["sha256"] == finished_run.subject["sha256"]
    assert better_run.baseline().selection_accuracy == pytest.approx(before["share"], abs=1e-6)
    # Optimizer and schedule began anew: the rate warms up again.
    assert better_run.history()[0].learning_rate < better_run.settings().learning_rate


def test_what_is_no_better_than_its_parent_is_not_kept(better_run, faces, tmp_path):
    wild = dataclasses.replace(better_run.settings(), epochs=1, learning_rate=0.5, optimizer="sgd")
    run = start(wild, faces, opened_with=OPENED, root=tmp_path, parent=better_run)
    before = better_run.metrics()["evaluation"]["accuracy"]
    assert complete(run, faces).accuracy.correct == before["correct"]
    assert run.metrics()["best_epoch"] == 0
    assert run.history()[0].selection_accuracy < run.baseline().selection_accuracy
    assert "kept" in summary(run).text
    images = make_evaluation_set(faces, faces.split("PublicTest"), name="PublicTest", spec=run.settings().input)
    assert "kept: the weights that it began with" in write_album(score_run(run, images), tmp_path / "album", run=run)
    for own, parents in zip(weights_of(run), weights_of(better_run)):
        np.testing.assert_array_equal(own, parents)


def weights_of(run):
    import keras

    return load_network(keras, run).get_weights()


def test_another_network_cannot_take_over_the_weights(finished_run, faces, tmp_path):
    other = dataclasses.replace(finished_run.settings(), model={"stem": 4, "width": 8, "depth": 1})
    with pytest.raises(DataError, match="cannot load"):
        start(other, faces, opened_with=OPENED, root=tmp_path, parent=finished_run)
    assert not list(tmp_path.iterdir())


def test_teachers_are_asked_once_about_the_images_that_are_learned(finished_run, faces, tmp_path):
    import keras

    settings = dataclasses.replace(finished_run.settings(), epochs=1, distill_alpha=1.0, distill_temperature=2.0)
    run = start(settings, faces, opened_with=OPENED, root=tmp_path, teachers=[finished_run])
    learn, _, _ = validation_split(faces, settings)
    network = load_network(keras, finished_run)
    both = [keras_logits(network, learn.pixels), keras_logits(network, learn.pixels[:, :, ::-1])]
    np.testing.assert_allclose(soft_targets(run, learn, settings), softmax(np.mean(both, axis=0) / 2), atol=1e-5)
    assert run.environment()["teachers"][0]["sha256"] == finished_run.subject["sha256"]
    answers = compute_teacher_logits([finished_run, finished_run], learn, finished_run.settings())
    assert answers == pytest.approx(np.mean(both, axis=0), abs=1e-4)
    (kept,) = finished_run.folder.glob("answers-*.npy")
    changed = np.load(kept) + 1
    np.save(kept, changed)
    np.testing.assert_array_equal(compute_teacher_logits([finished_run], learn, finished_run.settings()), changed)
    kept.unlink()
    complete(run, faces)
    assert run.metrics() is not None
    (run.folder / "teachers.npz").unlink()
    with pytest.raises(DataError, match="teachers"):
        soft_targets(run, learn, settings)


def test_the_views_that_teachers_are_shown():
    faces = np.random.default_rng(0).integers(0, 256, (2, 6, 8)).astype(np.uint8)
    assert [len([*views(faces, which)]) for which in ("plain", "mirror", "crops")] == [1, 2, 10]
    plain, mirror, up_left, *_ = views(faces, "crops")
    np.testing.assert_array_equal(plain, faces)
    np.testing.assert_array_equal(mirror, faces[:, :, ::-1])
    np.testing.assert_array_equal(up_left[:, 2:, 2:], faces[:, :-2, :-2])
    np.testing.assert_array_equal(up_left[:, 0, 2:], faces[:, 0, :-2])


def test_teachers_to_whom_nobody_listens_are_refused(finished_run, faces, tmp_path):
    deaf = dataclasses.replace(finished_run.settings(), distill_alpha=0.0)
    with pytest.raises(UsageError, match="distill_alpha"):
        start(deaf, faces, opened_with=OPENED, root=tmp_path, teachers=[finished_run])


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
    train(faces, settings, run=whole)
    stopped = start(settings, faces, opened_with=OPENED, root=tmp_path)
    with pytest.raises(Stopped):
        train(faces, settings, run=stopped, progress=stop_after_one_epoch)
    assert len(stopped.history()) == 1
    train(faces, settings, run=stopped)
    assert stopped.last_weights.read_bytes() == whole.last_weights.read_bytes()


def test_a_share_of_training_selects_where_the_settings_say_so(faces, settings):
    learn, select, name = validation_split(faces, dataclasses.replace(settings, selection="training"))
    assert name == "10% of Training"
    assert sorted([*learn.rows, *select.rows]) == faces.split("Training").rows.tolist()
    assert validation_split(faces, settings)[2] == "PublicTest"


def test_tensorboard_gets_the_numbers_of_each_epoch(faces, settings, tmp_path):
    import tensorflow as tf

    run = start(dataclasses.replace(settings, epochs=2), faces, opened_with=OPENED, root=tmp_path)
    train(faces, run.settings(), run=run, tensorboard=True)
    found = {}
    for path in sorted((run.folder / "tensorboard").iterdir()):
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            found |= {(event.step, value.tag): value.simple_value for value in event.summary.value}
    for epoch in run.history():
        for name in ("loss", "accuracy", "selection_accuracy", "learning_rate"):
            assert found[epoch.epoch, name] == pytest.approx(getattr(epoch, name), rel=1e-5)
