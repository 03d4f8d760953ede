"""A model of another program gets a contract, and the commands take it without one."""

import json
import re

import cv2
import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibrator import Calibrator
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.options import QuantizationOptions

NAMES = ",".join(LABELS)
RANGE = InputSpec(mean=(127.5,), std=(127.5,))


TEMPLATES = np.linspace(60, 200, 7)[:, None, None] + np.random.default_rng(0).uniform(-40, 40, (7, 48, 48))


@pytest.fixture(scope="session")
def patterns(tmp_path_factory):
    """Return an .npz of noisy templates, one per class, that the foreign model classifies."""
    generator = np.random.default_rng(1)
    emotion = np.arange(420) % 7
    pixels = np.clip(TEMPLATES[emotion] + generator.normal(0, 30, (420, 48, 48)), 0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("patterns") / "patterns.npz"
    np.savez(path, pixels=pixels, emotion=emotion, usage=np.repeat(["Training", "PublicTest"], [280, 140]))
    return path


@pytest.fixture(scope="session")
def network():
    """Return a Keras model that compares its input, in -1..1, with the templates."""
    keras = load_keras(backend="tensorflow")
    model = keras.Sequential([keras.Input((48, 48, 1)), keras.layers.Flatten(), keras.layers.Dense(7, name="logits")])
    weights = (TEMPLATES.reshape(7, -1) / 127.5 - 1).astype(np.float32)
    model.layers[-1].set_weights([weights.T, -0.5 * (weights**2).sum(axis=1)])
    return model


@pytest.fixture(scope="session")
def foreign(network, tmp_path_factory):
    """Return the model as a .tflite without a contract."""
    path = tmp_path_factory.mktemp("foreign") / "emotions.tflite"
    path.write_bytes(convert(network))
    return path


def test_input_and_labels_are_found_on_the_data(edgefer, foreign, patterns, tmp_path):
    result = edgefer("import", foreign, "--data", patterns)
    assert result.code == 0, result.err
    assert re.search(r"gray 48x48, -1\.\.1 +\d+\.\d\d % +taken", result.out)
    artifact = Artifact.load(tmp_path / "emotions-edgefer.tflite")
    assert artifact.model == foreign.read_bytes()
    assert (artifact.labels, artifact.input_spec) == (LABELS, RANGE)
    assert artifact.output == "logits"
    assert artifact.provenance["imported"]["labels_from"] == "the data"


def test_record_lists_every_input_that_was_tried(edgefer, foreign, patterns):
    record = edgefer("import", foreign, "--data", patterns, "--json").record
    assert record["kind"] == "import"
    assert record["input"] == json.loads(json.dumps(RANGE.to_json()))
    assert record["faces"] == 280
    accuracies = [trial["accuracy"] for trial in record["tried"]]
    assert len(accuracies) == 4
    assert accuracies == sorted(accuracies, reverse=True)


def test_the_notes_of_a_data_set_that_is_read_twice_are_printed_once(edgefer, foreign, network, patterns, tmp_path):
    network.save(tmp_path / "net.keras")
    for arguments in (("verify", foreign), ("quantize", "net.keras", "--dynamic")):
        result = edgefer(*arguments, "--data", patterns)
        assert result.code == 0, result.err
        assert result.err.count("There are no test images") == 1


def test_given_labels_and_input_need_no_data(edgefer, foreign, tmp_path):
    result = edgefer("import", foreign, "--labels", NAMES, "--input", "gray,-1..1", "--output", "mine.tflite")
    assert result.code == 0, result.err
    artifact = Artifact.load(tmp_path / "mine.tflite")
    assert artifact.input_spec == RANGE
    assert artifact.labels == LABELS
    assert "--labels" in result.out


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_labels_beside_the_model_are_read(edgefer, foreign, tmp_path, encoding):
    model = tmp_path / "net.tflite"
    model.write_bytes(foreign.read_bytes())
    (tmp_path / "labels.txt").write_text("\n".join(reversed(LABELS)), encoding=encoding)
    assert edgefer("import", model, "--input", "0..1").code == 0
    assert Artifact.load(tmp_path / "net-edgefer.tflite").labels == tuple(reversed(LABELS))


def test_labels_file_of_another_length_is_not_about_these_outputs(edgefer, foreign, tmp_path):
    model = tmp_path / "net.tflite"
    model.write_bytes(foreign.read_bytes())
    (tmp_path / "labels.txt").write_text("cat\ndog\n")
    result = edgefer("import", model, "--input", "0..1")
    assert result.code == 2
    assert "--labels missing" in result.err


def test_import_without_data_labels_and_input_tells_the_ways_out(edgefer, foreign, tmp_path):
    result = edgefer("import", foreign)
    assert result.code == 2
    assert "--labels and --input missing" in result.err
    assert "edgefer import emotions.tflite --data PATH" in result.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("labels", "reason"),
    [("happy,sad", "2 labels"), (f"{NAMES},happy", "7 of them different"), ("happy,,sad", "not empty"),
     ("lables.txt", "it is no file")],
)
def test_labels_that_do_not_fit_are_refused(edgefer, foreign, labels, reason):
    result = edgefer("import", foreign, "--labels", labels, "--input", "0..1")
    assert result.code != 0
    assert reason in result.err


