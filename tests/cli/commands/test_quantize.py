import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import zipfile

import cv2
import numpy as np
import pytest

from edgefer import plugins
from edgefer.contract.artifact import Artifact
from edgefer.inference.classifier import Classifier
from edgefer.workstation.training.run import find_run


@pytest.fixture
def elu_run(edgefer, data, tmp_path):
    """Train a network that quantization-aware training does not support."""
    source = (
        "def build(keras, *, input_shape, classes):\n"
        "    face = keras.Input(input_shape)\n"
        "    x = keras.layers.Conv2D(4, 3, strides=4, activation='elu', name='bent')(face)\n"
        "    x = keras.layers.GlobalAveragePooling2D()(x)\n"
        "    return keras.Model(face, keras.layers.Dense(classes, name='logits')(x))\n"
    )
    (tmp_path / "net.py").write_text(source)
    settings = ("--epochs", 1, "--set", "batch_size=32", "--set", "warmup_epochs=0")
    trained = edgefer("train", "--architecture", "net.py:build", *settings, "--data", data)
    assert trained.code == 0, trained.err
    return tmp_path / "runs" / "latest"


def test_the_artifact_is_in_the_newest_run_with_its_contract(workplace):
    record = workplace.quantized.record
    assert (record["kind"], record["schema_version"], record["scheme"]) == ("quantization", 1, "int8")
    artifact = Artifact.load(workplace.int8)
    assert artifact.sha256 == record["sha256"]
    assert artifact.provenance["calibration"] == {"faces": 50, "seed": 0}
    assert record["file_bytes"] == workplace.int8.stat().st_size > record["model_bytes"]
    with zipfile.ZipFile(workplace.int8) as archive:
        assert set(archive.namelist()) == {"labels.txt", "edgefer.json", "golden.npz"}


def test_the_float_network_is_scored_on_the_same_images(workplace):
    record = workplace.quantized.record
    assert record["parent"]["accuracy"] == workplace.trained.record["evaluation"]["accuracy"]
    assert record["parent"]["split"] == record["evaluation"]["split"] == "PublicTest"
    lost = record["parent"]["accuracy"]["correct"] - record["evaluation"]["accuracy"]["correct"]
    assert record["verdict"]["difference_points"] == pytest.approx(-100 * lost / 70)


def test_progress_and_defaults_are_on_stderr(workplace):
    assert "(the newest); trained for 1 epoch\n" in workplace.quantized.err
    assert "scheme: int8, " in workplace.quantized.err
    assert f"data: {workplace.data}" in workplace.quantized.err


