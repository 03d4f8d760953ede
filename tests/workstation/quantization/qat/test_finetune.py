"""Fine-tuning goes on after any stop, ends alike, and gives an int8 model that is as good as it says."""

import dataclasses
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgefer.data.dataset import Dataset
from edgefer.errors import DataError, UsageError
from edgefer.inference.runtime import select_runtime
from edgefer.inspection.flatbuffer import read_model
from edgefer.inspection.op_versions import is_newer, minimum_runtime
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.quantization.qat import finetune as finetune_module
from edgefer.workstation.quantization.qat.fake_quantization import fake_quantize
from edgefer.workstation.quantization.qat.finetune import QatSettings, finetune, require_supported
from edgefer.workstation.quantization.qat.model import qat_base
from edgefer.workstation.quantization.qat.trainer import QatTrainer
from edgefer.workstation.training.epoch_data import make_epoch
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize

SETTINGS = QatSettings(epochs=2, batch_size=32)


@pytest.fixture
def run(finished_run, tmp_path):
    """A copy of the trained run that a test may change."""
    return Run(Path(shutil.copytree(finished_run.folder, tmp_path / "run")))


@pytest.fixture(scope="module")
def calibration(faces):
    return faces.split("Training").pixels[:100]


@pytest.fixture(scope="module")
def tuned(finished_run, faces, calibration, tmp_path_factory):
    """A fine-tuning without interruption."""
    folder = tmp_path_factory.mktemp("tuned") / "run"
    return finetune(Run(Path(shutil.copytree(finished_run.folder, folder))), faces, SETTINGS, calibration=calibration)


def files_of(folder):
    """Return all results that must be equal to the bit: everything but the durations of the history."""
    with np.load(folder / "state.npz") as state, np.load(folder / "best.npz") as best:
        return [file[name].tobytes() for file in (state, best) for name in file.files if name != "history"]


def scores_of(history):
    return [dataclasses.replace(epoch, duration_s=0.0) for epoch in history]


def test_it_learns_from_its_float_parent(tuned):
    assert tuned.history[-1].loss < tuned.history[0].loss
    assert max(epoch.agreement for epoch in tuned.history) == tuned.best.agreement > 0.9
    assert [epoch.learning_rate for epoch in tuned.history] == pytest.approx([1e-4, 5e-5])


def test_what_is_returned_is_the_best_epoch(tuned, faces):
    public = faces.split("PublicTest")
    accuracy = (keras_logits(tuned.model, public.pixels).argmax(axis=1) == public.labels).mean()
    assert accuracy == pytest.approx(tuned.best.selection_accuracy, abs=1e-9)


def test_the_best_epoch_is_the_closest_to_the_parent_or_where_labels_count_the_most_accurate(tuned):
    close = dataclasses.replace(tuned.best, epoch=1, agreement=0.99, selection_accuracy=0.5)
    right = dataclasses.replace(tuned.best, epoch=2, agreement=0.90, selection_accuracy=0.6)

    def best(distill):
        tuner = SimpleNamespace(settings=QatSettings(distill=distill), plan=TrainSettings())
        return finetune_module._best([close, right, dataclasses.replace(close, epoch=3)], tuner).epoch

    assert (best(1.0), best(0.9), best(0.0)) == (1, 2, 2)


def test_its_folder_tells_how_it_went(tuned):
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


def test_stopped_in_its_second_epoch_it_ends_with_the_same_bits(run, faces, calibration, tuned):
    with pytest.raises(Stop):
        finetune(run, faces, SETTINGS, calibration=calibration, progress=stop_in(1))
    (kept,) = run.folder.glob("qat/*/history.csv")
    before = kept.read_text().splitlines()
    again = finetune(run, faces, SETTINGS, calibration=calibration)
    assert again.folder.name == tuned.folder.name
    assert scores_of(again.history) == scores_of(tuned.history)
    assert len(before) == 2
    assert kept.read_text().splitlines()[:2] == before  # its own first epoch was kept, with the time that it took
    assert files_of(again.folder) == files_of(tuned.folder)


TUNE = """
import sys
from pathlib import Path
from edgefer.data.dataset import synthetic_dataset
from edgefer.workstation.quantization.qat.finetune import QatSettings, finetune
from edgefer.workstation.training.run import Run

faces = synthetic_dataset(training=420, held_out=140, seed=5)
calibration = faces.split("Training").pixels[:100]
finetune(Run(Path(sys.argv[1])), faces, QatSettings(epochs=2, batch_size=32), calibration=calibration)
"""


@pytest.mark.slow
def test_killed_after_an_epoch_another_process_ends_with_the_same_bits(run, tuned):
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


def test_a_finished_one_is_only_loaded(tuned, faces, calibration):
    before = {path.name: path.read_bytes() for path in tuned.folder.iterdir()}
    run = Run(tuned.folder.parents[1])
    again = finetune(run, faces, SETTINGS, calibration=calibration, progress=stop_in(0))
    shown = faces.split("PublicTest").pixels
    assert np.array_equal(keras_logits(again.model, shown), keras_logits(tuned.model, shown))
    assert {path.name: path.read_bytes() for path in tuned.folder.iterdir()} == before


def test_what_decides_the_outcome_decides_the_folder(run, faces, calibration):
    plan = run.settings()
    learn, *_ = validation_split(faces, plan)

    def key(settings=SETTINGS, plan=plan, calibration=calibration):
        return finetune_module._key(run, settings, plan, learn, calibration)

    other_plan = dataclasses.replace(plan, label_smoothing=0.3)
    others = [key(dataclasses.replace(SETTINGS, distill=0.5)), key(plan=other_plan), key(calibration=calibration[:50])]
    assert len({key(), *others}) == 4
    assert key() == key()
    run.best_weights.write_bytes(b"other weights")
    assert key() not in {*others, key(dataclasses.replace(SETTINGS))} - {key()}


