"""One small training on drawn faces, made once and used by all tests of what follows a training."""

import dataclasses

import pytest

from edgefer.workstation.dataset import synthetic_dataset
from edgefer.workstation.experiment import complete, load_system, start


@pytest.fixture(scope="session")
def faces():
    return synthetic_dataset(training=420, held_out=140, seed=5)


@pytest.fixture(scope="session")
def settings():
    return dataclasses.replace(load_system("demo"), epochs=2, batch_size=32)


@pytest.fixture(scope="session")
def finished_run(faces, settings, tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    run = start(settings, faces, opened_with={"data": "synthetic", "ferplus": None, "skip_bad_rows": False}, root=root)
    complete(run, faces)
    return run
