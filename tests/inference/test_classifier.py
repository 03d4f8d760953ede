from __future__ import annotations

import os
import subprocess
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact, Golden
from edgefer.contract.preprocessing import InputSpec, prepare
from edgefer.contract.quantization_params import QuantParams
from edgefer.errors import DataError, IncompatibleError
from edgefer.inference.classifier import Classifier
from edgefer.inference.runtime import TensorSpec


def with_golden_outputs(artifact: Artifact, outputs: np.ndarray) -> Artifact:
    golden = artifact.golden
    return replace(artifact, golden=Golden(golden.inputs, outputs, outputs, golden.tolerance))


def test_open_reads_the_file_and_replays_the_golden_vectors(model_path: Path, int8_artifact: Artifact) -> None:
    classifier = Classifier.open(str(model_path))
    assert classifier.artifact.sha256 == int8_artifact.sha256
    assert classifier.replay() <= int8_artifact.golden.tolerance


def test_opening_a_model_in_a_thread_leaves_stdout_and_stderr_to_the_program(
    int8_artifact: Artifact, litert: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[object] = []

    class RecordingInterpreter(litert.Interpreter):  # type: ignore[name-defined, misc]
        def allocate_tensors(self) -> None:
            streams.append((sys.stdout, os.fstat(2).st_ino, list(warnings.filters), dict(os.environ)))
            super().allocate_tensors()

    expected = (sys.stdout, os.fstat(2).st_ino, list(warnings.filters), dict(os.environ))
    monkeypatch.setattr(litert, "Interpreter", RecordingInterpreter)
    threads = [threading.Thread(target=Classifier.from_artifact, args=(int8_artifact,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    Classifier.from_artifact(int8_artifact)
    assert streams == [expected] * 3


def test_a_deviating_output_raises_an_error_with_its_size_and_position(int8_artifact: Artifact) -> None:
    outputs = int8_artifact.golden.outputs.astype(np.int16)
    outputs[5, 3] += 100
    altered = with_golden_outputs(int8_artifact, outputs)
    with pytest.raises(IncompatibleError, match=r"golden vector 5 differs by (9[6-9]|10[0-4]) steps in class 3"):
        Classifier.from_artifact(altered)
    assert Classifier.from_artifact(altered, check=False).artifact is altered


def test_missing_and_damaged_files_are_rejected(tmp_path: Path, model_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere.tflite"):
        Classifier.open(tmp_path / "nowhere.tflite")
    content = bytearray(model_path.read_bytes())
    content[1000] ^= 255
    (tmp_path / "damaged.tflite").write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        Classifier.open(tmp_path / "damaged.tflite")


def test_a_contract_that_does_not_fit_the_model_is_rejected(int8_artifact: Artifact) -> None:
    with pytest.raises(IncompatibleError, match="output"):
        Classifier.from_artifact(replace(int8_artifact, labels=("happy", "sad")))
    with pytest.raises(IncompatibleError, match="input"):
        Classifier.from_artifact(replace(int8_artifact, input_spec=InputSpec(height=64, width=64)))


def test_int8_input_is_pixel_minus_128(int8_classifier: Classifier) -> None:
    face = np.arange(48 * 48, dtype=np.uint32).astype(np.uint8).reshape(48, 48)
    encoded = int8_classifier.encode(face)
    assert encoded.dtype == np.int8
    assert encoded.shape == (1, 48, 48, 1)
    assert (encoded[0, :, :, 0].astype(np.int16) == face.astype(np.int16) - 128).all()


def test_float_input_is_pixel_by_255(artifact: Artifact) -> None:
    if artifact.scheme != "float32":
        pytest.skip("float32 only")
    encoded = Classifier.from_artifact(artifact).encode(np.full((48, 48), 51, np.uint8))
    assert encoded.dtype == np.float32
    assert encoded == pytest.approx(0.2)


def test_gray_bgr_and_bgra_give_the_same_logits(artifact: Artifact, faces: np.ndarray) -> None:
    classifier = Classifier.from_artifact(artifact)
    for face in faces[:5]:
        bgr = np.repeat(face[..., np.newaxis], 3, axis=2)
        bgra = np.concatenate([bgr, np.full((48, 48, 1), 7, np.uint8)], axis=2)
        expected = classifier.predict(face)
        for image in (face[..., np.newaxis], bgr, bgra):
            assert (classifier.predict(image).logits == expected.logits).all()


def test_prediction_is_the_softmax_of_the_logits(int8_classifier: Classifier, faces: np.ndarray) -> None:
    prediction = int8_classifier.predict(faces[0])
    logits = int8_classifier.logits(faces[:1])[0]
    assert (prediction.logits == logits).all()
    expected = np.exp(logits.astype(np.float64)) / np.exp(logits.astype(np.float64)).sum()
    assert prediction.probabilities == pytest.approx(expected, rel=1e-5)
    assert prediction.probabilities.dtype == np.float32
    assert prediction.label == int8_classifier.artifact.labels[int(expected.argmax())]
    assert prediction.probability == pytest.approx(expected.max(), rel=1e-5)


def test_the_temperature_changes_the_probability_but_not_the_label(
    int8_artifact: Artifact, int8_classifier: Classifier, faces: np.ndarray
) -> None:
    with_temperature = Classifier(replace(int8_artifact, temperature=2.5), int8_classifier.runtime)
    for plain, calibrated in zip(int8_classifier.predict_all(list(faces)), with_temperature.predict_all(list(faces))):
        assert (calibrated.label, calibrated.logits.tolist()) == (plain.label, plain.logits.tolist())
        exponentials = np.exp(plain.logits.astype(np.float64) / 2.5)
        assert calibrated.probabilities == pytest.approx(exponentials / exponentials.sum(), rel=1e-5)
        assert calibrated.probability == calibrated.probabilities.max() < plain.probability


def test_images_of_any_size_are_preprocessed(int8_classifier: Classifier) -> None:
    image = np.random.default_rng(3).integers(0, 256, (97, 61, 3), np.uint8)
    prepared = prepare(image, int8_classifier.artifact.input_spec)
    assert (int8_classifier.predict(image).logits == int8_classifier.logits(prepared[np.newaxis])[0]).all()


def test_an_array_of_images_is_a_sequence_of_them(int8_classifier: Classifier, faces: np.ndarray) -> None:
    labels = [int8_classifier.predict(face).label for face in faces[:3]]
    assert [prediction.label for prediction in int8_classifier.predict_all(faces[:3])] == labels
    assert int8_classifier.predict_all(faces[:0]) == []


def test_logits_are_the_dequantized_raw_outputs(int8_classifier: Classifier, faces: np.ndarray) -> None:
    raw, params = int8_classifier.raw(faces), int8_classifier.runtime.output.params
    assert raw.shape == (len(faces), 7)
    assert raw.dtype == np.int8
    expected = (raw.astype(np.float64) - params.zero_point) * params.scale
    assert int8_classifier.logits(faces) == pytest.approx(expected, rel=1e-6)
    # The order of the faces does not matter.
    assert (int8_classifier.raw(faces[::-1]) == raw[::-1]).all()
    assert len(np.unique(raw.argmax(axis=1))) > 3


@pytest.mark.parametrize(
    "faces", [np.zeros((48, 48), np.uint8), np.zeros((2, 48, 48), np.float32), np.zeros((2, 47, 48), np.uint8)]
)
def test_raw_rejects_unprepared_faces(int8_classifier: Classifier, faces: np.ndarray) -> None:
    with pytest.raises(DataError, match="expected"):
        int8_classifier.raw(faces)


WITHOUT_TENSORFLOW = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tensorflow", "keras", "tf_keras", "matplotlib"):
            raise ImportError(name + " must not be imported on a board")

sys.meta_path.insert(0, Blocker())
import edgefer
import edgefer.benchmark.runner, edgefer.inference.evaluation, edgefer.benchmark.isolation
import numpy
print(edgefer.Classifier.open(sys.argv[1]).predict(numpy.zeros((48, 48), "uint8")).label)
"""


def test_a_classifier_runs_without_tensorflow(model_path: Path, int8_classifier: Classifier) -> None:
    child = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW, str(model_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.stdout.strip() == int8_classifier.predict(np.zeros((48, 48), np.uint8)).label, child.stderr


class FixedOutput:
    """Runtime with a constant output, which records its inputs."""

    name, version = "fixed", "1"

    def __init__(self, shape, params, output):
        self.input = TensorSpec(shape, QuantParams(0.0, 0, "float32"))
        self.output = TensorSpec((1, output.size), params)
        self._output = output[None]
        self.inputs = []

    def set_input(self, array):
        self.inputs.append(array)

    def invoke(self):
        pass

    def get_output(self):
        return self._output


@pytest.mark.parametrize(
    ("params", "raw", "smallest"),
    [
        (QuantParams(0.0, 0, "float32"), np.float32([0.75, 0.25, 0.0]), 1e-7),
        (QuantParams(1 / 256, -128, "int8"), np.int8([64, -64, -128]), 1 / 512),
    ],
)
def test_logits_of_a_softmax_output_are_logarithms(params, raw, smallest):
    artifact = Artifact.bare(b"", ("a", "b", "c"), InputSpec(4, 4), output="probabilities")
    classifier = Classifier(artifact, FixedOutput((1, 4, 4, 1), params, raw))
    logits = classifier.logits(np.zeros((2, 4, 4), np.uint8))
    np.testing.assert_allclose(logits, np.log([[0.75, 0.25, smallest]] * 2), rtol=1e-6)
    np.testing.assert_allclose(artifact.probabilities(logits)[0], [0.75, 0.25, 0.0], atol=0.002)


def test_color_model_gets_its_channels_and_range():
    spec = InputSpec(2, 2, channels="rgb", mean=(127.5,), std=(127.5,))
    runtime = FixedOutput((1, 2, 2, 3), QuantParams(0.0, 0, "float32"), np.zeros(2, np.float32))
    classifier = Classifier(Artifact.bare(b"", ("a", "b"), spec), runtime)
    image = np.zeros((5, 5, 3), np.uint8)
    image[..., 0] = 255  # blue
    classifier.predict(image)
    assert runtime.inputs[0].tolist() == [[[[-1, -1, 1]] * 2] * 2]


def test_model_with_other_channels_than_its_contract_is_refused():
    runtime = FixedOutput((1, 4, 4, 3), QuantParams(0.0, 0, "float32"), np.zeros(2, np.float32))
    with pytest.raises(IncompatibleError, match=r"shape \(1, 4, 4, 3\)"):
        Classifier(Artifact.bare(b"", ("a", "b"), InputSpec(4, 4)), runtime)
