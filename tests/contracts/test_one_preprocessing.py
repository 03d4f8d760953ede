"""The same picture gives the same model input in training, evaluation, calibration, benchmarks and prediction."""

import cv2
import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.preprocessing import InputSpec, encoder, prepare, read_image
from edgefer.contract.quantization_params import QuantParams
from edgefer.data.dataset import load
from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.inference.classifier import Classifier
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.training.augmentation import augmentation_layer
from edgefer.workstation.training.settings import Augment

SHAPES = {"gray": (48, 48), "color": (61, 97, 3), "odd": (131, 7), "pixel": (1, 1, 3), "alpha": (80, 33, 4)}


@pytest.fixture
def pictures(tmp_path):
    """Return an image tree with one picture in each of five classes."""
    generator = np.random.default_rng(0)
    for (name, shape), label in zip(SHAPES.items(), ("angry", "disgust", "fear", "happy", "sad")):
        folder = tmp_path / "train" / label
        folder.mkdir(parents=True)
        image = generator.integers(0, 256, shape, np.uint8)
        if shape[-1] == 4:
            image[..., 3] = 255
        cv2.imwrite(str(folder / f"{name}.png"), image)
    return tmp_path


@pytest.fixture
def predicted(pictures):
    """Return prepare() of each file, as ``edgefer predict`` calls it."""
    files = sorted((pictures / "train").glob("*/*.png"))
    return np.stack([prepare(read_image(path.read_bytes()), InputSpec()) for path in files])


def sorted_bytes(faces):
    return sorted(face.tobytes() for face in faces)


def test_training_evaluation_calibration_and_prediction_get_the_same_bytes(pictures, predicted):
    dataset = load(pictures, cache=False)
    training = dataset.split("Training")
    assert sorted_bytes(training.pixels) == sorted_bytes(predicted)
    scored = make_evaluation_set(dataset, training, name="Training", spec=InputSpec())
    assert sorted_bytes(scored.faces) == sorted_bytes(predicted)
    assert sorted_bytes(draw_faces(training, size=5).faces) == sorted_bytes(predicted)


def test_the_network_and_the_float_model_get_the_same_input(predicted):
    layer = augmentation_layer(load_keras(), Augment(), height=48, width=48)
    trained_on = np.asarray(layer(predicted[..., None], training=False))
    encoded = encoder(QuantParams(0.0, 0, "float32"))[predicted][..., None]
    assert trained_on.tobytes() == encoded.tobytes()


def test_a_benchmark_and_a_prediction_encode_alike(predicted):
    from edgefer.models import SHIPPED

    classifier = Classifier.from_artifact(Artifact.load(SHIPPED))
    for face in predicted:
        assert np.array_equal(classifier.encode(face).reshape(48, 48), face.astype(np.int16) - 128)