def test_a_labels_file_that_is_not_text_is_named(edgefer, foreign, tmp_path):
    (tmp_path / "labels.bin").write_bytes(bytes(range(256)))
    result = edgefer("import", foreign, "--labels", tmp_path / "labels.bin", "--input", "0..1")
    assert result.code == 2
    assert "labels.bin: the file is not text in UTF-8" in result.err


def test_faces_that_the_model_cannot_tell_apart_need_the_input(edgefer, foreign, tmp_path):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (280, 48, 48), dtype=np.uint8)
    np.savez(tmp_path / "noise.npz", pixels=pixels, emotion=np.arange(280) % 7, usage=np.repeat("Training", 280))
    result = edgefer("import", foreign, "--data", "noise.npz")
    assert result.code == 2
    assert "hardly more than chance" in result.err
    assert not (tmp_path / "emotions-edgefer.tflite").exists()
    # With the input alone, the order of the labels would be a guess.
    result = edgefer("import", foreign, "--data", "noise.npz", "--input", "gray,-1..1")
    assert (result.code, "the labels of emotions.tflite cannot be found" in result.err) == (2, True)
    assert "--labels" in result.err
    assert not (tmp_path / "emotions-edgefer.tflite").exists()
    result = edgefer("import", foreign, "--data", "noise.npz", "--input", "gray,-1..1", "--labels", NAMES)
    assert result.code == 0


def test_file_of_no_known_format_is_refused(edgefer, tmp_path):
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04pytorch")
    result = edgefer("import", "model.pt")
    assert result.code == 2
    assert "cannot import model.pt" in result.err
    assert "a Keras model (.keras or .h5)" in result.err


@pytest.mark.parametrize("io", ["int8", "uint8"])
def test_input_of_a_quantized_model_is_found(edgefer, foreign, patterns, tmp_path, io):
    with np.load(patterns) as arrays:
        calibrator = Calibrator(foreign.read_bytes(), arrays["pixels"][:50], RANGE)
    (tmp_path / "net.tflite").write_bytes(calibrator.quantize(QuantizationOptions(io=io)))
    result = edgefer("import", "net.tflite", "--data", patterns)
    assert result.code == 0, result.err
    artifact = Artifact.load(tmp_path / "net-edgefer.tflite")
    assert (artifact.labels, artifact.input_spec, artifact.output) == (LABELS, RANGE, "logits")
    assert artifact.golden.outputs.dtype == io


@pytest.fixture(scope="session")
def several(tmp_path_factory):
    """Return a .tflite with an image and five numbers as inputs, and one number and four scores as outputs."""
    keras = load_keras(backend="tensorflow")
    import tensorflow as tf

    face, numbers = keras.Input((24, 24, 1), batch_size=1), keras.Input((5,), batch_size=1)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(8, 3)(face))
    x = keras.layers.Concatenate()([x, numbers])
    model = keras.Model([numbers, face], [keras.layers.Dense(1)(x), keras.layers.Dense(4)(x)])
    path = tmp_path_factory.mktemp("several") / "several.tflite"
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


