import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from edgefer.benchmark.isolation import measure_in_subprocess
from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.dataset import synthetic_dataset
from edgefer.data.synthetic import golden_faces
from edgefer.errors import DataError, EdgeferError, IncompatibleError, UsageError
from edgefer.inference.classifier import Classifier
from edgefer.inference.golden import record_golden_vectors
from edgefer.inference.runtime import select_runtime
from edgefer.results.measurement import BenchRequest
from edgefer.results.paired_comparison import LabelChange
from edgefer.statistics import softmax
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.float_network import FloatNetwork
from edgefer.workstation.quantization.options import DEFAULTS
from edgefer.workstation.quantization.schemes import int8
from edgefer.workstation.quantization.temperature_scaling import fit_temperature, measure_confidence
from edgefer.workstation.training.run import find_run, new_run
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantization_files import write_label_changes
from edgefer.workstation.workflows.quantization_record import Thresholds, make_record
from edgefer.workstation.workflows.quantize import quantize

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.fixture(scope="module")
def by_scheme(finished_run, faces):
    context = QuantizationContext(finished_run, faces, draw_faces(faces.split("Training"), size=140))
    return {scheme: quantize(context, scheme) for scheme in ("float32", "int8")}


def test_float32_equals_the_float_network(by_scheme):
    quantized = by_scheme["float32"]
    assert quantized.comparison.agreement == 1.0
    assert quantized.comparison.difference_points == 0.0
    assert quantized.label_changes == ()
    assert quantized.evaluation.cross_entropy == pytest.approx(quantized.float_evaluation.cross_entropy, rel=1e-5)


def test_int8_is_smaller_and_close(by_scheme):
    quantized = by_scheme["int8"]
    assert len(quantized.artifact.model) < 0.4 * len(by_scheme["float32"].artifact.model)
    assert quantized.comparison.agreement > 0.8


def test_the_int8_model_is_int8_from_input_to_logits(by_scheme):
    runtime = Classifier.from_artifact(by_scheme["int8"].artifact).runtime
    assert runtime.input.params.dtype == runtime.output.params.dtype == "int8"
    assert runtime.input.params.zero_point == -128
    assert runtime.input.params.scale == pytest.approx(1 / 255, rel=1e-6)
    assert runtime.input.shape == (1, 48, 48, 1)


def test_operator_that_the_reference_kernels_lack_is_recorded_with_builtin_kernels():
    content = (FIXTURES / "elu-int8.tflite").read_bytes()
    faces = golden_faces(8)
    artifact = record_golden_vectors(Artifact.bare(content, LABELS, InputSpec(), scheme="int8"), faces)
    with pytest.raises(IncompatibleError, match="ELU"):
        Classifier.from_artifact(artifact, kernels="reference")
    assert Artifact.from_bytes(artifact.to_bytes()).golden.tolerance >= 1
    assert Classifier.from_artifact(artifact).replay() <= artifact.golden.tolerance


def test_the_contract_contains_the_provenance_of_the_model(by_scheme, finished_run, faces):
    provenance = by_scheme["int8"].artifact.provenance
    assert provenance["system"] == finished_run.settings().system
    assert provenance["data"]["sha256"] == faces.sha256
    assert provenance["calibration"] == {"faces": 140, "seed": 0}
    assert provenance["scores"]["accuracy"] == by_scheme["int8"].evaluation.accuracy.share


def test_the_contract_has_the_temperature_that_fits_its_logits(by_scheme, faces):
    images = faces.split("PublicTest")
    for quantized in by_scheme.values():
        classifier = Classifier.from_artifact(quantized.artifact)
        logits = classifier.logits(images.pixels)
        assert quantized.artifact.temperature == fit_temperature(logits, images.labels) != 1
        assert quantized.temperature_fit == measure_confidence(logits, images.labels)
        scores = quantized.artifact.provenance["scores"]
        assert scores["ece"] == quantized.temperature_fit.ece == quantized.comparison.quantized_ece
        expected = softmax(logits.astype(np.float64) / quantized.artifact.temperature)
        for flip in quantized.label_changes:
            assert flip.quantized_probability == pytest.approx(expected[flip.index].max())


def test_quantizing_twice_gives_the_same_bytes(by_scheme, finished_run, faces):
    drawn = draw_faces(faces.split("Training"), size=140)
    again = quantize(QuantizationContext(finished_run, faces, drawn), "int8")
    assert again.artifact.to_bytes() == by_scheme["int8"].artifact.to_bytes()


