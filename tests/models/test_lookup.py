"""The default model is the newest artifact under runs/."""

import os

import pytest

from edgefer.errors import DataError
from edgefer.models import SHIPPED, find_model


@pytest.fixture
def runs(tmp_path):
    for age, name in enumerate(["first/a-int8.tflite", "first/network.tflite", "second/.b-int8.tflite", "note.tflite"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(SHIPPED.read_bytes())
        os.utime(path, (1000 + age, 1000 + age))
    return tmp_path


def test_the_float_network_of_an_import_and_an_unfinished_file_are_not_artifacts(runs):
    path, reason = find_model(None, runs=runs)
    assert (path, "newest artifact" in reason) == (runs / "first" / "a-int8.tflite", True)


def test_the_hint_for_a_run_is_its_artifact_or_the_command_that_makes_one(runs):
    run = runs / "first"
    (run / "settings.toml").write_text("")
    with pytest.raises(DataError, match="it is a run folder") as caught:
        find_model(run)
    assert caught.value.hint == str(run / "a-int8.tflite")
    (run / "a-int8.tflite").unlink()
    with pytest.raises(DataError, match="it is a run folder") as caught:
        find_model(run)
    assert caught.value.hint == f"edgefer quantize {run} --int8"


def test_without_an_artifact_the_shipped_model_is_taken(runs):
    (runs / "first" / "a-int8.tflite").unlink()
    path, reason = find_model(None, runs=runs)
    assert (path, "contains no artifact" in reason) == (SHIPPED, True)


def test_the_newest_artifact_is_taken_once_where_a_link_names_its_folder_too(runs):
    newest = runs / "second" / "c-int8.tflite"
    newest.write_bytes(SHIPPED.read_bytes())
    (runs / "latest").symlink_to("second")
    assert find_model(None, runs=runs)[0] == newest
