"""A compiled JAX epoch, on the CPU, gives the same result as the Keras training loop."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX: pip install -e '.[jax]'")

# A subprocess, because Keras binds one backend per process.
COMPARE = """
import dataclasses, json
import numpy as np
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.epoch_data import EpochBatches
from edgefer.workstation.training.settings import TrainSettings
from edgefer.workstation.training import trainer as module
from edgefer.workstation.training.trainer import Trainer

keras = load_keras()
options = {"stem": 4, "widths": [4, 8], "depths": [1, 1]}
SETTINGS = TrainSettings(architecture="residual", model=options, batch_size=16, learning_rate=0.01)
generator = np.random.default_rng(0)
pixels = generator.integers(0, 256, (64, 48, 48, 1)).astype(np.uint8)
targets = np.eye(7, dtype=np.float32)[generator.integers(0, 7, 64)]
data = EpochBatches(pixels, np.arange(64), targets, generator.random(64).astype(np.float32), batch_size=16)

def train(settings, compiled, segment_bytes=1 << 30):
    module.SEGMENT_BYTES = segment_bytes
    trainer, metrics, logits = Trainer(keras, settings, steps_per_epoch=4, classes=7), [], []
    trainer.compiles_epochs = compiled
    for epoch in range(2):
        metrics.append(trainer.run_epoch(data, epoch=epoch, learning_rate=0.005, progress=lambda *_: None))
        logits.append(trainer.averaged_logits(pixels[:16, ..., 0]))
        trainer.restore_raw_weights()
    return metrics, np.stack(logits), trainer.raw

for ema_epochs in (0.0, 1.0):
    settings = dataclasses.replace(SETTINGS, ema_epochs=ema_epochs)
    loop, compiled = train(settings, False), train(settings, True)
    # Three batches in the first call, and one in the second.
    parts = train(settings, True, segment_bytes=3 * 16 * 48 * 48)
    print(json.dumps({
        "loop": [[epoch.loss, epoch.accuracy] for epoch in loop[0]],
        "compiled": [[epoch.loss, epoch.accuracy] for epoch in compiled[0]],
        "parts": [[epoch.loss, epoch.accuracy] for epoch in parts[0]],
        "parts_weights": max(float(np.abs(one - other).max()) for one, other in zip(compiled[2], parts[2])),
        "logits": float(np.abs(loop[1] - compiled[1]).max()),
        "weights": max(float(np.abs(one - other).max()) for one, other in zip(loop[2], compiled[2])),
        "largest_weight": float(np.abs(loop[2][0]).max()),
    }))
"""


@pytest.mark.slow
def test_a_compiled_epoch_equals_the_keras_loop_with_and_without_averaged_weights() -> None:
    command = [sys.executable, "-c", COMPARE]
    done = subprocess.run(
        command, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(results) == 2
    for result in results:
        assert result["compiled"] == [pytest.approx(epoch, abs=2e-3) for epoch in result["loop"]]
        assert result["largest_weight"] > 0.1
        assert result["weights"] < 1e-3
        assert result["parts"] == [pytest.approx(epoch, abs=1e-5) for epoch in result["compiled"]]
        assert result["parts_weights"] < 1e-5
        assert result["logits"] < 1e-2
