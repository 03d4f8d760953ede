"""A training that shares each batch among two devices gives the learning curve of one device."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX: pip install -e '.[jax]'")

# A subprocess, because Keras binds one backend per process, and JAX the number of devices.
COMPARE = """
import contextlib, dataclasses, json
import numpy as np
from edgefer.errors import EdgeferError
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.networks.data_parallel import data_parallel
from edgefer.workstation.training.epoch_data import EpochBatches
from edgefer.workstation.training.settings import Augment, TrainSettings
from edgefer.workstation.training.trainer import Trainer

keras = load_keras()
options = {"stem": 4, "widths": [4, 8], "depths": [1, 1], "dropout": 0.2}
SETTINGS = TrainSettings(
    architecture="residual", model=options, batch_size=16, learning_rate=0.01, ema_epochs=1.0,
    augment=Augment(rotation_degrees=10, shift=0.1),
)
generator = np.random.default_rng(0)
pixels = generator.integers(0, 256, (64, 48, 48, 1)).astype(np.uint8)
targets = np.eye(7, dtype=np.float32)[generator.integers(0, 7, 64)]
data = EpochBatches(pixels, np.arange(64), targets, generator.random(64).astype(np.float32), batch_size=16)

def train(parallel, compiled):
    with contextlib.nullcontext() if parallel is None else parallel.active(keras):
        trainer, losses = Trainer(keras, SETTINGS, steps_per_epoch=4, classes=7, parallel=parallel), []
        trainer.compiles_epochs = compiled
        for epoch in range(2):
            metrics = trainer.run_epoch(data, epoch=epoch, learning_rate=0.005, progress=lambda *_: None)
            losses.append(metrics.loss)
            logits = trainer.averaged_logits(pixels[:21, ..., 0])
            trainer.restore_raw_weights()
        devices = len(trainer.model.trainable_variables[0].value.sharding.device_set)
        return {"losses": losses, "logits": logits.tolist(), "devices": devices}

two = data_parallel(keras, devices=2, batch_size=16)
results = [train(None, False), train(two, False), train(two, True)]
results.append(keras.distribution.distribution() is None)
for devices, batch_size in ((3, 16), (2, 15)):
    try:
        data_parallel(keras, devices=devices, batch_size=batch_size)
    except EdgeferError as error:
        results.append([error.what, error.hint])
results.append(data_parallel(keras, devices=1, batch_size=15) is None)
try:
    two.check_images(15, 16)
except EdgeferError as error:
    results.append(error.why)
print(json.dumps(results))
"""


@pytest.mark.slow
def test_two_devices_train_like_one_with_the_keras_loop_and_with_a_compiled_epoch() -> None:
    environment = {
        **os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", COMPARE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, loop, compiled, is_inactive, too_many, uneven, single, few_images = json.loads(done.stdout.splitlines()[-1])
    assert (one["devices"], loop["devices"], compiled["devices"]) == (1, 2, 2)
    for two in (loop, compiled):
        assert two["losses"] == pytest.approx(one["losses"], abs=2e-3)
        for ours, expected in zip(two["logits"], one["logits"], strict=True):
            assert ours == pytest.approx(expected, abs=2e-2)
    assert is_inactive
    assert single
    assert too_many == ["--gpus 3", "--gpus 2, or edgefer doctor"]
    assert uneven == ["batch_size is 15", "--set batch_size=16"]
    assert few_images == "several devices need at least one batch of 16"
