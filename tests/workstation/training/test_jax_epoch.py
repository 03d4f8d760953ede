"""An epoch as one program, on the processor: what it learns is what Keras's own loop learns."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX: pip install -e '.[jax]'")

# In a process of its own, because Keras has one backend in each.
BOTH_WAYS = """
import json, sys
import numpy as np
from edgefer.workstation import trainer as module
from edgefer.workstation.networks.backend import load_keras
from edgefer.workstation.training.settings import TrainSettings

keras, ema = load_keras(), float(sys.argv[1])
options = {"stem": 4, "widths": [4, 8], "depths": [1, 1]}
settings = TrainSettings(architecture="residual", model=options, batch_size=16, ema_epochs=ema, learning_rate=0.01)
generator = np.random.default_rng(0)
pixels = generator.integers(0, 256, (64, 48, 48, 1)).astype(np.uint8)
data = pixels, np.eye(7, dtype=np.float32)[generator.integers(0, 7, 64)], generator.random(64).astype(np.float32)

def learned(at_once):
    module.at_once = lambda keras: at_once
    trainer, history, logits = module.Trainer(keras, settings, steps_per_epoch=4), [], []
    for _ in range(2):
        history.append(trainer.run_epoch(data, history, lambda *_: None))
        logits.append(trainer.averaged_logits(pixels[:16, ..., 0]))
        trainer._assign(trainer.raw)
    return history, np.stack(logits), trainer.raw

loops, programs = learned(False), learned(True)
print(json.dumps({
    "losses": [[epoch.loss, epoch.accuracy] for epoch in loops[0]],
    "at_once": [[epoch.loss, epoch.accuracy] for epoch in programs[0]],
    "logits": float(np.abs(loops[1] - programs[1]).max()),
    "weights": max(float(np.abs(one - other).max()) for one, other in zip(loops[2], programs[2])),
    "moved": float(np.abs(loops[2][0]).max()),
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("ema", [0.0, 1.0])
def test_an_epoch_at_once_learns_what_the_loop_learns(ema: float) -> None:
    command = [sys.executable, "-c", BOTH_WAYS, str(ema)]
    done = subprocess.run(
        command, env={**os.environ, "KERAS_BACKEND": "jax"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["at_once"] == [pytest.approx(each, abs=2e-3) for each in found["losses"]]
    assert found["moved"] > 0.1
    assert found["weights"] < 1e-3
    assert found["logits"] < 1e-2