def test_golden_vectors_hold_on_the_reference_kernels(by_scheme, tmp_path):
    for scheme, quantized in by_scheme.items():
        path = tmp_path / f"{scheme}.tflite"
        quantized.artifact.save(path)
        assert len(Artifact.load(path).golden.inputs) == 9
        assert Classifier.open(path, kernels="reference", check=False).replay() <= quantized.artifact.golden.tolerance


def test_the_verdict_fits_the_two_evaluations(by_scheme):
    quantized = by_scheme["int8"]
    verdict = quantized.comparison
    assert verdict.float_correct == quantized.float_evaluation.accuracy.correct
    assert verdict.quantized_correct == quantized.evaluation.accuracy.correct
    assert len(quantized.label_changes) == round((1 - verdict.agreement) * verdict.n)


@pytest.fixture
def written(by_scheme, tmp_path):
    """Return the path of a saved artifact, and its measurement."""
    path = tmp_path / "model.tflite"
    by_scheme["int8"].artifact.save(path)
    request = BenchRequest(model=str(path), minimum_runs=20, minimum_seconds=0.0, warmup_seconds=0.0)
    return path, measure_in_subprocess(request)


def test_the_record_has_both_scores_and_is_json(by_scheme, written):
    path, measurement = written
    record = make_record(by_scheme["int8"], path, measurement)
    assert record.missed_thresholds == ()
    assert record.file_bytes == path.stat().st_size
    assert record.evaluation.accuracy.n == 140
    assert json.loads(json.dumps(record.to_json(), allow_nan=False))["verdict"]["n"] == 140
    assert record.temperature == by_scheme["int8"].artifact.temperature


def test_each_missed_threshold_is_named(by_scheme, written):
    path, measurement = written
    thresholds = Thresholds(max_drop_points=-100.0, min_accuracy_percent=100.0, max_bytes=1)
    missed = make_record(by_scheme["int8"], path, measurement, thresholds=thresholds).missed_thresholds
    assert [clause.rpartition(" (")[2] for clause in missed] == [
        "at most -100 allowed)", "at least 100 % required)", "at most 1 allowed)",
    ]  # fmt: skip


def test_a_threshold_is_met_at_its_exact_value(by_scheme, written):
    path, measurement = written
    quantized = by_scheme["int8"]
    thresholds = Thresholds(
        max_drop_points=-quantized.comparison.difference_points,
        min_accuracy_percent=100 * quantized.evaluation.accuracy.share,
        max_bytes=path.stat().st_size,
    )
    assert make_record(quantized, path, measurement, thresholds=thresholds).missed_thresholds == ()


def test_changed_labels_are_listed_by_row_with_both_labels(by_scheme, written, faces):
    quantized = by_scheme["int8"]
    path, _ = written
    write_label_changes(quantized, path)
    table, picture = (path.with_suffix(f".flips.{kind}") for kind in ("csv", "png"))
    rows = list(csv.DictReader(table.read_text().splitlines()))
    assert len(rows) == len(quantized.label_changes)
    for row, flip in zip(rows, quantized.label_changes):
        assert faces.split("PublicTest").labels[int(row["row"])] == LABELS.index(row["label"])
        assert row["float_label"] != row["label_now"]
        assert float(row["probability_now"]) == pytest.approx(flip.quantized_probability, abs=1e-4)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_changed_labels_may_contain_commas_and_quotation_marks(by_scheme, tmp_path):
    quantized = by_scheme["int8"]
    names = tuple(f'{label}, "{label}"' for label in LABELS)
    change = LabelChange(0, label=1, float_label=2, quantized_label=3, float_probability=0.5, quantized_probability=0.6)
    renamed = dataclasses.replace(
        quantized, artifact=dataclasses.replace(quantized.artifact, labels=names), label_changes=(change,)
    )
    write_label_changes(renamed, tmp_path / "a.tflite")
    (row,) = csv.DictReader((tmp_path / "a.flips.csv").read_text().splitlines())
    assert (row["label"], row["float_label"], row["label_now"]) == names[1:4]


def test_other_data_than_the_run_was_trained_on_is_refused(finished_run):
    with pytest.raises(DataError, match="trained on other data"):
        QuantizationContext(finished_run, synthetic_dataset(training=210, held_out=70, seed=9))