def test_several_inputs_and_outputs_are_measured_inspected_and_compared(edgefer, several):
    benched = edgefer("bench", several, "--runs", "2", "--seconds", "0")
    assert benched.code == 0, benched.err
    assert "inputs other than the image are zero" in benched.err
    inspected = edgefer("inspect", several)
    assert inspected.code == 0, inspected.err
    assert inspected.out.count("\ninput ") == inspected.out.count("\noutput ") == 2
    compared = edgefer("verify", several, "--threads", "1")
    assert compared.code == 0, compared.err
    assert "Lowest top-1 agreement between any two rows: 100.00 %" in compared.out


@pytest.mark.parametrize("command", [["import"], ["evaluate"], ["predict", "face.png", "--model"]])
def test_several_inputs_are_refused_where_the_outputs_count(edgefer, several, patterns, tmp_path, command):
    cv2.imwrite(str(tmp_path / "face.png"), np.full((48, 48), 90, np.uint8))
    data = [] if command[0] == "predict" else ["--data", patterns]
    result = edgefer(*command, several, "--labels", "a,b,c,d", "--input", "gray,0..1", *data)
    assert result.code == 5, result.err
    assert "several inputs or outputs" in result.err
    assert "edgefer bench" in result.err


def test_logits_in_0_to_1_before_a_softmax_are_no_probabilities(edgefer, network, tmp_path):
    import keras

    scores = keras.layers.Activation("sigmoid")(network.outputs[0])
    keras.Model(network.inputs[0], keras.layers.Softmax()(scores)).save(tmp_path / "net.keras")
    result = edgefer("import", "net.keras", "--labels", NAMES, "--input", "gray,-1..1", "--json")
    assert result.code == 0, result.err
    assert result.record["output"] == "logits"


def test_folder_with_a_run_is_refused_before_the_network_is_read(edgefer, workplace, tmp_path):
    (tmp_path / "my_model.keras").touch()
    result = edgefer("import", "my_model.keras", "--run", workplace.run)
    assert result.code == 1
    assert "already contains a run" in result.err
    assert "importing" not in result.err


def test_tflite_becomes_no_run(edgefer, foreign):
    result = edgefer("import", foreign, "--labels", NAMES, "--input", "0..1", "--run", "runs/mine")
    assert result.code == 2
    assert "--run with a .tflite" in result.err


def test_evaluate_takes_a_model_without_a_contract(edgefer, foreign, patterns):
    result = edgefer("evaluate", foreign, "--data", patterns, "--json")
    assert result.code == 0, result.err
    assert result.record["accuracy"]["share"] == 1
    assert "input: gray 48x48, -1..1" in result.err


def test_evaluate_with_a_wrong_input_is_less_accurate(edgefer, foreign, patterns):
    result = edgefer("evaluate", foreign, "--data", patterns, "--input", "0..1", "--labels", NAMES, "--json")
    assert result.code == 0, result.err
    assert result.record["accuracy"]["share"] < 0.5


def test_bench_of_a_model_without_a_contract_reports_that_its_outputs_are_not_checked(edgefer, foreign):
    result = edgefer("bench", foreign, "--runs", 3, "--seconds", 0)
    assert result.code == 0, result.err
    assert "its outputs are not checked" in result.err
    assert "emotions.tflite" in result.out


def test_bench_scores_a_model_without_a_contract_on_data(edgefer, foreign, patterns):
    result = edgefer("bench", foreign, "--runs", 3, "--seconds", 0, "--accuracy", "full", "--data", patterns, "--json")
    assert result.code == 0, result.err
    assert "labels: angry" in result.err


def test_verify_compares_the_kernels_of_a_model_without_a_contract(edgefer, foreign):
    result = edgefer("verify", foreign, "--runtime", "litert", "--json")
    assert result.code == 0, result.err
    assert all(row["golden_ok"] for row in result.record["rows"])


def test_predict_needs_labels_and_input(edgefer, foreign, tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), np.full((48, 48), 100, np.uint8))
    asked = edgefer("predict", "face.png", "--no-detect", "--model", foreign)
    assert asked.code == 2
    assert "edgefer import" in asked.err
    told = edgefer(
        "predict", "face.png", "--no-detect", "--model", foreign, "--labels", NAMES, "--input", "0..1", "--json"
    )
    assert told.code == 0, told.err
    assert told.record["predictions"][0]["faces"][0]["label"] in LABELS
    assert told.record["model"] == str(foreign)


