"""Each reference network is found to be fed as it was trained, and its int8 model is as accurate as the plain one."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="imports are for a workstation")

from bring_your_own import convert_plainly, score
from reference_networks import AFFECTNET, REFERENCES, save, train

from edgefer import plugins
from edgefer.contract.input_description import describe_input
from edgefer.contract.preprocessing import InputSpec, prepare_all
from edgefer.errors import DataError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.first_load import trust_model
from edgefer.inference.model_import import ForeignModel, choose_input, make_artifact
from edgefer.statistics import mcnemar_p
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.training.keras_inference import keras_logits

pytestmark = pytest.mark.filterwarnings("ignore:You are saving your model as an HDF5 file")
# Size in pixels, width factor and epochs; the sizes of the benchmark would take minutes.
SMALL = {
    "mini_xception": (40, 0.5, 2),
    "sequential": (32, 0.25, 6),
    "rescaling": (32, 0.25, 6),
    "elu": (32, 0.25, 3),
    "subclassed": (40, 0.5, 3),
}
CALIBRATION = 150


@dataclass(frozen=True, eq=False)
class Case:
    """A trained network and its import.

    Attributes:
        spec: input of the training.
        path: the saved file.
        flatbuffer: its float model.
        predictions: outputs that the network itself selects for the test faces, fed as trained.
        hits: True for test faces whose prediction is correct.
    """

    reference: Any
    spec: InputSpec
    path: Path
    flatbuffer: bytes
    predictions: Any
    hits: Any


@pytest.fixture(scope="module", params=[*SMALL])
def case(request, three_classes, frameworks, read, tmp_path_factory):
    reference, (size, width, epochs) = REFERENCES[request.param], SMALL[request.param]
    spec = dataclasses.replace(reference.spec, height=size, width=size)
    keras = frameworks[reference.legacy]
    keras.utils.set_random_seed(1)
    model = reference.build(keras, width=width, size=size, classes=3)
    training, test = three_classes.split("Training"), three_classes.split("PublicTest")
    faces = prepare_all(training.pixels, spec)
    train(model, faces, training.labels, spec=spec, epochs=epochs)
    path = save(model, reference, tmp_path_factory.mktemp("foreign"))
    predictions = keras_logits(model, prepare_all(test.pixels, spec), spec).argmax(axis=1)
    flatbuffer = read(path)[1]
    trust_model(flatbuffer)
    return Case(reference, spec, path, flatbuffer, predictions, predictions == test.labels)


def test_input_is_found_as_the_network_was_trained_or_two_are_too_close(case, three_classes):
    model, expected = (
        ForeignModel.load(case.flatbuffer, name=case.path.name),
        describe_input(case.spec, always_range=True),
    )
    try:
        choice = choose_input(model, dataset=three_classes)
    except UsageError as error:
        found, reason = "", f"{error.why}"
    else:
        found, reason = describe_input(choice.spec, always_range=True), ""
    # A brief training can leave two inputs of nearly the same accuracy, which the refusal names.
    assert found == expected or (expected in reason and "is not significantly better than" in reason)
    if found:
        assert (choice.labels, choice.output) == (three_classes.labels, "logits")


def test_imported_network_selects_the_same_classes(case, three_classes):
    faces = prepare_all(three_classes.split("PublicTest").pixels, case.spec)
    imported = score(case.flatbuffer, three_classes.labels, case.spec, faces)
    assert (imported == case.predictions).mean() > 0.995


def test_int8_is_as_accurate_as_the_plain_conversion(case, three_classes):
    test, training = three_classes.split("PublicTest"), three_classes.split("Training")
    faces, calibration = (prepare_all(split.pixels, case.spec) for split in (test, training))
    network = FloatNetwork(None, calibration[:CALIBRATION], spec=case.spec, flatbuffer=case.flatbuffer)
    int8 = plugins.load("edgefer.workstation.quantization.schemes", "int8").convert(network, DEFAULTS)
    plain = convert_plainly(case.path, calibration[:CALIBRATION], case.spec, legacy=case.reference.legacy)
    hits, plain_hits = (score(model, three_classes.labels, case.spec, faces) == test.labels for model in (int8, plain))
    gained, lost = int((hits & ~plain_hits).sum()), int((plain_hits & ~hits).sum())
    print(f"float {case.hits.mean():.3f}, plain {plain_hits.mean():.3f}, edgefer {hits.mean():.3f}")
    assert gained >= lost or mcnemar_p(gained, lost) > 0.05
    assert mcnemar_p(int((hits & ~case.hits).sum()), int((case.hits & ~hits).sum())) > 0.01


@pytest.fixture(scope="module")
def eight(three_classes, frameworks, tmp_path_factory):
    """Train a network with the eight outputs of AffectNet on three of the classes; return the folder of its .tflite."""
    dataset, spec = three_classes.select(AFFECTNET), InputSpec(32, 32)
    training = dataset.split("Training")
    frameworks[False].utils.set_random_seed(2)
    model = REFERENCES["sequential"].build(frameworks[False], width=0.25, size=32, classes=8)
    train(model, prepare_all(training.pixels, spec), training.labels, spec=spec, epochs=6)
    folder = tmp_path_factory.mktemp("tflite")
    return {name: save(model, REFERENCES[name], folder) for name in ("float_tflite", "quantized_tflite")}


@pytest.mark.parametrize("name", ["float_tflite", "quantized_tflite"])
def test_tflite_with_more_outputs_than_the_data_has_classes(eight, three_classes, name):
    model = ForeignModel.open(eight[name])
    choice = choose_input(model, labels=AFFECTNET, dataset=three_classes)
    assert (choice.spec, choice.labels, choice.output) == (InputSpec(32, 32), AFFECTNET, "probabilities")
    artifact = make_artifact(model, choice, dataset=three_classes)
    test = three_classes.split("PublicTest")
    predictions = Classifier.from_artifact(artifact).predict_all(list(test.pixels))
    names = [prediction.label for prediction in predictions]
    right = np.mean([name == three_classes.labels[label] for name, label in zip(names, test.labels)])
    assert right == pytest.approx(choice.search.best.accuracy, abs=0.1)


def test_labels_are_needed_where_outputs_and_classes_differ_in_number(eight, three_classes):
    with pytest.raises(DataError, match="8 outputs are unknown") as refused:
        choose_input(ForeignModel.open(eight["float_tflite"]), dataset=three_classes)
    assert "--labels" in refused.value.hint
