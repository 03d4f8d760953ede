import dataclasses
import io
import os
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from edgefer.errors import DataError, UsageError
from edgefer.statistics import softmax
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.distillation import (
    compute_teacher_logits,
    fixed_views,
    save_teacher_logits,
    soft_targets,
)
from edgefer.workstation.training.epoch_data import epoch_loader
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.training.loop import train
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.soft_targets import SoftTargets, encode
from edgefer.workstation.training.teachers import RunTeacher, open_teacher
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.training.views import make_view
from edgefer.workstation.workflows.train import complete, start

OPENED = {"data": "synthetic"}


class Stopped(Exception):
    pass


@pytest.fixture
def teacher(finished_run, tmp_path):
    """Return the teacher of a copy of the run, whose cache is empty."""
    return RunTeacher(Run(shutil.copytree(finished_run.folder, tmp_path / "teacher")))


@pytest.fixture
def with_views(settings):
    return dataclasses.replace(settings, views=3, epochs=2, distill_temperature=2.0)


def test_teacher_logits_are_averaged_over_fixed_views_and_computed_once(teacher, faces, tmp_path):
    import keras

    settings = dataclasses.replace(teacher.run.settings(), epochs=1, distill_alpha=1.0, distill_temperature=2.0)
    run = start(settings, faces, opened_with=OPENED, root=tmp_path, teachers=[teacher])
    training = validation_split(faces, settings).training
    network = load_network(keras, teacher.run)
    both = [keras_logits(network, training.pixels), keras_logits(network, training.pixels[:, :, ::-1])]
    expected = np.mean(both, axis=0)
    np.testing.assert_allclose(soft_targets(run, training, settings).at(7), softmax(expected / 2), atol=1e-5)
    assert run.environment()["teachers"][0]["sha256"] == teacher.reference["sha256"]
    np.testing.assert_allclose(compute_teacher_logits([teacher, teacher], training, settings)[0], expected, atol=1e-4)
    (cache,) = teacher.run.folder.glob("answers-*.npy")
    changed = np.load(cache) + 1
    np.save(cache, changed)
    np.testing.assert_array_equal(compute_teacher_logits([teacher], training, settings)[0], changed)
    # As after a crash of the machine, or by another version.
    for damaged in (b"", b"\x93NUMPY", array_bytes(changed[:5])):
        cache.write_bytes(damaged)
        np.testing.assert_allclose(compute_teacher_logits([teacher], training, settings)[0], expected, atol=1e-4)
    complete(run, faces)
    assert run.metrics() is not None
    (run.folder / "teachers.npz").unlink()
    with pytest.raises(DataError, match="teachers"):
        soft_targets(run, training, settings)


