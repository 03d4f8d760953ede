import numpy as np

from edgefer.contract.labels import LABELS


def test_check_counts_classes_and_duplicates(edgefer, data):
    outcome = edgefer("data", "check", data, "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"]) == ("data_check", 1)
    assert sum(record["classes"]["Training"].values()) == 280
    assert record["also_in_training"] == {"PublicTest": 5, "PrivateTest": 0}
    assert len(record["sha256"]) == 64


def test_the_text_shows_every_class_and_the_duplicates(edgefer, data):
    out = edgefer("data", "check", data.name, cwd=data.parent).out
    assert all(label in out for label in LABELS)
    assert "also in Training" in out
    assert "Exact duplicates: 10 images in 5 groups" in out
    assert max(map(len, out.splitlines())) <= 80


def test_invalid_rows_are_an_error_unless_skipped(edgefer, refused, data, tmp_path):
    arrays = dict(np.load(data))
    arrays["emotion"][3] = 9
    np.savez(tmp_path / "bad.npz", **arrays)
    assert "--skip-bad-rows" in refused("data", "check", "bad.npz", code=1)
    outcome = edgefer("data", "check", "bad.npz", "--skip-bad-rows", "--json")
    assert outcome.code == 0
    assert sum(outcome.record["classes"]["Training"].values()) == 279


def test_a_missing_file_is_named(refused):
    assert "nowhere.csv" in refused("data", "check", "nowhere.csv", code=1)


def test_the_path_is_required(edgefer):
    assert edgefer("data", "check").code == 2
