"""The same picture gives the same model input in training, evaluation, calibration, benchmarks and prediction."""

import cv2
import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.image_decoding import read_image
from edgefer.contract.preprocessing import Clahe, InputSpec, encode, encoder, prepare, prepare_all
from edgefer.contract.quantization_params import QuantParams
from edgefer.data.dataset import load
from edgefer.data.evaluation_set import make_evaluation_set
from edgefer.inference.classifier import Classifier
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.training.augmentation import augmentation_layer
from edgefer.workstation.training.settings import Augment
from edgefer.workstation.training.validation import ValidationSplit

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


def predicted_inputs(pictures, spec):
    """Return prepare() of each file, as ``edgefer predict`` calls it."""
    files = sorted((pictures / "train").glob("*/*.png"))
    return np.stack([prepare(read_image(path.read_bytes()), spec) for path in files])


@pytest.fixture
def predicted(pictures):
    return predicted_inputs(pictures, InputSpec())


def sorted_bytes(faces):
    return sorted(face.tobytes() for face in faces)


@pytest.mark.parametrize(
    "spec",
    [
        InputSpec(),
        InputSpec(64, 64),
        InputSpec(40, 72),
        InputSpec(128, 128, Clahe()),
        InputSpec(48, 48, Clahe(clip_limit=3.0, tiles=4)),
        InputSpec(64, 64, channels="rgb"),
        InputSpec(96, 80, channels="bgr", resize="linear"),
        InputSpec(30, 96, channels="rgb", mean=(123.0, 117.0, 104.0), std=(58.0,), resize="cubic"),
        InputSpec(224, 224, resize="nearest"),
    ],
)
def test_training_evaluation_calibration_and_prediction_get_the_same_bytes(spec, pictures):
    predicted = predicted_inputs(pictures, spec)
    dataset = load(pictures, spec=spec, cache=False)
    training = dataset.split("Training")
    splits = ValidationSplit(training, training, "PublicTest").prepare(spec)
    assert sorted_bytes(splits.training.pixels) == sorted_bytes(predicted)
    assert sorted_bytes(splits.validation.pixels) == sorted_bytes(predicted)
    scored = make_evaluation_set(dataset, training, name="Training", spec=spec)
    assert sorted_bytes(scored.faces) == sorted_bytes(predicted)
    assert sorted_bytes(prepare_all(draw_faces(training, size=5).faces, spec)) == sorted_bytes(predicted)


def test_the_cache_of_a_tree_belongs_to_one_size_and_to_gray_or_color(pictures, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    color = InputSpec(64, 64, channels="bgr")
    for spec in (InputSpec(), InputSpec(64, 64), color, InputSpec(64, 64, resize="cubic"), InputSpec(), color):
        expected = predicted_inputs(pictures, spec)
        assert sorted_bytes(load(pictures, spec=spec).split("Training").pixels) == sorted_bytes(expected)


@pytest.mark.parametrize("mean", [(0.0,), (123.0, 117.0, 104.0)])
def test_training_in_color_feeds_the_network_like_the_float_model(pictures, mean):
    spec = InputSpec(64, 64, channels="rgb", mean=mean, std=(255.0,) if mean == (0.0,) else (58.0,))
    faces = predicted_inputs(pictures, spec)
    layer = augmentation_layer(load_keras(), Augment(), spec)
    trained_on = np.asarray(layer(faces, training=False))
    assert trained_on.tobytes() == encode(encoder(QuantParams(0.0, 0, "float32"), spec), faces).tobytes()


def test_the_network_and_the_float_model_get_the_same_input(predicted):
    layer = augmentation_layer(load_keras(), Augment(), InputSpec())
    trained_on = np.asarray(layer(predicted[..., None], training=False))
    encoded = encoder(QuantParams(0.0, 0, "float32"))[predicted][..., None]
    assert trained_on.tobytes() == encoded.tobytes()


def test_a_benchmark_and_a_prediction_encode_alike(predicted):
    from edgefer.models import SHIPPED

    classifier = Classifier.from_artifact(Artifact.load(SHIPPED))
    for face in predicted:
        assert np.array_equal(classifier.encode(face).reshape(48, 48), face.astype(np.int16) - 128)
