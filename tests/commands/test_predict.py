import os

import pytest

from edgefer.labels import LABELS


def test_each_picture_gets_a_label_and_seven_probabilities(edgefer, workplace, pictures):
    outcome = edgefer("predict", *pictures, "--model", workplace.int8, "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"]) == ("predictions", 1)
    assert [each["image"] for each in record["predictions"]] == [str(path) for path in pictures]
    for each in record["predictions"]:
        probabilities = each["probabilities"]
        assert tuple(probabilities) == LABELS
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert each["label"] == max(probabilities, key=probabilities.get)


def test_the_table_names_the_pictures(edgefer, workplace, pictures):
    out = edgefer("predict", pictures[0].name, "--model", workplace.int8, cwd=pictures[0].parent).out
    assert "expression" in out
    assert pictures[0].name in out


def test_the_newest_artefact_is_taken_where_none_is_named(edgefer, workplace, pictures):
    outcome = edgefer("predict", pictures[0], cwd=workplace.folder)
    assert outcome.code == 0
    assert "(the newest artefact in runs/)" in outcome.err


def test_threads_and_runtime_change_nothing(edgefer, workplace, pictures):
    plain = edgefer("predict", *pictures, "--model", workplace.int8, "--json").record
    other = edgefer(
        "predict", *pictures, "--model", workplace.int8, "--threads", 2, "--runtime", "auto", "--json"
    ).record
    assert other == plain


@pytest.mark.parametrize("name", ["nowhere.png", "empty.png", "text.png", "folder"])
def test_what_is_no_picture_is_named(refused, workplace, pictures, tmp_path, name):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "folder").mkdir()
    assert name in refused("predict", pictures[0], name, "--model", workplace.int8, code=1)


def test_an_odd_name_is_no_markup(edgefer, workplace, pictures, tmp_path):
    os.link(pictures[0], tmp_path / "[red]face.png")
    assert "[red]face.png" in edgefer("predict", "[red]face.png", "--model", workplace.int8).out
