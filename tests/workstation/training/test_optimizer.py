"""Mixed precision and layer-wise learning rates."""

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

from edgefer.data.dataset import Split
from edgefer.errors import UsageError
from edgefer.progress import silent
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.epoch_data import make_epoch
from edgefer.workstation.training.loop import train
from edgefer.workstation.training.model import last_layer
from edgefer.workstation.training.run import new_run
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.trainer import Trainer
from edgefer.workstation.training.validation import validation_split

TINY = TrainSettings(model={"stem": 4, "width": 4, "depth": 1, "dropout": 0.0}, ema_epochs=0.0, batch_size=16)
TWO_STEPS = """
import numpy as np
from edgefer.data.dataset import Split
from edgefer.progress import silent
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.epoch_data import make_epoch
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training.trainer import Trainer

settings = TrainSettings(model={"stem": 4, "width": 4, "depth": 1}, batch_size=16, precision="float16",
                         backbone_lr_factor=0.1)
trainer = Trainer(load_keras(), settings, steps_per_epoch=2, classes=7)
pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 48)).astype(np.uint8)
images = make_epoch(Split(pixels, np.arange(32) % 7, np.arange(32)), settings, epoch=0)
metrics = trainer.run_epoch(images, epoch=0, learning_rate=0.1, progress=silent)
assert np.isfinite(metrics.loss), metrics
assert all(np.isfinite(values).all() for values in trainer.values_of(trainer.model.weights))
assert int(trainer.model.optimizer.iterations) == 2, trainer.model.optimizer.iterations
"""


def one_epoch(settings, images):
    """Train for one epoch on random images; return the trainer, its metrics and the change of each variable."""
    trainer = Trainer(load_keras(), settings, steps_per_epoch=1, classes=7)
    before = trainer.values_of(trainer.net.trainable_variables)
    pixels = np.random.default_rng(0).integers(0, 256, (images, 48, 48)).astype(np.uint8)
    batches = make_epoch(Split(pixels, np.arange(images) % 7, np.arange(images)), settings, epoch=0)
    metrics = trainer.run_epoch(batches, epoch=0, learning_rate=0.1, progress=silent)
    after = trainer.values_of(trainer.net.trainable_variables)
    return trainer, metrics, [new - old for new, old in zip(after, before)]


def in_last_layer(trainer):
    head = {variable.path for variable in last_layer(trainer.net).trainable_variables}
    return [variable.path in head for variable in trainer.net.trainable_variables]


def test_adamw_without_weight_decay_is_adam():
    plain = dataclasses.replace(TINY, weight_decay=0.0)
    changes = [one_epoch(dataclasses.replace(plain, optimizer=name), 32)[2] for name in ("adam", "adamw")]
    for adam, adamw in zip(*changes, strict=True):
        assert np.allclose(adam, adamw, rtol=0, atol=1e-7)


@pytest.mark.parametrize(("optimizer", "decay"), [("sgd", 0.0), ("sgd", 0.01), ("adamw", 0.01)])
def test_the_factor_scales_the_steps_and_the_decay_of_all_layers_but_the_last(optimizer, decay):
    settings = dataclasses.replace(TINY, optimizer=optimizer, weight_decay=decay)
    trainer, _, full = one_epoch(settings, 16)
    _, _, scaled = one_epoch(dataclasses.replace(settings, backbone_lr_factor=0.1), 16)
    is_head = in_last_layer(trainer)
    assert sum(is_head) == 2
    for whole, part, head in zip(full, scaled, is_head):
        np.testing.assert_allclose(part, whole if head else 0.1 * whole, rtol=1e-2, atol=1e-6)


def test_a_factor_of_zero_trains_only_the_last_layer():
    trainer, _, changes = one_epoch(dataclasses.replace(TINY, backbone_lr_factor=0.0, weight_decay=0.01), 32)
    assert [bool(np.any(change)) for change in changes] == in_last_layer(trainer)


def test_float16_scales_the_loss_and_trains_two_steps_with_a_finite_loss():
    trainer, metrics, changes = one_epoch(dataclasses.replace(TINY, precision="float16", ema_epochs=1.0), 32)
    assert np.isfinite(metrics.loss)
    assert int(trainer.model.optimizer.iterations) == 2
    assert float(trainer.model.optimizer.dynamic_scale) > 1
    assert trainer.net.get_layer("stem_conv").compute_dtype == "float16"
    assert last_layer(trainer.net).compute_dtype == "float32"
    assert all(np.any(change) for change in changes)


def test_float16_takes_the_steps_of_float32_within_its_precision():
    _, full, steps = one_epoch(TINY, 16)
    _, half, rounded = one_epoch(dataclasses.replace(TINY, precision="float16"), 16)
    assert half.loss == pytest.approx(full.loss, rel=1e-2)
    step, other = (np.concatenate([change.ravel() for change in changes]) for changes in (steps, rounded))
    assert step @ other > 0.99 * np.linalg.norm(step) * np.linalg.norm(other)


def test_a_training_in_float16_resumes_with_the_same_bits(faces, settings, tmp_path):
    halved = dataclasses.replace(settings, precision="float16")
    split, runs = validation_split(faces, halved), [new_run(tmp_path / name, halved) for name in ("whole", "stopped")]

    def stop(done, _total, note):
        if done == 1 and note.startswith("loss"):
            raise KeyboardInterrupt

    train(split, halved, run=runs[0])
    with pytest.raises(KeyboardInterrupt):
        train(split, halved, run=runs[1], progress=stop)
    train(split, halved, run=runs[1])
    assert runs[1].last_weights.read_bytes() == runs[0].last_weights.read_bytes()


@pytest.mark.slow
def test_float16_and_layerwise_rates_run_on_jax():
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", TWO_STEPS]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_another_name_of_a_precision_is_refused_with_the_right_one():
    with pytest.raises(UsageError, match="mixed_float16") as caught:
        TrainSettings(precision="mixed_float16")
    assert caught.value.hint == "--set precision=float16"