def test_distillation_changes_what_is_learned(run, faces, calibration, tuned):
    losses = []
    for share in (0.0, 0.5):
        settings = dataclasses.replace(SETTINGS, epochs=1, distill=share)
        losses.append(finetune(run, faces, settings, calibration=calibration).history[0].loss)
    # Cross-entropy is far from zero; the distance from the parent is near it.
    assert losses[0] > losses[1] > 5 * tuned.history[0].loss
    assert len(os.listdir(run.folder / "qat")) == 2


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.999])
@pytest.mark.parametrize("name", ["state.npz", "best.npz"])
def test_a_damaged_file_is_named_with_what_mends_it(tuned, faces, calibration, tmp_path, name, kept):
    run = Run(Path(shutil.copytree(tuned.folder.parents[1], tmp_path / "run")))
    path = run.folder / "qat" / tuned.folder.name / name
    os.truncate(path, kept if kept >= 1 else int(kept * path.stat().st_size))
    with pytest.raises(DataError, match=rf"{name} is damaged") as caught:
        finetune(run, faces, SETTINGS, calibration=calibration)
    assert caught.value.hint.startswith(f"rm -r {path.parent}")


def test_two_at_once_in_one_run_are_refused(run, faces, calibration):
    with run.only_trainer(), pytest.raises(DataError, match="another process is training"):
        finetune(run, faces, SETTINGS, calibration=calibration)


def test_other_data_than_the_run_was_trained_on_are_refused(run, faces, calibration):
    other = Dataset(faces.source, faces.layout, faces.splits, "other", ())
    with pytest.raises(DataError, match="trained on other data"):
        finetune(run, other, SETTINGS, calibration=calibration)


def test_a_loss_that_is_no_number_is_an_error(finished_run, faces, calibration, tuned):
    base = qat_base(load_network(load_keras(), finished_run), finished_run.settings(), calibration)
    model = fake_quantize(base, calibration)
    for variable in model.trainable_variables:
        variable.assign(np.full(variable.shape, np.nan))
    tuner = QatTrainer(load_keras(), base, model, SETTINGS, finished_run.settings())
    with pytest.raises(DataError, match="diverged in epoch 1") as caught:
        finetune_module._evaluate(tuner, 1, faces.split("PublicTest"), np.zeros(140, np.intp))
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


def test_the_compact_nets_are_supported(finished_run):
    require_supported(finished_run)


def test_lessons_repeat_and_differ_from_epoch_to_epoch(faces, settings):
    learn = faces.split("Training")
    first, again, second = (make_epoch(learn, settings, epoch=epoch) for epoch in (0, 0, 1))
    assert all(np.array_equal(one, other) for one, other in zip(first, again))
    assert not np.array_equal(first[0], second[0])
    assert [each.shape for each in first] == [(416, 48, 48, 1), (416, 7), (416,)]


# The artifact


@pytest.fixture(scope="module")
def artifacts(finished_run, faces, tmp_path_factory):
    run = Run(Path(shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("artifacts") / "run")))
    context = QuantizationContext(run, faces, draw_faces(faces.split("Training"), size=140))
    return {scheme: quantize(context, scheme, qat=SETTINGS) for scheme in ("int8", "int8_qat")}


def test_quantizing_again_gives_the_same_bytes(artifacts, finished_run, faces, tmp_path):
    run = Run(Path(shutil.copytree(finished_run.folder, tmp_path / "run")))
    context = QuantizationContext(run, faces, draw_faces(faces.split("Training"), size=140))
    again = quantize(context, "int8_qat", qat=SETTINGS)
    assert again.artifact.to_bytes() == artifacts["int8_qat"].artifact.to_bytes()


def test_it_is_int8_from_pixels_to_logits(artifacts):
    model = artifacts["int8_qat"].artifact.model
    runtime = select_runtime().open_model(model)
    assert runtime.input.params.dtype == runtime.output.params.dtype == "int8"
    assert (runtime.input.params.zero_point, runtime.input.shape) == (-128, (1, 48, 48, 1))
    assert runtime.input.params.scale == pytest.approx(1 / 255, rel=1e-6)
    assert {tensor.dtype for tensor in read_model(model).main.tensors} <= {"int8", "int32"}


def test_a_runtime_of_version_2_14_has_its_operators(artifacts):
    for op in read_model(artifacts["int8_qat"].artifact.model).main.ops:
        assert not is_newer(minimum_runtime(op.name, op.version), "2.14"), op


def test_it_is_no_worse_than_without_training(artifacts):
    trained, calibrated = (artifacts[scheme].verdict for scheme in ("int8_qat", "int8"))
    assert trained.quantized_correct >= calibrated.quantized_correct - 0.05 * trained.n
    assert trained.agreement > 0.9
    assert trained.float_correct == calibrated.float_correct


def test_its_contract_tells_how_it_was_trained(artifacts):
    provenance = artifacts["int8_qat"].artifact.provenance
    assert provenance["qat"].items() >= dataclasses.asdict(SETTINGS).items()
    assert provenance["qat"]["best_epoch"] in (1, 2)
    assert provenance["calibration"] == {"faces": 140, "seed": 0}
    assert "qat" not in artifacts["int8"].artifact.provenance
