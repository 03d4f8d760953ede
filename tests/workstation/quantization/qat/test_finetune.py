"""Quantization-aware training resumes after an interruption with equal weights and gives an accurate int8 model."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edgefer.data.dataset import Split
from edgefer.errors import DataError, UsageError
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.flatbuffer import read_model
from edgefer.inspection.op_versions import is_newer, minimum_runtime
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.quantization.qat.fake_quantization import fake_quantize
from edgefer.workstation.quantization.qat.finetune import (
    QatSettings,
    finetune,
    finetuning_folder,
    require_supported,
)
from edgefer.workstation.quantization.qat.model import qat_base
from edgefer.workstation.quantization.qat.trainer import QatTrainer, select_epoch
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize

EARLIER_RUN = Path(__file__).parents[3] / "fixtures" / "before" / "run"
SETTINGS = QatSettings(epochs=2, batch_size=32)


@pytest.fixture
def run(finished_run, tmp_path):
    """Return a copy of the trained run that a test may change."""
    return Run(Path(shutil.copytree(finished_run.folder, tmp_path / "run")))


@pytest.fixture(scope="module")
def calibration(faces):
    return faces.split("Training").pixels[:100]


@pytest.fixture(scope="module")
def network(finished_run):
    return load_network(load_keras(backend="tensorflow"), finished_run)


@pytest.fixture(scope="module")
def split(faces, settings):
    return validation_split(faces, settings)


@pytest.fixture(scope="module")
def tune(network, split, calibration):
    """Return a function that fine-tunes a run; arguments replace the defaults of finetune()."""

    def call(run, settings=SETTINGS, *, calibration=calibration, **options):
        return finetune(run, network, split, settings, calibration=calibration, **options)

    return call


@pytest.fixture(scope="module")
def tuned(finished_run, tune, tmp_path_factory):
    """Return a fine-tuning without interruption."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    return tune(Run(Path(shutil.copytree(finished_run.folder, folder))))


def files_of(folder):
    """Return all results that must be equal to the bit: everything but the durations of the history."""
    with np.load(folder / "state.npz") as state, np.load(folder / "best.npz") as best:
        return [file[name].tobytes() for file in (state, best) for name in file.files if name != "history"]


def scores_of(history):
    return [dataclasses.replace(epoch, duration_s=0.0) for epoch in history]


def test_fine_tuning_approaches_the_float_network(tuned):
    assert tuned.history[-1].loss < tuned.history[0].loss
    assert max(epoch.agreement for epoch in tuned.history) == tuned.best.agreement > 0.9
    assert [epoch.learning_rate for epoch in tuned.history] == pytest.approx([1e-4, 5e-5])


def test_the_model_has_the_weights_of_the_best_epoch(tuned, faces):
    public = faces.split("PublicTest")
    accuracy = (keras_logits(tuned.model, public.pixels).argmax(axis=1) == public.labels).mean()
    assert accuracy == pytest.approx(tuned.best.selection_accuracy, abs=1e-9)


@pytest.mark.parametrize(("distill", "epoch"), [(1.0, 1), (0.9, 2), (0.0, 2)])
def test_the_best_epoch_has_the_highest_agreement_or_with_labels_in_the_loss_the_highest_accuracy(
    tuned, distill, epoch
):
    close = dataclasses.replace(tuned.best, epoch=1, agreement=0.99, selection_accuracy=0.5)
    accurate = dataclasses.replace(tuned.best, epoch=2, agreement=0.90, selection_accuracy=0.6)
    history = [close, accurate, dataclasses.replace(close, epoch=3)]
    assert select_epoch(history, QatSettings(distill=distill), TrainSettings()).epoch == epoch


def test_the_folder_contains_weights_settings_and_history(tuned):
    assert sorted(os.listdir(tuned.folder)) == ["best.npz", "history.csv", "settings.json", "state.npz"]
    header, *rows = (tuned.folder / "history.csv").read_text().splitlines()
    assert header.startswith("epoch,learning_rate,loss")
    assert header.endswith("agreement")
    assert len(rows) == 2


class Stop(Exception):
    """Interrupt a fine-tuning."""


def stop_in(epoch):
    def progress(done, total, note):
        if done == epoch and "batch" in note:
            raise Stop

    return progress