def test_a_run_without_weights_is_refused(finished_run, faces, tmp_path):
    run = new_run(tmp_path, finished_run.settings())
    run.save_json("environment.json", finished_run.environment())
    with pytest.raises(DataError, match="no checkpoint in") as caught:
        quantize(QuantizationContext(run, faces), "int8")
    assert "--resume" in caught.value.hint


def test_a_misspelled_scheme_is_refused(finished_run, faces):
    with pytest.raises(UsageError, match="itn8"):
        quantize(QuantizationContext(finished_run, faces), "itn8")


def test_a_missing_run_has_the_command_that_trains_one(tmp_path):
    with pytest.raises(DataError) as caught:
        find_run(None, root=tmp_path)
    assert caught.value.hint == "edgefer train"


def test_calibration_is_balanced_and_repeatable(faces):
    training = faces.split("Training")
    drawn = draw_faces(training, size=70, seed=1).faces
    index = {face.tobytes(): label for face, label in zip(training.pixels, training.labels)}
    assert np.bincount([index[face.tobytes()] for face in drawn]).tolist() == [10] * 7
    assert np.array_equal(drawn, draw_faces(training, size=70, seed=1).faces)
    assert not np.array_equal(drawn, draw_faces(training, size=70, seed=2).faces)


def test_calibration_uses_all_of_a_rare_class_and_fills_up_with_others(faces):
    training = faces.split("Training")
    rare = np.flatnonzero(training.labels == 1)[:2]
    kept = np.sort(np.concatenate([np.flatnonzero(training.labels != 1), rare]))
    few = dataclasses.replace(
        training, pixels=training.pixels[kept], labels=training.labels[kept], rows=training.rows[kept]
    )
    drawn = {face.tobytes() for face in draw_faces(few, size=100).faces}
    assert len(drawn) == 100
    assert all(training.pixels[row].tobytes() in drawn for row in rare)


def test_more_calibration_faces_than_there_are_is_refused(faces):
    with pytest.raises(DataError, match="Training has 420 images"):
        draw_faces(faces.split("Training"), size=421)


@pytest.mark.parametrize("size", [0, -1])
def test_no_calibration_face_at_all_is_refused(faces, size):
    with pytest.raises(UsageError, match="at least 1"):
        draw_faces(faces.split("Training"), size=size)


def test_damaged_weights_are_named(finished_run, faces, tmp_path):
    run = new_run(tmp_path, finished_run.settings())
    run.save_json("environment.json", finished_run.environment())
    for content in (b"junk", finished_run.best_weights.read_bytes()[:5000]):
        run.best_weights.write_bytes(content)
        with pytest.raises(DataError, match=r"cannot load .*best\.weights\.h5"):
            quantize(QuantizationContext(run, faces), "float32")


def test_weights_of_another_network_are_named(finished_run, faces, tmp_path):
    run = new_run(tmp_path, dataclasses.replace(finished_run.settings(), model={"stem": 8, "width": 8, "depth": 1}))
    run.save_json("environment.json", finished_run.environment())
    run.best_weights.write_bytes(finished_run.best_weights.read_bytes())
    with pytest.raises(DataError, match=r"cannot load .*best\.weights\.h5"):
        quantize(QuantizationContext(run, faces), "float32")


def test_an_operator_that_the_converter_rejects_is_an_edgefer_error():
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras()
    inputs = keras.Input((48, 48, 1))
    unknown = keras.Model(inputs, keras.ops.erfinv(keras.layers.Flatten()(inputs)))
    with pytest.raises(EdgeferError, match="cannot be converted: ."):
        convert(unknown)


def test_the_input_range_is_0_to_1_even_with_dark_calibration_faces(finished_run):
    from edgefer.workstation.networks.backend import load_keras
    from edgefer.workstation.training.keras_inference import load_network

    dim = np.full((8, 48, 48), 90, np.uint8)
    flatbuffer = int8.convert(FloatNetwork(load_network(load_keras(), finished_run), dim), DEFAULTS)
    params = select_runtime().open_model(flatbuffer).input.params
    assert (params.scale, params.zero_point) == (pytest.approx(1 / 255, rel=1e-6), -128)


def test_a_small_training_split_calibrates_with_all_its_images(faces):
    assert len(draw_faces(faces.split("Training")).faces) == 420
