"""Training from the weights of a run or of a model, with equal and with other classes."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.dataset import synthetic_dataset
from edgefer.errors import DataError, IncompatibleError, UsageError
from edgefer.inference.first_load import trust_model
from edgefer.inference.model_import import InputChoice
from edgefer.models import shipped
from edgefer.workstation.importing.network import ImportedNetwork
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.quantization.converter import convert
from edgefer.workstation.quantization.qat.finetune import require_supported
from edgefer.workstation.training.keras_inference import keras_logits, load_network
from edgefer.workstation.training.loop import train
from edgefer.workstation.training.model import build_network, last_layer
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.import_network import create_imported_run
from edgefer.workstation.workflows.initial_weights import (
    RunWeights,
    check_initial_weights,
    fine_tuning_settings,
    initialize,
    new_classes,
    open_initial_weights,
)
from edgefer.workstation.workflows.train import complete, start, training_record

OPENED = {"data": "synthetic", "ferplus": None, "skip_bad_rows": False}
LABELS = ("happy", "calm", "angry")


class Stopped(Exception):
    pass


def stop_after_one_epoch(done, _total, note):
    if done == 1 and note.startswith("loss"):
        raise Stopped


@pytest.fixture(scope="module")
def nano():
    return open_initial_weights(Path("nano"))


@pytest.fixture(scope="module")
def three():
    """Draw faces of three classes, of which the models have two."""
    faces = synthetic_dataset(training=210, held_out=70, seed=8).select(("happy", "neutral", "angry"))
    splits = {name: dataclasses.replace(split, label_names=LABELS) for name, split in faces.splits.items()}
    return dataclasses.replace(faces, splits=splits, labels=LABELS)


@pytest.fixture
def short(nano):
    return dataclasses.replace(fine_tuning_settings(nano.settings, teachers=False), epochs=2, batch_size=32)


def test_outputs_of_known_classes_keep_their_weights(nano, short, drawn):
    source = nano.load(load_keras(), drawn)
    network = initialize(nano, short, labels=("Happiness", "calm", "angry"), faces=drawn)
    assert new_classes(nano, ("Happiness", "calm", "angry")) == ("calm",)
    columns = [nano.labels.index(name) for name in ("happy", "angry")]
    np.testing.assert_allclose(
        keras_logits(network, drawn)[:, [0, 2]], keras_logits(source, drawn)[:, columns], atol=1e-3
    )
    fresh, again = (last_layer(each).get_weights() for each in (
        network, initialize(nano, short, labels=("Happiness", "calm", "angry"), faces=drawn)
    ))  # fmt: skip
    np.testing.assert_array_equal(fresh[0], again[0])
    assert fresh[0][:, 1].std() > 0
    assert fresh[1][1] == 0


def test_equal_classes_keep_all_weights_and_the_score_of_the_run(finished_run, faces, tmp_path):
    source = RunWeights(finished_run)
    network = initialize(source, source.settings, labels=source.labels, faces=faces.split("Training").pixels)
    for before, after in zip(load_network(load_keras(), finished_run).get_weights(), network.get_weights()):
        np.testing.assert_array_equal(before, after)


def test_a_model_trains_on_new_classes_and_remembers_its_origin(nano, short, three, tmp_path):
    run = start(short, three, opened_with=OPENED, root=tmp_path, parent=nano)
    complete(run, three)
    assert run.labels == LABELS
    assert run.parent["new_classes"] == ["calm"]
    assert run.parent["run"] == "nano-int8.tflite"
    assert run.parent["sha256"] == Artifact.load(shipped()["nano"]).sha256
    # A score of outputs with fresh weights is no baseline.
    assert run.baseline() is None
    assert run.metrics()["best_epoch"] >= 1
    assert training_record(run)["environment"]["parent"]["new_classes"] == ["calm"]


def test_a_stopped_fine_tuning_ends_with_the_same_bits(nano, short, three, tmp_path):
    split = validation_split(three, short)
    whole, stopped = (
        start(short, three, opened_with=OPENED, folder=tmp_path / name, root=tmp_path, parent=nano)
        for name in ("whole", "stopped")
    )
    train(split, short, run=whole)
    with pytest.raises(Stopped):
        train(split, short, run=stopped, progress=stop_after_one_epoch)
    train(split, short, run=Run(stopped.folder))
    assert stopped.last_weights.read_bytes() == whole.last_weights.read_bytes()
    assert stopped.best_weights.read_bytes() == whole.best_weights.read_bytes()


def test_a_model_without_new_classes_never_gets_worse(nano, short, faces, tmp_path):
    harmful = dataclasses.replace(short, epochs=1, learning_rate=5.0, backbone_lr_factor=1.0, ema_epochs=0.0)
    run = start(harmful, faces, opened_with=OPENED, root=tmp_path, parent=nano)
    complete(run, faces)
    assert run.metrics()["best_epoch"] == 0
    assert run.baseline().selection_accuracy > run.history()[0].selection_accuracy


@pytest.mark.parametrize(
    ("changes", "named", "why"),
    [
        ({"model": {"stem": 8}}, r"model\.stem = 8 with --init-from nano", "model.stem = 16"),
        ({"model": {"stem_stride": 1}}, r"model\.stem_stride = 1 with", "model.stem_stride = 2"),
        ({"model": {"widths": [24, 32, 48]}}, r"model\.widths", "[24, 32, 40]"),
        ({"architecture": "compact"}, "architecture = compact with", "architecture = residual"),
        ({"input": InputSpec(channels="rgb")}, "an input of 48x48 rgb with", "48x48 gray"),
    ],
)
def test_settings_of_another_network_are_refused(nano, changes, named, why):
    model = {**nano.settings.model, **changes["model"]} if "model" in changes else nano.settings.model
    model = {} if "architecture" in changes else model
    with pytest.raises(UsageError, match=named) as caught:
        check_initial_weights(nano, dataclasses.replace(nano.settings, **{**changes, "model": model}))
    assert why in caught.value.why


def test_an_option_that_a_model_leaves_at_its_default_cannot_change(small_1_path):
    source = open_initial_weights(small_1_path)
    settings = dataclasses.replace(source.settings, model={**source.settings.model, "stem_stride": 2})
    with pytest.raises(UsageError, match=r"model\.stem_stride = 2 with --init-from small-1") as caught:
        check_initial_weights(source, settings)
    assert "model.stem_stride = its default" in caught.value.why


@pytest.mark.parametrize(
    "changes", [{"model": {"dropout": 0.5}}, {"input": InputSpec(height=64, width=64)}, {"optimizer": "adam"}]
)
def test_settings_that_keep_the_meaning_of_the_weights_are_accepted(nano, drawn, changes):
    changes = {**changes, "model": {**nano.settings.model, **changes.get("model", {})}}
    settings = dataclasses.replace(nano.settings, **changes)
    check_initial_weights(nano, settings)
    network = initialize(nano, settings, labels=nano.labels, faces=drawn)
    assert network.input_shape[1:3] == (settings.input.height, settings.input.width)


def with_provenance(path, provenance):
    artifact = Artifact.load(shipped()["nano"])
    dataclasses.replace(artifact, provenance=provenance(artifact.provenance)).save(path)
    return path


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        ({"settings": {}}, IncompatibleError, "cannot be trained further"),
        ({"settings": ["epochs"]}, DataError, "expected an object"),
        ({"settings": {"architecture": "my_net-1a2b3c4d5e6f:build"}}, IncompatibleError, "cannot be trained further"),
        ({"settings": {"epochs": "many"}}, DataError, "invalid settings in its contract: epochs"),
        ({"settings": {"model": {"stem": 8}, "architecture": "residual"}}, IncompatibleError, "do not fit"),
    ],
)
def test_a_contract_without_usable_settings_is_refused(tmp_path, change, error, named):
    path = with_provenance(tmp_path / "odd.tflite", lambda provenance: {**provenance, **change})
    with pytest.raises(error, match=named):
        open_initial_weights(path).check(load_keras())


def test_a_model_whose_network_computes_something_else_is_refused(tmp_path, drawn):
    def changed(provenance):
        settings = provenance["settings"]
        return {**provenance, "settings": {**settings, "model": {**settings["model"], "stem_stride": 1}}}

    path = with_provenance(tmp_path / "odd.tflite", changed)
    with pytest.raises(IncompatibleError, match="the recovered network differs"):
        open_initial_weights(path).load(load_keras(), drawn)


def test_fine_tuning_settings_keep_the_network_and_need_no_teacher(nano):
    settings = fine_tuning_settings(dataclasses.replace(nano.settings, views=24), teachers=False)
    assert (settings.model, settings.architecture, settings.input) == (
        nano.settings.model, nano.settings.architecture, nano.settings.input,
    )  # fmt: skip
    assert settings.views == 0
    assert 0 < settings.backbone_lr_factor < 1
    assert fine_tuning_settings(dataclasses.replace(nano.settings, views=24), teachers=True).views == 24


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.02), ("adam", 2e-4), ("adamw", 2e-4)])
def test_the_rate_of_a_fine_tuning_does_not_depend_on_that_of_the_source(nano, optimizer, rate):
    sources = [dataclasses.replace(nano.settings, optimizer=optimizer, learning_rate=each) for each in (0.1, 0.001)]
    assert {fine_tuning_settings(source, teachers=False).learning_rate for source in sources} == {rate}


def test_an_architecture_with_another_input_size_is_refused_where_it_has_weights_for_it(finished_run, drawn):
    keras = load_keras()
    settings = TrainSettings(architecture="two_conv")
    assert build_network(keras, settings, classes=7).count_params() != build_network(
        keras, dataclasses.replace(settings, input=InputSpec(height=64, width=64)), classes=7
    ).count_params()
    source = RunWeights(finished_run)
    source.settings = settings
    larger = dataclasses.replace(settings, input=InputSpec(height=64, width=64))
    with pytest.raises(UsageError, match="an input of 64x64 gray with"):
        check_initial_weights(source, larger)


def imported(root, last, labels=("happy", "sad", "calm"), output="logits"):
    keras = load_keras()
    keras.utils.set_random_seed(2)
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((48, 48, 1)), layers.Conv2D(8, 3, strides=4), layers.BatchNormalization(), layers.ReLU(),
         layers.GlobalAveragePooling2D(), last(layers)]
    )  # fmt: skip
    (root / "private").mkdir()
    model.save(root / "private" / "network.keras")
    flatbuffer = convert(model)
    trust_model(flatbuffer)
    network = ImportedNetwork("a Keras model", flatbuffer, root / "private" / "network.keras", ())
    choice = InputChoice(InputSpec(mean=(127.5,), std=(127.5,)), labels, "--labels", output)
    run = create_imported_run(network, choice, source=root / "my net.keras", opened_with=OPENED, root=root)
    return model, run


def test_an_imported_network_trains_on_new_classes_and_resumes(three, tmp_path):
    model, run = imported(tmp_path, lambda layers: layers.Dense(3, name="scores"))
    source = open_initial_weights(run.folder)
    settings = dataclasses.replace(fine_tuning_settings(source.settings, teachers=False), epochs=2, batch_size=32)
    check_initial_weights(source, settings)
    network = initialize(source, settings, labels=three.labels, faces=three.split("Training").pixels[:])
    before, after = (last_layer(each).get_weights()[0] for each in (model, network))
    np.testing.assert_array_equal(after[:, :2], before[:, [0, 2]])
    stopped, whole = (
        start(settings, three, opened_with=OPENED, folder=tmp_path / name, root=tmp_path, parent=source)
        for name in ("stopped", "whole")
    )
    split = validation_split(three, settings)
    train(split, settings, run=whole)
    with pytest.raises(Stopped):
        train(split, settings, run=stopped, progress=stop_after_one_epoch)
    complete(Run(stopped.folder), three)
    assert stopped.last_weights.read_bytes() == whole.last_weights.read_bytes()
    assert stopped.parent["new_classes"] == ["angry"]
    assert (stopped.folder / "architecture.py").exists()
    assert load_network(load_keras(), Run(stopped.folder)).output_shape == (None, 3)
    # Only Keras 3 can build the architecture, so quantization-aware training copies the network.
    require_supported(Run(stopped.folder))


@pytest.mark.parametrize(
    ("last", "output", "named"),
    [
        (lambda layers: layers.Activation("tanh", name="odd"), "logits", r"cannot be trained further"),
        (lambda layers: layers.Dense(8), "probabilities", "--init-from"),
    ],
)
def test_an_imported_network_without_a_layer_of_logits_is_refused(tmp_path, last, output, named):
    _, run = imported(tmp_path, last, labels=tuple("abcdefgh"), output=output)
    with pytest.raises(UsageError, match=named):
        open_initial_weights(run.folder)
