"""The int8 model of every architecture, and the models that ship, in every runtime there is, in two Pythons.

Run by ``make test-parity``, which says in $EDGEFER_OLD_PYTHON where the Python with tflite-runtime 2.14 is.
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
# Options that keep an architecture quick to train; the others are built as they are by default.
SMALL = {
    "compact": {"stem": 8, "width": 16, "depth": 1},
    "residual": {"stem": 16, "widths": [16, 32], "depths": [1, 1]},
    # Without dropout: four epochs with it leave all logits within a step of each other, where a step is a label.
    "vgg": {"width": 8, "dropout": 0.0, "dropout_growth": 0.0, "dense": 32, "dense_dropout": 0.0},
}
EPOCHS = 4
# Of nets that saw a few hundred faces a few times; what trained ones reach on real faces is edgefer verify's to say.
LEAST_AGREEMENT = 0.97
MOST_STEPS = 8


@pytest.fixture(scope="module")
def faces():
    return synthetic_dataset(training=420, held_out=140, seed=3)


def verified(artifact, faces=None):
    """``artifact`` in every configuration, all of which ran and kept the contract."""
    # One thread: several of the built-in kernels' wait for each other by spinning, which takes a hundred times as long
    # where they are more than the idle processors.
    data = "drawn faces" if faces is not None else ""
    parity = verify(artifact, faces, data=data, pythons=[OLD_PYTHON], threads=[1])
    print(parity_text(parity))
    assert not parity.failed
    assert not parity.outside_tolerance
    assert {row.configuration.runtime for row in parity.rows} >= set(RUNTIMES)
    return parity


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_answers_alike_everywhere(name, faces, tmp_path):
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
def test_a_model_that_ships_keeps_its_contract_everywhere(path):
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