def test_an_interrupted_fine_tuning_resumes_with_equal_weights(run, tune, tuned):
    with pytest.raises(Stop):
        tune(run, progress=stop_in(1))
    (history,) = run.folder.glob("qat/*/history.csv")
    before = history.read_text().splitlines()
    resumed = tune(run)
    assert resumed.folder.name == tuned.folder.name
    assert scores_of(resumed.history) == scores_of(tuned.history)
    assert len(before) == 2
    assert history.read_text().splitlines()[:2] == before  # the first epoch keeps its own duration
    assert files_of(resumed.folder) == files_of(tuned.folder)


TUNE = """
import sys
from pathlib import Path
from edgefer.data.dataset import synthetic_dataset
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.qat.finetune import QatSettings, finetune
from edgefer.workstation.training.keras_inference import load_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.validation import validation_split

run, faces = Run(Path(sys.argv[1])), synthetic_dataset(training=420, held_out=140, seed=5)
network, split = load_network(load_keras(backend="tensorflow"), run), validation_split(faces, run.settings())
calibration = faces.split("Training").pixels[:100]
finetune(run, network, split, QatSettings(epochs=2, batch_size=32), calibration=calibration)
"""


@pytest.mark.slow
def test_another_process_resumes_after_a_kill_with_equal_weights(run, tuned):
    first = subprocess.Popen([sys.executable, "-c", TUNE, str(run.folder)], stderr=subprocess.DEVNULL)
    while first.poll() is None and not list(run.folder.glob("qat/*/state.npz")):
        time.sleep(0.005)
    first.send_signal(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    (folder,) = (run.folder / "qat").iterdir()
    (folder / ".half-written-state.npz").touch()
    assert subprocess.run([sys.executable, "-c", TUNE, str(run.folder)], check=False).returncode == 0
    assert files_of(folder) == files_of(tuned.folder)
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


def test_a_completed_fine_tuning_is_loaded(tuned, faces, tune):
    before = {path.name: path.read_bytes() for path in tuned.folder.iterdir()}
    loaded = tune(Run(tuned.folder.parents[1]), progress=stop_in(0))
    pixels = faces.split("PublicTest").pixels
    assert np.array_equal(keras_logits(loaded.model, pixels), keras_logits(tuned.model, pixels))
    assert {path.name: path.read_bytes() for path in tuned.folder.iterdir()} == before


def test_everything_that_determines_the_result_determines_the_folder(run, split, calibration, tuned):
    def name(settings=SETTINGS, *, training=split.training, calibration=calibration):
        return finetuning_folder(run, training, settings, calibration=calibration).name

    names = [
        name(),
        name(dataclasses.replace(SETTINGS, distill=0.5)),
        name(calibration=calibration[:50]),
        name(training=dataclasses.replace(split.training, labels=split.training.labels[::-1].copy())),
    ]
    settings_file = run.folder / "settings.toml"
    text = settings_file.read_text()
    settings_file.write_text(text.replace("label_smoothing = 0.0", "label_smoothing = 0.3"))
    assert run.settings().label_smoothing == 0.3
    names.append(name())
    settings_file.write_text(text)
    assert name() == names[0] == tuned.folder.name
    run.best_weights.write_bytes(b"other weights")
    names.append(name())
    assert len(set(names)) == len(names)


def test_the_folder_of_an_earlier_version_is_found(tmp_path):
    shutil.copy(EARLIER_RUN / "settings.toml", tmp_path)
    run = Run(tmp_path)
    run.best_weights.write_bytes(b"weights")
    pixels = (np.arange(14 * 48 * 48) % 256).astype(np.uint8).reshape(14, 48, 48)
    training = Split(pixels, np.arange(14) % 7, np.arange(14))
    # Computed by the version that wrote the settings.
    assert finetuning_folder(run, training, QatSettings(), calibration=pixels[:3]).name == "5a11485acbbe"


def test_the_distillation_weight_changes_the_loss(run, tune, tuned):
    losses = []
    for share in (0.0, 0.5):
        settings = dataclasses.replace(SETTINGS, epochs=1, distill=share)
        losses.append(tune(run, settings).history[0].loss)
    # Cross-entropy is far from zero; the divergence from the float network is near it.
    assert losses[0] > losses[1] > 5 * tuned.history[0].loss
    assert len(os.listdir(run.folder / "qat")) == 2


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
@pytest.mark.parametrize("name", ["state.npz", "best.npz"])
def test_a_damaged_file_is_an_error_with_the_command_that_removes_it(tuned, tune, tmp_path, name, kept):
    run = Run(Path(shutil.copytree(tuned.folder.parents[1], tmp_path / "run")))
    path = run.folder / "qat" / tuned.folder.name / name
    os.truncate(path, kept if kept >= 1 else int(kept * path.stat().st_size))
    with pytest.raises(DataError, match=rf"{name} is damaged") as caught:
        tune(run)
    assert caught.value.hint.startswith(f"rm -r {path.parent}")


def test_two_fine_tunings_of_one_run_at_a_time_are_refused(run, tune):
    with run.only_trainer(), pytest.raises(DataError, match="another process is training"):
        tune(run)


def test_a_loss_that_is_not_finite_is_an_error(finished_run, network, faces, calibration, tuned):
    base = qat_base(network, finished_run.settings(), calibration)
    model = fake_quantize(base, calibration)
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    trainer = QatTrainer(load_keras(), base, model, SETTINGS, finished_run.settings())
    with pytest.raises(DataError, match="diverged in epoch 1") as caught:
        trainer.evaluate(faces.split("PublicTest"), np.zeros(140, np.intp), epoch=0)
    assert caught.value.hint == "--qat-learning-rate 1e-05"


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"epochs": 0}, "--qat-epochs"),
        ({"learning_rate": 0.0}, "--qat-learning-rate"),
        ({"learning_rate": float("nan")}, "--qat-learning-rate"),
        ({"distill": 1.1}, "--distill-weight"),
        ({"distill": -0.1}, "--distill-weight"),
        ({"temperature": 0.0}, "temperature"),
        ({"batch_size": 0}, "batch_size"),
        ({"seed": -1}, "seed"),
    ],
)
def test_settings_out_of_range_are_refused(options, named):
    with pytest.raises(UsageError) as caught:
        QatSettings(**options)
    assert named in caught.value.hint