def test_the_record_of_live_names_the_model_and_not_its_temporary_copy(edgefer, foreign, film, tmp_path):
    video = film(tmp_path / "film.avi", [np.full((48, 64, 3), 100, np.uint8)] * 3)
    known = ("--labels", NAMES, "--input", "0..1", "--every-frame", "--no-window", "--json")
    played = edgefer("live", "--video", video, "--model", foreign, *known)
    assert played.code == 0, played.err
    assert played.record["model"] == str(foreign)


def test_labels_of_a_model_with_a_contract_are_not_replaced_silently(edgefer, workplace):
    result = edgefer("bench", workplace.int8, "--labels", "a,b,c,d,e,f,g")
    assert result.code == 2
    assert "its contract defines labels and input" in result.err


@pytest.mark.slow
def test_quantize_prints_the_inputs_that_it_tried_and_the_new_run(edgefer, network, patterns, tmp_path):
    network.save(tmp_path / "net.keras")
    result = edgefer("quantize", "net.keras", "--int8", "--data", patterns)
    assert result.code == 0, result.err
    lines = result.err.splitlines()
    assert "output: logits" in lines
    (taken,) = (line for line in lines if line.endswith("taken"))
    assert taken.split() == ["gray", "48x48,", "-1..1", "100.00", "%", "taken"]
    assert any(re.fullmatch(r"run: runs/\S+-net \(new\); imported from net\.keras", line) for line in lines)


def test_names_with_line_breaks_stay_in_their_line(edgefer, foreign, tmp_path):
    (tmp_path / "a\nwrote b.tflite").write_bytes(foreign.read_bytes())
    result = edgefer("import", "a\nwrote b.tflite", "--labels", NAMES, "--input", "0..1")
    assert result.code == 0, result.err
    written = [line for line in result.out.splitlines() if line.startswith("wrote")]
    assert written == ["wrote a\\nwrote b-edgefer.tflite"]


def test_quantize_refuses_labels_for_a_run(edgefer, workplace):
    result = edgefer("quantize", "--int8", workplace.run, "--labels", NAMES)
    assert result.code == 2
    assert "the run defines labels and input" in result.err


def test_imported_model_can_be_inspected(edgefer, foreign):
    edgefer("import", foreign, "--labels", NAMES, "--input", "gray,-1..1")
    result = edgefer("inspect", "emotions-edgefer.tflite")
    assert result.code == 0
    assert "contract: imported, gray 48x48, -1..1" in result.out


@pytest.mark.slow
def test_run_reopens_the_data_with_the_options_of_the_import(edgefer, network, tmp_path):
    generator = np.random.default_rng(3)
    for label, template in zip(LABELS, TEMPLATES):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for number in range(40):
            face = np.clip(template + generator.normal(0, 30, template.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "mine" / label / f"{number}.png"), face)
    network.save(tmp_path / "my_model.keras")
    imported = edgefer("import", "my_model.keras", "--data", "mine", "--split", "60/20/20", "--run", "runs/mine")
    assert imported.code == 0, imported.err
    environment = json.loads((tmp_path / "runs/mine/environment.json").read_text())
    assert environment["data"]["opened_with"] == {
        "data": str(tmp_path / "mine"), "ferplus": None, "skip_bad_rows": False, "split": "60/20/20",
    }  # fmt: skip
    assert environment["packages"]["keras"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    result = edgefer("evaluate", tmp_path / "runs/mine", "--json", cwd=elsewhere)
    assert result.code == 0, result.err
    assert (result.record["n"], result.record["accuracy"]["share"]) == (56, 1)


@pytest.mark.slow
def test_run_that_was_imported_without_data_is_not_quantized_with_synthetic_faces(edgefer, network, tmp_path):
    network.save(tmp_path / "my_model.keras")
    imported = edgefer("import", "my_model.keras", "--labels", NAMES, "--input", "gray,-1..1", "--run", "runs/mine")
    assert imported.code == 0, imported.err
    result = edgefer("quantize", "--int8", "runs/mine")
    assert result.code == 2
    assert "no data set for runs/mine" in result.err
    assert "--data PATH" in result.err
