import hashlib
import os

import pytest

from edgefer.models import SHIPPED


def test_both_forms_of_a_model(edgefer, workplace, tmp_path):
    outcome = edgefer("export", workplace.int8, "--zip", "--c-array", "--output-dir", "out", "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"]) == ("export", 1)
    names = ["compact_nano-int8.pyz", "compact_nano_int8.cc", "compact_nano_int8.h"]
    assert sorted(os.listdir(tmp_path / "out")) == names
    for each in record["files"]:
        content = (tmp_path / each["file"]).read_bytes()
        assert each["bytes"] == len(content)
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
    assert record["c_array"]["arena_bytes"] > record["c_array"]["planned_bytes"] > 0


def test_the_text_says_what_to_do_next(edgefer, workplace, tmp_path):
    outcome = edgefer("export", "--zip", cwd=workplace.folder)
    assert "(the newest artifact in runs/)" in outcome.err
    made = next(workplace.folder.glob("*.pyz"))
    assert f"python3 {made.name} photo.jpg" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    made.unlink()
    assert "tensor arena" not in outcome.out


def test_without_a_form_nothing_is_written(refused, tmp_path):
    assert "--zip or --c-array" in refused("export", code=2)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_what_a_microcontroller_cannot_run_is_refused(refused, edgefer, workplace, scratch, tmp_path):
    assert edgefer("quantize", "--dynamic", scratch, "--data", workplace.data).code == 0
    error = refused("export", scratch / "compact_nano-dynamic.tflite", "--zip", "--c-array", code=5)
    assert "int8 weights on float32 values" in error
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("name", ["nowhere.tflite", "folder", "plain.tflite"])
def test_what_is_no_artifact_is_named(refused, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain.tflite").write_bytes(SHIPPED.read_bytes()[:1000])
    assert name in refused("export", name, "--zip", code=1)


def test_a_file_is_no_folder(refused, tmp_path):
    (tmp_path / "taken").touch()
    assert "taken" in refused("export", SHIPPED, "--zip", "--output-dir", "taken", code=1)