def test_the_compact_architecture_is_supported(finished_run):
    require_supported(finished_run)


# The artifact


@pytest.fixture(scope="module")
def quantized_run(finished_run, tmp_path_factory):
    return Run(Path(shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("artifacts") / "run")))


@pytest.fixture(scope="module")
def artifacts(quantized_run, faces):
    context = QuantizationContext(quantized_run, faces, draw_faces(faces.split("Training"), size=140))
    return {scheme: quantize(context, scheme, qat=SETTINGS) for scheme in ("int8", "int8_qat")}


def test_quantizing_a_copy_with_its_fine_tuning_gives_the_same_bytes(artifacts, quantized_run, faces, tmp_path):
    """The fine-tuning itself is repeated in the tests of interruptions."""
    run = Run(Path(shutil.copytree(quantized_run.folder, tmp_path / "run")))
    context = QuantizationContext(run, faces, draw_faces(faces.split("Training"), size=140))
    again = quantize(context, "int8_qat", qat=SETTINGS)
    assert again.artifact.to_bytes() == artifacts["int8_qat"].artifact.to_bytes()


def test_input_output_and_layers_are_int8(artifacts):
    model = artifacts["int8_qat"].artifact.model
    runtime = select_runtime().open_model(model)
    assert runtime.input.params.dtype == runtime.output.params.dtype == "int8"
    assert (runtime.input.params.zero_point, runtime.input.shape) == (-128, (1, 48, 48, 1))
    assert runtime.input.params.scale == pytest.approx(1 / 255, rel=1e-6)
    assert {tensor.dtype for tensor in read_model(model).main.tensors} <= {"int8", "int32"}


def test_tflite_runtime_2_14_has_all_operators(artifacts):
    for op in read_model(artifacts["int8_qat"].artifact.model).main.ops:
        assert not is_newer(minimum_runtime(op.name, op.version), "2.14"), op


def test_the_model_is_no_worse_than_without_training(artifacts):
    trained, calibrated = (artifacts[scheme].comparison for scheme in ("int8_qat", "int8"))
    assert trained.quantized_correct >= calibrated.quantized_correct - 0.05 * trained.n
    assert trained.agreement > 0.9
    assert trained.float_correct == calibrated.float_correct


def test_the_contract_records_the_training(artifacts):
    provenance = artifacts["int8_qat"].artifact.provenance
    assert provenance["qat"].items() >= dataclasses.asdict(SETTINGS).items()
    assert provenance["qat"]["best_epoch"] in (1, 2)
    assert provenance["calibration"] == {"faces": 140, "seed": 0}
    assert "qat" not in artifacts["int8"].artifact.provenance
