import importlib.util
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact
from edgefer.contract.labels import LABELS
from edgefer.data.dataset import load, synthetic_dataset
from edgefer.errors import UsageError
from edgefer.search.candidate import build_candidate, graph_digest
from edgefer.search.trial import Task, TrialPlan, run_trial, take_faces
from edgefer.workstation.training.run import Run
from edgefer.workstation.training.settings_toml import to_toml

DRAWN = {"learning_rate": 0.005, "model.width": 6, "augment.zoom": 0.1}
# A subprocess, because Keras binds one backend per process.
TRIAL_ON_JAX = """
import json, sys
from pathlib import Path
from edgefer.cli.commands.search import DataSource
from edgefer.cli.data_options import DataOptions
from edgefer.search.trial import Task, TrialPlan, run_trial
from edgefer.workstation.networks.backend import load_keras

folder, data, settings = map(Path, sys.argv[1:])
assert load_keras().backend.backend() == "jax"
opened_with = {"data": str(data), "ferplus": None, "skip_bad_rows": False}
plan = TrialPlan(folder, DataSource(DataOptions(data=str(data))), opened_with, 140, "tiny")
print(json.dumps(run_trial(plan, Task(1, settings.read_text()), report=lambda epoch, accuracy: None)))
"""


def test_faces_are_a_stratified_draw_that_keeps_the_digest_of_the_data_set():
    dataset = synthetic_dataset(training=350, held_out=7)
    taken = take_faces(dataset, 70, seed=3)
    training = taken.split("Training")
    shares = np.bincount(dataset.split("Training").labels) / 350
    assert np.abs(np.bincount(training.labels) - 70 * shares).max() <= 1
    assert taken.sha256 == dataset.sha256
    assert np.array_equal(training.rows, take_faces(dataset, 70, seed=3).split("Training").rows)
    assert not np.array_equal(training.rows, take_faces(dataset, 70, seed=4).split("Training").rows)
    assert take_faces(dataset, 0, seed=3) is take_faces(dataset, 500, seed=3) is dataset


@pytest.fixture(scope="module")
def trained(space, drawn_faces_file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "trials"
    folder.mkdir()
    opened_with = {"data": str(drawn_faces_file), "ferplus": None, "skip_bad_rows": False}
    plan = TrialPlan(folder, lambda spec: load(drawn_faces_file, spec=spec), opened_with, space.faces, "tiny")
    reported = []
    task = Task(3, to_toml(space.settings(DRAWN, number=3)))
    result = run_trial(plan, task, report=lambda epoch, accuracy: reported.append((epoch, accuracy)))
    return plan, task, result, reported


@pytest.mark.slow
def test_a_trial_is_a_run_with_an_int8_model(trained):
    plan, _, result, reported = trained
    run = Run(plan.folder / "0003")
    assert [epoch for epoch, _ in reported] == [1, 2]
    assert [accuracy for _, accuracy in reported] == [epoch.selection_accuracy for epoch in run.history()]
    assert run.environment()["search"] == {"name": "tiny", "trial": 3, "faces": 140}
    assert run.environment()["data"]["images"]["Training"] == 140
    artifact = Artifact.load(run.artifact("int8"))
    assert artifact.provenance["scores"]["accuracy"] == result["accuracy"]
    assert result["run"] == "trials/0003"
    assert result["file_bytes"] == run.artifact("int8").stat().st_size


@pytest.mark.slow
def test_a_network_with_random_weights_has_the_graph_of_the_trained_one(trained, space):
    plan, _, result, _ = trained
    candidate = build_candidate(space.settings(DRAWN), labels=LABELS)
    assert candidate.graph == graph_digest(Artifact.load(Run(plan.folder / "0003").artifact("int8")).model)
    assert len(candidate.artifact) == pytest.approx(result["file_bytes"], rel=0.1)
    assert build_candidate(space.settings({**DRAWN, "learning_rate": 0.01}), labels=LABELS).graph == candidate.graph
    assert build_candidate(space.settings({**DRAWN, "model.width": 8}), labels=LABELS).graph != candidate.graph


@pytest.mark.slow
def test_a_complete_trial_is_not_trained_again(trained):
    plan, task, result, _ = trained
    reported = []
    again = run_trial(plan, task, report=lambda *epoch: reported.append(epoch))
    assert not reported
    assert {name: again[name] for name in ("accuracy", "file_bytes", "epochs")} == {
        name: result[name] for name in ("accuracy", "file_bytes", "epochs")
    }


@pytest.mark.slow
def test_a_training_that_cannot_start_gives_its_reason(trained):
    plan, _, _, _ = trained
    settings = "epochs = 1\narchitecture = \"residual\"\n[model]\nwidths = [4]\ndepths = [1, 1]\n"
    result = run_trial(plan, Task(9, settings), report=lambda *epoch: None)
    assert set(result) == {"reason"}
    assert "residual cannot be built" in result["reason"]


def test_a_candidate_that_cannot_be_built_is_a_usage_error(space):
    settings = space.settings({**DRAWN})
    object.__setattr__(settings, "model", {"stem": 0, "width": 4, "depth": 1})
    with pytest.raises(UsageError, match="cannot be built"):
        build_candidate(settings, labels=LABELS)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="needs JAX: pip install -e '.[jax]'")
def test_a_trial_that_trains_on_jax_is_quantized_with_tensorflow(space, drawn_faces_file, tmp_path):
    settings, folder = tmp_path / "settings.toml", tmp_path / "trials"
    settings.write_text(to_toml(space.settings(DRAWN, number=1)))
    folder.mkdir()
    command = [sys.executable, "-c", TRIAL_ON_JAX, folder, drawn_faces_file, settings]
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    result = json.loads(ended.stdout.splitlines()[-1])
    run = Run(folder / "0001")
    assert run.environment()["backend"] == "jax"
    artifact = Artifact.load(run.artifact("int8"))
    assert artifact.provenance["scores"]["accuracy"] == result["accuracy"]
    assert result["file_bytes"] == run.artifact("int8").stat().st_size