def test_the_same_settings_give_the_same_bytes(edgefer, workplace, scratch):
    made = scratch / workplace.int8.name
    made.unlink()
    outcome = edgefer("quantize", scratch, "--scheme", "int8", "--calibration-size", 50)
    assert outcome.code == 0, outcome.err
    assert made.read_bytes() == workplace.int8.read_bytes()
    assert "next: edgefer bench --device" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ([], 2, "edgefer quantize --int8"),
        (["--int8", "--float32"], 2, "2 schemes selected"),
        (["--int8", "--scheme", "float32"], 2, "2 schemes selected"),
        (["--int8", "--trust"], 2, "--trust with a run"),
        (["--scheme", "itn8"], 2, "'int8'"),
        (["--int8", "--calibration-size", "281"], 1, "--calibration-size 280"),
        (["--int8", "--data", "nowhere.csv"], 1, "nowhere.csv"),
        (["--int8", "--qat-epochs", "2"], 2, "--qat-epochs with int8"),
        (["--float32", "--qat-learning-rate", "1e-4"], 2, "--qat-learning-rate with float32"),
        (["--int8", "--distill-weight", "0"], 2, "--distill-weight with int8"),
        (["--int8-qat", "--distill-weight", "1.5"], 2, "'--distill-weight'"),
        (["--int8-qat", "--qat-epochs", "0"], 2, "'--qat-epochs'"),
        (["--int8-qat", "--qat-learning-rate", "0"], 2, "--qat-learning-rate 1e-4"),
        (["--int8-qat", "--calibration-trials", "3"], 2, "--calibration-trials with int8_qat"),
        (["--float32", "--calibration-trials", "3"], 2, "--calibration-trials with float32"),
        (["--dynamic", "--seed", "0", "--data", "nowhere.csv"], 1, "dynamic does not use calibration; ignored: --seed"),
        (["--float32", "--io", "uint8"], 2, "float32 does not support --io uint8"),
        (["--int16x8", "--keep-float", "stem"], 2, "int16x8 does not support --keep-float stem"),
        (["--dynamic", "--no-bias-correction"], 2, "dynamic does not support --no-bias-correction"),
        (["--float16", "--rounding", "nearest"], 2, "float16 does not support --rounding nearest"),
        (["--int8-qat", "--per-tensor"], 2, "int8_qat does not support --per-tensor"),
        (["--all", "--calibration-method", "min-max"], 2, "dynamic does not support --calibration-method min-max"),
        (["--int8", "--io", "int16"], 2, "int8, uint8, float32"),
        (["--int8", "--calibration-method", "max"], 2, "percentile, min-max, moving-average"),
        (["--int8", "--rounding", "up"], 2, "'gptq', 'nearest'"),
        (["--int8", "--keep-float", "("], 2, "'(' is not a regular expression"),
        (["--int8", "--keep-float", "nothing", "--calibration-size", "20"], 2, "expected one of stem_conv, stem_pool"),
        (["--int8", "--target", "tensorrt"], 2, "litert, tflite-runtime, edgetpu, tflm"),
        (["--float32", "--debug-layers"], 2, "--int8 --debug-layers"),
        (["--int8", "--auto"], 2, "2 schemes selected"),
        (["--all", "--auto"], 2, "2 schemes selected"),
        (["--auto", "--calibration-method", "min-max"], 2, "--calibration-method with --auto"),
    ],
)
def test_invalid_options_get_a_hint(refused, workplace, arguments, code, named):
    assert named in refused("quantize", workplace.run, *arguments, code=code)


def test_the_run_is_checked_before_the_data_set_is_read(refused, scratch, tmp_path):
    options = ("--int8", "--data", "nowhere.csv")
    assert "no calibration set" in refused("quantize", scratch, *options, "--calibration", "nowhere", code=1)
    (tmp_path / "other.csv").write_text("a,b\n")
    error = refused("quantize", scratch, *options, "--calibration", tmp_path / "other.csv", code=1)
    assert "is not a calibration set" in error
    (scratch / "best.weights.h5").write_bytes(b"damaged")
    assert "best.weights.h5" in refused("quantize", scratch, *options, code=1)


