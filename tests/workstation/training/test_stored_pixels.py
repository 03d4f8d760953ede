"""A data set that does not fit into memory gives the results of one that does, bit by bit."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgefer.contract.preprocessing import Clahe, InputSpec
from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.data.pixel_files import StoredPixels, save_pixels
from edgefer.data.pixels import LazyPixels
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import calibration_pool, draw_faces
from edgefer.workstation.training.distillation import compute_teacher_logits
from edgefer.workstation.training.keras_inference import load_network, score_run
from edgefer.workstation.training.teachers import RunTeacher
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.train import complete, start

OPENED = {"data": "synthetic", "ferplus": None, "skip_bad_rows": False}


@pytest.fixture(scope="module")
def stored(faces, tmp_path_factory):
    """Store the pixels of each split in a file."""
    folder, splits = tmp_path_factory.mktemp("stored"), {}
    for name, split in faces.splits.items():
        save_pixels(folder / f"{name}.npy", split.pixels)
        splits[name] = dataclasses.replace(split, pixels=StoredPixels(folder / f"{name}.npy", split.pixels.shape))
    return dataclasses.replace(faces, splits=splits)


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{}, {"input": InputSpec(40, 40, clahe=Clahe()), "class_weights": "dynamic"}])
def test_training_ends_with_the_same_weights_and_scores(changes, settings, faces, stored, tmp_path):
    augment = dataclasses.replace(settings.augment, mixup=0.2, cutmix=0.5)
    settings = dataclasses.replace(settings, epochs=1, selection="training", augment=augment, **changes)
    contents, scores = [], []
    for name, dataset in (("memory", faces), ("stored", stored)):
        run = start(settings, dataset, opened_with=OPENED, folder=tmp_path / name)
        scores.append(complete(run, dataset).to_json())
        contents.append(run.best_weights.read_bytes())
    assert contents[0] == contents[1]
    assert scores[0] == scores[1]


@pytest.mark.slow
@pytest.mark.parametrize("changes", [{"distill_views": "crops"}, {"views": 2, "distill_temperature": 2.0}])
def test_teachers_have_the_same_logits(changes, finished_run, faces, stored):
    settings = dataclasses.replace(finished_run.settings(), **changes)
    teacher = RunTeacher(finished_run)
    teacher.cache = None
    one, other = (compute_teacher_logits([teacher], data.split("Training"), settings) for data in (faces, stored))
    assert np.array_equal(one, other)


@pytest.mark.slow
def test_an_evaluation_has_the_same_logits(finished_run, faces, stored):
    outputs = []
    for dataset in (faces, stored):
        spec = finished_run.settings().input
        images = make_evaluation_set(dataset, dataset.split("PublicTest"), name="PublicTest", spec=spec)
        outputs.append(score_run(finished_run, images, load_network(load_keras(), finished_run)))
    assert isinstance(outputs[1].images.faces, LazyPixels)
    assert np.array_equal(outputs[0].logits, outputs[1].logits)
    assert outputs[0].evaluation.to_json() == outputs[1].evaluation.to_json()


def test_calibration_selects_the_same_faces(settings, faces, stored):
    selections = []
    for dataset in (faces, stored):
        training = validation_split(dataset, dataclasses.replace(settings, selection="training")).training
        selections.append((calibration_pool(dataset).select(size=60), draw_faces(training, size=30)))
    (one, drawn), (other, drawn_too) = selections
    assert np.array_equal(one.faces, other.faces)
    assert (one.rows.tolist(), one.digests) == (other.rows.tolist(), other.digests)
    assert (one.brightness.tolist(), one.contrast.tolist()) == (other.brightness.tolist(), other.contrast.tolist())
    assert np.array_equal(drawn.faces, drawn_too.faces)
