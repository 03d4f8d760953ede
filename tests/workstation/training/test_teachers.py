"""Teachers that other programs trained: imported runs, and .tflite files with a contract."""

import dataclasses

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import FLOAT32, InputSpec, encode, encoder, prepare_all
from edgefer.errors import DataError
from edgefer.inference.first_load import trust_model
from edgefer.inference.model_import import ForeignModel, InputChoice, make_artifact
from edgefer.models import shipped
from edgefer.statistics import softmax
from edgefer.workstation.importing.network import ImportedNetwork
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.training.distillation import compute_teacher_logits, soft_targets
from edgefer.workstation.training.teachers import open_teacher
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.import_network import create_imported_run
from edgefer.workstation.workflows.initial_weights import open_initial_weights
from edgefer.workstation.workflows.train import complete, start

OPENED = {"data": "synthetic", "ferplus": None, "skip_bad_rows": False}
# Other size, channels and range than those of the student, and other classes, under other names.
SPEC = InputSpec(height=32, width=40, channels="rgb", mean=(10.0, 20.0, 30.0), std=(50.0, 60.0, 70.0))
CLASSES = ("Surprise", "happiness", "bored", "Neutral")
STUDENT = ("neutral", "happy", "surprise")


@pytest.fixture(scope="module")
def network():
    """Build a network that ends in a softmax."""
    keras = load_keras(backend="tensorflow")
    keras.utils.set_random_seed(4)
    face = keras.Input((32, 40, 3))
    x = keras.layers.Conv2D(6, 5, strides=4, activation="relu")(face)
    return keras.Model(face, keras.layers.Dense(4, activation="softmax")(keras.layers.Flatten()(x)))


@pytest.fixture
def student(faces):
    return faces.select(STUDENT)


@pytest.fixture(params=["an imported run", "a .tflite file"])
def teacher(request, network, tmp_path):
    flatbuffer = convert(network)
    trust_model(flatbuffer)
    choice = InputChoice(SPEC, CLASSES, "--labels", "probabilities")
    if request.param == "a .tflite file":
        path = tmp_path / "theirs.tflite"
        make_artifact(ForeignModel.load(flatbuffer, name="theirs.tflite"), choice).save(path)
        return open_teacher(str(path))
    imported = ImportedNetwork("a Keras model", flatbuffer, None, ())
    run = create_imported_run(imported, choice, source=tmp_path / "theirs.keras", opened_with=OPENED, root=tmp_path)
    return open_teacher(str(run.folder))


def test_a_foreign_teacher_gets_its_own_input_and_its_classes_are_matched_by_name(
    teacher, network, student, settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    plain = dataclasses.replace(settings, epochs=1, distill_views="plain", distill_temperature=1.0)
    run = start(plain, student, opened_with=OPENED, root=tmp_path / "runs", teachers=[teacher])
    training = validation_split(student, plain).training
    images = encode(encoder(FLOAT32, SPEC), prepare_all(training.pixels[:], SPEC))
    probabilities = np.asarray(network(images))[:, [3, 1, 0]]
    expected = probabilities / probabilities.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soft_targets(run, training, plain).at(0), expected, atol=1e-4)
    assert run.teachers[0]["sha256"] == teacher.reference["sha256"]
    complete(run, student)
    assert run.metrics() is not None


def test_a_color_student_and_stored_views_reach_a_foreign_teacher(
    teacher, network, student, settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    training = dataclasses.replace(
        student.split("Training"), pixels=np.repeat(student.split("Training").pixels[:, :, :, None], 3, axis=3)
    )
    views = dataclasses.replace(settings, views=2, input=InputSpec(channels="rgb"))
    logits = compute_teacher_logits([teacher], training, views)
    assert logits.shape == (2, len(training), 3)
    assert np.isfinite(logits).all()
    assert not np.allclose(softmax(logits[0]), softmax(logits[1]), atol=1e-3)


def test_a_model_that_was_imported_again_with_another_input_is_another_teacher(
    network, student, settings, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    flatbuffer, path, logits = convert(network), tmp_path / "theirs.tflite", []
    trust_model(flatbuffer)
    for spec in (SPEC, dataclasses.replace(SPEC, mean=(0.0, 0.0, 0.0))):
        choice = InputChoice(spec, CLASSES, "--labels", "probabilities")
        make_artifact(ForeignModel.load(flatbuffer, name="theirs.tflite"), choice).save(path)
        logits.append(compute_teacher_logits([open_teacher(str(path))], student.split("Training"), settings))
    assert not np.allclose(*logits, atol=1e-3)


def test_a_teacher_without_a_class_of_the_student_is_refused(teacher, faces, settings):
    with pytest.raises(DataError, match="lacks the classes angry, disgust, fear, sad"):
        compute_teacher_logits([teacher], faces.split("Training"), settings)


def test_the_suffix_of_a_model_may_be_in_upper_case(tmp_path):
    path = tmp_path / "NANO.TFLITE"
    path.write_bytes(shipped()["nano"].read_bytes())
    assert open_teacher(str(path)).labels == LABELS
    assert open_initial_weights(path).labels == LABELS


def test_a_model_without_a_contract_is_refused_with_the_command_that_adds_one(network, tmp_path):
    (tmp_path / "bare.tflite").write_bytes(convert(network))
    with pytest.raises(DataError, match="no contract") as caught:
        open_teacher(str(tmp_path / "bare.tflite"))
    assert caught.value.hint == "edgefer import MODEL --data PATH"