def test_an_unwritable_run_folder_is_reported_before_the_data_set_is_read(refused, scratch):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The limit has the effect of a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        error = refused("quantize", scratch, "--int8", "--data", "nowhere.csv", code=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write the run folder" in error
    assert "File too large" in error


def test_only_the_training_data_of_the_run_are_accepted(refused, workplace, tmp_path):
    arrays = dict(np.load(workplace.data))
    arrays["pixels"][0, 0, 0] ^= 1
    np.savez(tmp_path / "other.npz", **arrays)
    error = refused("quantize", workplace.run, "--int8", "--data", "other.npz", code=1)
    assert f"--data {workplace.data.resolve()}" in error


def test_a_tflite_is_not_quantized_again(refused, workplace):
    error = refused("quantize", "--int8", workplace.int8, code=1)
    assert "a .tflite is converted already; expected a run, a Keras model" in error
    assert "quantize the run or the model that it was converted from" in error


def test_without_a_run_the_hint_is_to_train(refused, tmp_path):
    assert "edgefer train" in refused("quantize", "--int8", code=1)
    assert "edgefer train" in refused("quantize", "--int8", tmp_path, code=1)


def test_a_run_without_weights_has_to_be_resumed(refused, scratch):
    find_run(scratch).best_weights.unlink()
    assert f"edgefer train --resume {scratch}" in refused("quantize", scratch, "--int8", code=1)


def test_an_unfinished_run_gets_a_notice(edgefer, workplace, scratch):
    (scratch / "metrics.json").unlink()
    shutil.rmtree(scratch / "runs", ignore_errors=True)
    outcome = edgefer("quantize", scratch, "--float32")
    assert outcome.code == 0
    assert "the best weights so far" in outcome.err


def test_data_options_apply_without_a_data_path(refused, workplace):
    error = refused("quantize", workplace.run, "--int8", "--ferplus", "nowhere.csv", code=1)
    assert "nowhere.csv" in error


@pytest.mark.slow
def test_conversion_uses_tensorflow_with_any_training_backend(workplace, scratch):
    made = scratch / workplace.float32.name
    made.unlink()
    command = [sys.executable, "-m", "edgefer", "quantize", str(scratch), "--float32"]
    done = subprocess.run(
        command, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
    assert made.read_bytes() == workplace.float32.read_bytes()


def test_a_missed_threshold_is_exit_code_3_and_keeps_the_file(edgefer, workplace, scratch):
    made = scratch / workplace.int8.name
    made.unlink()
    outcome = edgefer("quantize", scratch, "--int8", "--max-bytes", 1000, "--json")
    assert outcome.code == 3
    # The default number of faces is 500, and Training has 280.
    assert "calibration: 280 faces drawn from Training, seed 0" in outcome.err
    assert "calibration: 50 faces drawn from Training, seed 0" in workplace.quantized.err
    assert outcome.record["gates_broken"]
    assert "bytes (at most 1,000 allowed)" in outcome.err
    assert made.exists()


def test_all_quantizes_with_every_scheme_and_prints_one_table(edgefer, scratch, workplace):
    for made in scratch.glob("*.tflite"):
        made.unlink()
    assert edgefer("calibrate", "set.csv", "--data", workplace.data, "--size", 50).code == 0
    outcome = edgefer("quantize", scratch, "--all", "--calibration", "set.csv", "--qat-epochs", 1, "--json")
    assert outcome.code == 0, outcome.err
    records = {record["scheme"]: record for record in outcome.record["quantizations"]}
    calibrated = {scheme for scheme, record in records.items() if record["provenance"]["calibration"]}
    assert calibrated == {"int8", "int8_qat", "int16x8"}
    assert tuple(records) == plugins.names("edgefer.workstation.quantization.schemes")
    assert {path.stem.partition("-")[2] for path in scratch.glob("*.tflite")} == set(records)
    assert records["float32"]["verdict"]["agreement"] == 1.0
    assert "int8_qat trains for 1 epoch, which takes minutes on FER2013" in outcome.err
    assert {scheme for scheme in records if "qat" in records[scheme]["provenance"]} == {"int8_qat"}
    assert records["int8"]["file_bytes"] < records["float16"]["file_bytes"] < records["float32"]["file_bytes"]


def check_layers_without_gains(record):
    """Check the layers of a scheme that cannot keep layers in float."""
    assert {layer["float_gain_db"] for layer in record["layers"]} == {None}
    assert record["layers"][0]["weight_snr_db"] > 20


def test_int8_qat_trains_with_the_given_options_and_only_once(edgefer, scratch):
    options = ("--calibration-size", 50, "--qat-epochs", 2, "--qat-learning-rate", 1e-3, "--distill-weight", 0.5)
    first = edgefer("quantize", scratch, "--int8-qat", *options, "--debug-layers", "--json")
    assert first.code == 0, first.err
    check_layers_without_gains(first.record)
    qat = first.record["provenance"]["qat"]
    assert (qat["epochs"], qat["learning_rate"], qat["distill"]) == (2, 1e-3, 0.5)
    assert qat["best_epoch"] in (1, 2)
    assert [line for line in first.err.splitlines() if "quantizing: 2/2 validation" in line]
    made = find_run(scratch).artifact("int8_qat")
    before = made.read_bytes()
    second = edgefer("quantize", scratch, "--scheme", "int8_qat", *options)
    assert "2/2 validation" not in second.err
    assert made.read_bytes() == before


def test_all_with_a_scheme_is_an_error(refused, workplace):
    assert "2 schemes selected" in refused("quantize", workplace.run, "--all", "--int8", code=2)


def widest(text):
    """Return the width of the longest line, except lines with a path."""
    return max(len(line) for line in text.splitlines() if os.sep not in line)


@pytest.mark.parametrize("io", ["uint8", "float32"])
def test_io_sets_the_type_of_input_and_output(edgefer, scratch, workplace, data, io):
    made = scratch / workplace.int8.name
    before = Classifier.open(made)
    outcome = edgefer("quantize", scratch, "--int8", "--calibration-size", 50, "--io", io)
    assert outcome.code == 0, outcome.err
    assert widest(outcome.out) <= 80
    after = Classifier.open(made)
    assert (after.runtime.input.params.dtype, after.runtime.output.params.dtype) == (io, io)
    assert after.artifact.provenance["recipe"]["io"] == io
    faces = np.load(data)["pixels"][:40]
    assert np.allclose(after.logits(faces), before.logits(faces), atol=1e-5)


@pytest.mark.parametrize("scheme", ["dynamic", "float16"])
def test_a_model_that_does_not_fit_its_target_is_not_written(refused, scratch, scheme):
    made = find_run(scratch).artifact(scheme)
    made.write_bytes(b"earlier")
    before = sorted(os.listdir(scratch))
    error = refused("quantize", scratch, f"--{scheme}", "--target", "tflm", code=5)
    assert "does not run on tflm" in error
    assert "edgefer quantize --int8 --target tflm" in error
    assert made.read_bytes() == b"earlier"
    assert sorted(os.listdir(scratch)) == before


def test_each_model_gets_a_card(workplace):
    for model in (workplace.int8, workplace.float32):
        text = model.with_suffix(".card.md").read_text()
        record = json.loads((workplace.folder / f"{model.stem.partition('-')[2]}.json").read_text())
        assert record["sha256"] in text
        assert f"{100 * record['evaluation']['accuracy']['share']:.2f} %" in text
        assert "A perceived expression is not an emotion" in text
        assert f"edgefer quantize runs/{workplace.run.name} --scheme {record['scheme']}" in text


@pytest.mark.slow
def test_debug_layers_writes_a_table_and_a_plot_of_the_error_of_each_layer(edgefer, scratch, workplace, tmp_path):
    options = ("--calibration-size", 50, "--target", "litert", "--debug-layers")
    outcome = edgefer("quantize", scratch, "--int8", *options, "--out", "record.json")
    assert outcome.code == 0, outcome.err
    assert widest(outcome.out) <= 80
    assert "next: edgefer bench --device" in outcome.out.splitlines()[-1]
    with (scratch / f"{workplace.int8.stem}.layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["layer"], rows[-1]["layer"]) == ("stem_conv", "logits")
    assert all(20 < float(row["activation_snr_db"]) < 80 for row in rows)
    assert all(bool(row["float_gain_db"]) == bool(row["weight_snr_db"]) for row in rows)
    assert cv2.imread(str(scratch / f"{workplace.int8.stem}.layers.png")).shape[1] > 500
    record = json.loads((tmp_path / "record.json").read_text())
    assert [layer["layer"] for layer in record["layers"]] == [row["layer"] for row in rows]
    assert isinstance(record["culprits"], list)


@pytest.mark.slow
def test_a_scheme_without_float_layers_has_no_gain_from_them(edgefer, scratch):
    outcome = edgefer("quantize", scratch, "--int16x8", "--calibration-size", 50, "--debug-layers", "--json")
    assert outcome.code == 0, outcome.err
    check_layers_without_gains(outcome.record)


@pytest.mark.slow
def test_auto_selects_the_first_options_that_satisfy_the_threshold(edgefer, scratch, workplace):
    outcome = edgefer("quantize", scratch, "--auto", "--calibration-size", 50, "--max-drop", 100, "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    tries = record["search"]["tries"]
    assert (len(tries), tries[0]["name"], record["scheme"]) == (2, "plain converter", "int8")
    assert record["provenance"]["recipe"] == tries[1]["recipe"]
    assert record["verdict"]["difference_points"] == pytest.approx(tries[1]["difference_points"])
    assert record["model_bytes"] == tries[1]["model_bytes"]
    assert Artifact.load(find_run(scratch).artifact("int8")).sha256 == record["sha256"]


@pytest.mark.slow
def test_auto_falls_back_to_int8_qat_and_fails_if_that_misses_the_threshold_too(edgefer, scratch, tmp_path):
    options = ("--auto", "--calibration-size", 50, "--max-drop", -100, "--qat-epochs", 1, "--per-tensor")
    outcome = edgefer("quantize", scratch, *options, "--out", "record.json")
    assert outcome.code == 3, outcome.err
    assert widest(outcome.out) <= 80
    assert "int8_qat, trained" in outcome.out
    assert "no candidate is within the bound; int8_qat trains" in outcome.err
    assert "int8_qat ignores: per channel" in outcome.err
    record = json.loads((tmp_path / "record.json").read_text())
    assert (record["scheme"], record["search"]["tries"][-1]["scheme"]) == ("int8_qat", "int8_qat")
    assert not any(candidate["holds"] for candidate in record["search"]["tries"])
    assert record["gates_broken"]


@pytest.mark.slow
def test_auto_without_public_test_and_with_another_input_size_and_equalization(edgefer, data, tmp_path):
    arrays = dict(np.load(data))
    np.savez(tmp_path / "faces.npz", **{**arrays, "usage": np.repeat("Training", len(arrays["emotion"]))})
    settings = ("--epochs", 1, "--set", "batch_size=32", "--set", "warmup_epochs=0", "--set", "input.clahe=true")
    size = ("--set", "input.width=40", "--set", "input.height=40")
    trained = edgefer("train", "--system", "compact_nano", *settings, *size, "--data", "faces.npz")
    assert trained.code == 0, trained.err
    outcome = edgefer(
        "quantize", "--auto", "--calibration-size", 30, "--max-drop", 100, "--debug-layers", "--calibration-trials", 2,
        "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert record["evaluation"]["split"] != "PublicTest"
    assert record["verdict"]["difference_points"] == pytest.approx(record["search"]["tries"][1]["difference_points"])
    assert record["layers"][-1]["activation_snr_db"] > 10
    assert record["stability"]["sets"] == 2


def test_int8_qat_of_another_programs_model_names_the_layer_before_the_data_set_is_read(refused, tmp_path):
    from edgefer.workstation.networks.backend import load_keras

    keras = load_keras(backend="tensorflow")
    face = keras.Input((48, 48, 1))
    x = keras.layers.Conv2D(4, 3, strides=2, activation="elu", name="bent")(face)
    keras.Model(face, keras.layers.Dense(7)(keras.layers.Flatten()(x))).save(tmp_path / "net.keras")
    # The missing data set would be reported next.
    error = refused("quantize", "net.keras", "--int8-qat", "--data", "nowhere.csv", code=2)
    assert "does not support bent (Conv2D)" in error
    assert not (tmp_path / "runs").exists()


@pytest.mark.slow
def test_all_keeps_the_models_of_other_schemes_if_one_fails_or_does_not_support_the_network(edgefer, elu_run):
    options = ("--calibration-size", 20, "--target", "tflm", "--out", "record.json")
    outcome = edgefer("quantize", elu_run, "--all", *options)
    assert outcome.code == 5, outcome.err
    assert "int8_qat is omitted: quantization-aware training does not support bent" in outcome.err
    assert "float16 failed: the model does not run on tflm" in outcome.err
    record = json.loads((elu_run.parents[1] / "record.json").read_text())
    schemes = [quantization["scheme"] for quantization in record["quantizations"]]
    assert {"float32", "int8"} <= set(schemes)
    assert not {"float16", "int8_qat"} & set(schemes)
    assert all(scheme in outcome.out for scheme in schemes)


@pytest.mark.slow
def test_auto_keeps_the_most_accurate_candidate_if_the_network_cannot_be_trained(edgefer, elu_run):
    outcome = edgefer("quantize", elu_run, "--auto", "--calibration-size", 20, "--max-drop", -100, "--json")
    assert outcome.code == 3, outcome.err
    assert "quantization-aware training does not support bent" in outcome.err
    record = outcome.record
    *others, selected = record["search"]["tries"]
    assert record["scheme"] == selected["scheme"] == "int8"
    assert record["provenance"]["recipe"] == selected["recipe"]
    assert record["model_bytes"] == selected["model_bytes"]
    assert others[0]["name"] == "plain converter"
    assert selected["difference_points"] >= max(each["difference_points"] for each in others[1:])


def test_files_that_describe_an_earlier_model_are_removed(edgefer, scratch, workplace):
    outdated = scratch / f"{workplace.int8.stem}.layers.csv"
    outdated.write_text("layers of an earlier model\n")
    outcome = edgefer("quantize", scratch, "--int8", "--calibration-size", 20)
    assert outcome.code == 0, outcome.err
    assert not outdated.exists()
    assert outdated.with_name(f"{workplace.int8.stem}.card.md").exists()
