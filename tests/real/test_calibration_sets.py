"""The shipped calibration sets match FER2013; skipped without ../shared/fer2013."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgefer.data.dataset import Dataset, load
from edgefer.workstation.quantization.calibration_data import calibration_pool
from edgefer.workstation.quantization.calibration_set import find_set, load_set, to_csv

REAL = Path(__file__).parents[3] / "shared" / "fer2013"
CALIBRATION = Path(__file__).parents[2] / "calibration"
SEED = 16

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="FER2013 is not in ../shared/fer2013")


@pytest.fixture(scope="module")
def fer2013(tmp_path_factory) -> Iterator[Dataset]:
    folder = tmp_path_factory.mktemp("fer2013")
    subprocess.run([sys.executable, REAL / "materialize.py", folder, "--npz"], check=True)
    yield load(folder / "fer2013.npz", cache=False)
    shutil.rmtree(folder)


@pytest.mark.parametrize("size", [210, 500])
def test_every_row_matches_the_data_set(size, fer2013):
    calibration = load_set(CALIBRATION / f"fer2013-{size}.csv", fer2013)
    assert calibration.faces.shape == (size, 48, 48)
    assert calibration.dropped == 0


@pytest.mark.parametrize("size", [210, 500])
def test_a_new_selection_gives_the_same_bytes(size, fer2013):
    selection = calibration_pool(fer2013).select(size=size, seed=SEED)
    assert to_csv(selection).encode() == (CALIBRATION / f"fer2013-{size}.csv").read_bytes()
    for deciles in (selection.brightness, selection.contrast):
        assert np.bincount(deciles).tolist() == [size // 10] * 10


def test_the_default_set_of_fer2013_has_500_faces(fer2013):
    assert find_set(None, fer2013).name == "fer2013-500"


def test_no_row_has_recovered_pixels():
    with (REAL / "labels.csv").open(newline="") as file:
        recovered = {row["row"] for row in csv.DictReader(file) if row["recovered"] == "1"}
    assert recovered
    for path in CALIBRATION.glob("*.csv"):
        with path.open(newline="") as file:
            assert not recovered & {row["row"] for row in csv.DictReader(file)}
