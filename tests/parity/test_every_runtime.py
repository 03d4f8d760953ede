"""Outputs of every architecture in int8, and of the shipped models, on every runtime in two Pythons.

``make test-parity`` runs these tests. It sets $EDGEFER_OLD_PYTHON to the Python with tflite-runtime 2.14.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest

import edgefer.models
from edgefer import plugins
from edgefer.contract.artifact import Artifact
from edgefer.contract.preprocessing import prepare_all
from edgefer.data.dataset import synthetic_dataset
from edgefer.inference.interpreters import run_model
from edgefer.inspection.parity import verify
from edgefer.report.terminal.parity import parity_text
from edgefer.results.parity import Configuration
from edgefer.workstation.quantization.calibration_data import draw_faces
from edgefer.workstation.quantization.flatbuffer_editor import compact
from edgefer.workstation.training.loop import train
from edgefer.workstation.training.validation import validation_split
from edgefer.workstation.workflows.quantization_context import QuantizationContext
from edgefer.workstation.workflows.quantize import quantize
from edgefer.workstation.workflows.train import load_system, start

OLD_PYTHON = os.environ.get("EDGEFER_OLD_PYTHON", "")
if not OLD_PYTHON:
    pytest.skip("no $EDGEFER_OLD_PYTHON with tflite-runtime 2.14: make test-parity sets it", allow_module_level=True)

ARCHITECTURES = plugins.names("edgefer.workstation.networks.architectures")
SHIPPED = sorted(Path(edgefer.models.__file__).parent.glob("*.tflite"))
RUNTIMES = ("litert", "tensorflow", "tflite_runtime")
# Options that keep the training of an architecture short; the others use their defaults.
SMALL = {
    "compact": {"stem": 8, "width": 16, "depth": 1},
    "residual": {"stem": 16, "widths": [16, 32], "depths": [1, 1]},
    # Without dropout, because after a few epochs with it all logits are within one step of each other.
    "vgg": {"width": 8, "dropout": 0.0, "dropout_growth": 0.0, "dense": 32, "dense_dropout": 0.0},
}
EPOCHS = 16
# For networks that were trained on a few hundred faces; fully trained networks agree more often. After four epochs the
# logits are so close together that compact had 96.4 % on one processor.
LEAST_AGREEMENT = 0.97
MOST_STEPS = 8


@pytest.fixture(scope="module")
def faces():
    return synthetic_dataset(training=420, held_out=140, seed=3)


def verified(artifact, faces=None):
    """Run ``artifact`` in every configuration, check the golden vectors, and return the parity record."""
    # One thread, because several threads of the built-in kernels wait for each other in busy loops. With fewer idle
    # cores than threads, that takes a hundred times as long.
    data = "synthetic faces" if faces is not None else ""
    parity = verify(artifact, faces, data=data, pythons=[OLD_PYTHON], threads=[1])
    print(parity_text(parity))
    assert not parity.failed
    assert not parity.outside_tolerance
    assert {row.configuration.runtime for row in parity.rows} >= set(RUNTIMES)
    return parity


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_outputs_of_an_architecture_agree_on_every_runtime(name, faces, tmp_path):
    changes = {"architecture": name, "model": SMALL.get(name, {}), "epochs": EPOCHS, "batch_size": 32}
    settings = dataclasses.replace(load_system("demo"), **changes)
    run = start(settings, faces, opened_with={"data": "synthetic"}, root=tmp_path)
    train(validation_split(faces, settings), settings, run=run)
    calibration = draw_faces(faces.split("Training"), size=140)
    artifact = quantize(QuantizationContext(run, faces, calibration), "int8").artifact
    public = prepare_all(faces.split("PublicTest").pixels, artifact.input_spec)
    parity = verified(artifact, public)
    assert parity.least_agreement >= LEAST_AGREEMENT
    for row in parity.rows[1:]:
        assert row.largest_difference <= MOST_STEPS
        assert row.divergence is not None or row.identical == 1


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_model_reproduces_its_golden_vectors_on_every_runtime(path):
    assert verified(Artifact.load(path)).golden_vectors >= 9


@pytest.mark.parametrize("kernels", ["default", "reference"])
@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_compacted_model_returns_the_same_bits_in_tflite_runtime(path, kernels):
    artifact = Artifact.load(path)
    configuration = Configuration("tflite_runtime", kernels, python=OLD_PYTHON)
    before, after = (
        run_model(model, artifact.golden.inputs, configuration) for model in (artifact.model, compact(artifact.model))
    )
    assert np.array_equal(before, after)