def array_bytes(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def test_a_teacher_whose_folder_cannot_be_written_is_not_cached(teacher, faces, settings, tmp_path):
    teacher.cache = tmp_path / "file"
    teacher.cache.touch()
    training = validation_split(faces, settings).training
    assert compute_teacher_logits([teacher], training, settings).shape == (1, len(training), 7)


def test_fixed_views_are_plain_mirrored_and_shifted():
    faces = np.random.default_rng(0).integers(0, 256, (2, 6, 8)).astype(np.uint8)
    assert [len([*fixed_views(faces, selection)]) for selection in ("plain", "mirror", "crops")] == [1, 2, 10]
    plain, mirror, up_left, *_ = (view[:] for view in fixed_views(faces, "crops"))
    np.testing.assert_array_equal(plain, faces)
    np.testing.assert_array_equal(mirror, faces[:, :, ::-1])
    np.testing.assert_array_equal(up_left[:, 2:, 2:], faces[:, :-2, :-2])
    np.testing.assert_array_equal(up_left[:, 0, 2:], faces[:, 0, :-2])


@pytest.mark.parametrize(("mixup", "copies"), [(0.0, "plain"), (1.0, "plain"), (0.0, "mirror")])
def test_teacher_and_student_see_the_same_view(teacher, faces, with_views, tmp_path, mixup, copies):
    augment = dataclasses.replace(with_views.augment, mixup=mixup)
    with_views = dataclasses.replace(with_views, augment=augment, distill_views=copies)
    run = start(with_views, faces, opened_with=OPENED, root=tmp_path, teachers=[teacher])
    training = validation_split(faces, with_views).training
    targets = soft_targets(run, training, with_views)
    assert targets.stored.shape == (3, len(training), 7)
    with epoch_loader(training, with_views, soft_targets=targets) as loader:
        for epoch in (0, 1):
            pixels, both, _ = loader.load(epoch).arrays()
            seen = [pixels[..., 0], pixels[:, :, ::-1, 0]] if copies == "mirror" else [pixels[..., 0]]
            expected = softmax(np.mean([teacher.logits(images) for images in seen], axis=0) / 2)
            np.testing.assert_allclose(both[:, 7:], expected, atol=0.02)
            view = make_view(training.pixels, with_views.augment, seed=with_views.seed, view=epoch)
            position_of = {image.tobytes(): position for position, image in enumerate(view)}
            positions = [position_of[image.tobytes()] for image in pixels]
            smoothing = with_views.label_smoothing
            hard = np.eye(7)[training.labels] * (1 - smoothing) + smoothing / 7
            if mixup:
                share = view.mixing.ratio[:, None]
                hard = share * hard + (1 - share) * hard[view.mixing.partner]
            np.testing.assert_allclose(both[:, :7], hard[positions], atol=1e-6)
    assert not np.allclose(targets.at(0), targets.at(1), atol=0.02)
    np.testing.assert_array_equal(targets.at(0), targets.at(3))


def test_a_stopped_training_with_views_ends_with_the_same_weights(teacher, faces, with_views, tmp_path):
    def stop(done, _total, _note):
        if done == 1:
            raise Stopped

    split = validation_split(faces, with_views)
    whole, stopped = (start(with_views, faces, opened_with=OPENED, root=tmp_path, teachers=[teacher]) for _ in range(2))
    train(split, with_views, run=whole)
    with pytest.raises(Stopped):
        train(split, with_views, run=stopped, progress=stop)
    train(split, with_views, run=stopped)
    assert stopped.last_weights.read_bytes() == whole.last_weights.read_bytes()
    assert len(whole.history()) == 2


def test_the_logits_of_teachers_are_within_the_limit_of_the_cache(faces, settings, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("EDGEFER_CACHE_GB", "0")
    training = validation_split(faces, settings).training
    folder = tmp_path / "edgefer" / "teachers"
    asked = []

    def logits(pixels):
        asked.append(len(pixels))
        return np.zeros((len(pixels), len(training.label_names)), np.float32)

    teacher = SimpleNamespace(name="odd", cache=folder, cache_key="odd", labels=training.label_names, logits=logits)
    settings = dataclasses.replace(settings, views=0, distill_views="plain")
    folder.mkdir(parents=True)
    (folder / "answers-old.npy").touch()
    os.utime(folder / "answers-old.npy", (0, 0))
    compute_teacher_logits([teacher], training, settings)
    (stored,) = folder.iterdir()
    assert stored.name != "answers-old.npy"
    os.utime(stored, (0, 0))
    compute_teacher_logits([teacher], training, settings)
    assert (len(asked), stored.stat().st_mtime > 0) == (1, True)


def test_a_shipped_model_can_be_a_teacher(faces, with_views, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    teacher = open_teacher("nano")
    settings = dataclasses.replace(with_views, views=1, distill_views="plain")
    run = start(settings, faces, opened_with=OPENED, root=tmp_path, teachers=[teacher])
    training = validation_split(faces, settings).training
    view = make_view(training.pixels, settings.augment, seed=settings.seed, view=0)
    np.testing.assert_allclose(
        soft_targets(run, training, settings).at(0), softmax(teacher.logits(view) / 2), atol=0.02
    )
    assert len([*(tmp_path / "cache").rglob("answers-*.npy")]) == 1
    assert run.teachers[0]["run"].endswith(".tflite")


def test_an_unknown_teacher_is_an_error(tmp_path):
    with pytest.raises(DataError):
        open_teacher(str(tmp_path / "nowhere"))
    with pytest.raises(DataError):
        open_teacher(str(tmp_path / "nowhere.tflite"))


@pytest.mark.parametrize(
    ("changes", "teachers", "named"),
    [
        ({"distill_alpha": 0.0}, 1, "distill_alpha"),
        ({"views": 3}, 0, "views = 3 without a teacher"),
    ],
)
def test_settings_that_contradict_the_teachers_are_refused(
    finished_run, faces, settings, tmp_path, changes, teachers, named
):
    settings = dataclasses.replace(settings, **changes)
    with pytest.raises(UsageError, match=named):
        start(settings, faces, opened_with=OPENED, root=tmp_path, teachers=[RunTeacher(finished_run)] * teachers)


def test_probabilities_are_stored_within_three_percent():
    probabilities = np.random.default_rng(0).dirichlet(np.ones(7) / 3, (2, 500)).astype(np.float32)
    stored = SoftTargets(encode(probabilities))
    assert stored.stored.dtype == np.uint8
    assert stored.at(1).sum(axis=1) == pytest.approx(1, abs=1e-5)
    large = probabilities[1] > 1e-3
    np.testing.assert_allclose(stored.at(1)[large], probabilities[1][large], rtol=0.06)


def test_saved_logits_of_other_images_are_refused(teacher, faces, with_views, tmp_path):
    run = start(with_views, faces, opened_with=OPENED, root=tmp_path, teachers=[teacher])
    training = validation_split(faces, with_views).training
    save_teacher_logits(run, np.zeros((3, len(training), 7), np.float32), training.rows + 1, with_views)
    with pytest.raises(DataError, match="other images"):
        soft_targets(run, training, with_views)


def test_a_student_takes_the_outputs_of_its_classes_from_a_teacher_with_more(teacher, faces, settings):
    settings = dataclasses.replace(settings, distill_views="plain", views=0)
    both = faces.select(("neutral", "happy"))
    training = both.split("Training")
    all_logits = keras_logits(load_network(load_keras(), teacher.run), training.pixels)
    expected = all_logits[:, [faces.labels.index("neutral"), faces.labels.index("happy")]]
    np.testing.assert_allclose(compute_teacher_logits([teacher], training, settings)[0], expected, atol=1e-5)
    other = dataclasses.replace(training, label_names=("neutral", "calm"))
    with pytest.raises(DataError, match="lacks the classes calm: its classes are angry"):
        compute_teacher_logits([teacher], other, settings)
