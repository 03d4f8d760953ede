import json

import numpy as np
import pytest

from edgefer.contract.artifact import Artifact


@pytest.fixture
def calibration_set(edgefer, data, tmp_path):
    outcome = edgefer("calibrate", "mine.csv", "--data", data, "--size", 35)
    assert outcome.code == 0, outcome.err
    return tmp_path / "mine.csv"


def test_the_set_is_written_and_described_in_the_record(edgefer, data, tmp_path):
    outcome = edgefer("calibrate", "sets/mine.csv", "--data", data, "--size", 35, "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"], record["faces"]) == ("calibration_set", 1, 35)
    assert set(record["classes"].values()) == {5}
    # Five faces of Training are also in PublicTest.
    assert (record["candidates"], record["images_with_a_twin"]) == (275, 5)
    assert len((tmp_path / "sets" / "mine.csv").read_text().splitlines()) == 36


def test_the_text_fits_a_terminal_and_names_the_next_step(edgefer, data):
    out = edgefer("calibrate", "mine.csv", "--data", data, "--size", 35).out
    assert out.endswith("next: edgefer quantize --int8 --calibration mine.csv\n")
    assert max(map(len, out.splitlines()[1:])) <= 80


def test_size_and_seed_determine_every_byte(edgefer, calibration_set, data):
    first = calibration_set.read_bytes()
    assert edgefer("calibrate", "mine.csv", "--data", data, "--size", 35).code == 0
    assert calibration_set.read_bytes() == first
    assert edgefer("calibrate", "mine.csv", "--data", data, "--size", 35, "--seed", 1).code == 0
    assert calibration_set.read_bytes() != first


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["mine.csv", "--size", 276], 1, "--size 275"),
        (["mine.csv", "--size", 0], 2, "--size"),
        (["."], 2, "is a directory"),
        (["mine.csv", "--run", "nowhere"], 1, "nowhere is not a run"),
    ],
)
def test_invalid_arguments_write_nothing(refused, data, arguments, code, named, tmp_path):
    assert named in refused("calibrate", *arguments, "--data", data, code=code)
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_is_not_overwritten(refused, tmp_path):
    (tmp_path / "fer2013.csv").write_text("emotion,pixels,Usage\n")
    assert "the data set" in refused("calibrate", "fer2013.csv", code=2)
    assert (tmp_path / "fer2013.csv").read_text() == "emotion,pixels,Usage\n"


def test_quantize_uses_the_set_and_records_it(edgefer, calibration_set, scratch, workplace):
    outcome = edgefer("quantize", scratch, "--int8", "--calibration", "mine.csv", "--json")
    assert outcome.code == 0, outcome.err
    assert "calibration: mine, 35 faces of Training" in outcome.err
    calibration = outcome.record["provenance"]["calibration"]
    assert (calibration["set"], calibration["faces"], len(calibration["sha256"])) == ("mine", 35, 64)
    model = scratch / workplace.int8.name
    assert Artifact.load(model).provenance["calibration"] == calibration
    assert model.read_bytes() != workplace.int8.read_bytes()


def test_calibration_trials_are_in_the_record_and_the_text(edgefer, scratch, tmp_path):
    arguments = ("--calibration-size", 50, "--calibration-trials", 2)
    outcome = edgefer("quantize", scratch, "--int8", *arguments, "--out", "result.json")
    assert outcome.code == 0, outcome.err
    assert "2 disjoint sets of 50 calibration faces" in outcome.out
    assert outcome.out.splitlines()[-1].startswith("next:")
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["stability"]["sets"] == len(record["stability"]["accuracies"]) == 2
    assert record["provenance"]["calibration"] == {"faces": 50, "seed": 0}


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--float32", "--calibration-trials", 2], 2, "--calibration-trials with float32"),
        (["--float32", "--calibration", "mine.csv"], 2, "--calibration with float32"),
        (["--int8", "--calibration", "mine.csv", "--seed", 0], 2, "omit --seed"),
        (["--int8", "--calibration", "mine.csv", "--calibration-size", 9], 2, "omit --calibration-size"),
        (["--int8", "--calibration", "nowhere.csv"], 1, "edgefer calibrate nowhere.csv"),
        (["--int8", "--calibration", "fer2013-500"], 1, "fer2013-500.csv do not match"),
        (["--int8", "--calibration-size", 100, "--calibration-trials", 3], 1, "--calibration-size 91"),
    ],
)
def test_quantize_rejects_an_invalid_calibration(refused, workplace, arguments, code, named):
    before = workplace.int8.read_bytes()
    assert named in refused("quantize", workplace.run, *arguments, code=code)
    assert workplace.int8.read_bytes() == before


def test_a_set_for_a_run_excludes_its_validation_images(edgefer, data, tmp_path):
    arrays = dict(np.load(data))
    kept = arrays["usage"] != "PublicTest"
    np.savez(tmp_path / "two.npz", **{name: values[kept] for name, values in arrays.items()})
    trained = edgefer("train", "--data", "two.npz", "--system", "compact_nano", "--epochs", 1, "--run", "run")
    assert trained.code == 0, trained.err
    without_run = edgefer("calibrate", "all.csv", "--data", "two.npz", "--size", 70)
    assert "--run RUN excludes them" in without_run.err
    refusal = edgefer("quantize", "run", "--int8", "--calibration", "all.csv")
    assert refusal.code == 1
    assert "of Training, not in Training" in refusal.err
    assert "edgefer calibrate NEW.csv --run RUN" in refusal.err
    assert edgefer("calibrate", "own.csv", "--run", "run", "--size", 70).code == 0
    outcome = edgefer("quantize", "run", "--int8", "--calibration", "own.csv")
    assert outcome.code == 0, outcome.err
