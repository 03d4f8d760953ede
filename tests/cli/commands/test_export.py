import hashlib
import os
import zipfile

import pytest

from edgefer.models import SHIPPED


def test_a_model_is_exported_in_both_formats(edgefer, workplace, tmp_path):
    outcome = edgefer("export", workplace.int8, "--zip", "--c-array", "--output-dir", "out", "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"]) == ("export", 1)
    names = ["compact_nano-int8.pyz", "compact_nano_int8.cc", "compact_nano_int8.h"]
    assert sorted(os.listdir(tmp_path / "out")) == names
    for entry in record["files"]:
        content = (tmp_path / entry["file"]).read_bytes()
        assert entry["bytes"] == len(content)
        assert entry["sha256"] == hashlib.sha256(content).hexdigest()
    assert {"operators", "scratch_bytes", "kept_bytes"} < record["c_array"].keys()
    assert record["c_array"]["arena_bytes"] > record["c_array"]["planned_bytes"] > 0


def test_the_text_names_the_next_steps(edgefer, workplace, tmp_path):
    outcome = edgefer("export", "--zip", cwd=workplace.folder)
    assert "(the newest artifact in runs/)" in outcome.err
    bundle = next(workplace.folder.glob("*.pyz"))
    assert f"python3 {bundle.name} photo.jpg" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80
    bundle.unlink()
    assert "tensor arena" not in outcome.out


def test_the_next_step_copies_the_file_that_was_written(edgefer, tmp_path):
    model = tmp_path / "my model.tflite"
    model.write_bytes(SHIPPED.read_bytes())
    outcome = edgefer("export", model, "--zip", "--output-dir", "out")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "out" / "my model.pyz").exists()
    assert "scp 'out/my model.pyz' pi@" in outcome.out
    assert "python3 'my model.pyz' photo.jpg" in outcome.out


def test_a_file_name_that_is_not_utf8_is_exported(edgefer, tmp_path):
    model = tmp_path / os.fsdecode(b"mod\xffel.tflite")
    model.write_bytes(SHIPPED.read_bytes())
    outcome = edgefer("export", model, "--zip", "--c-array", "--json")
    assert outcome.code == 0, outcome.err
    with zipfile.ZipFile(model.with_suffix(".pyz")) as archive:
        assert "edgefer/models/bundled/mod?el.tflite" in archive.namelist()


def test_without_a_format_nothing_is_written(refused, tmp_path):
    assert "--zip, --c-array or both" in refused("export", code=2)
    assert os.listdir(tmp_path) == []


@pytest.mark.slow
def test_a_model_that_a_microcontroller_cannot_run_is_rejected(refused, edgefer, workplace, scratch, tmp_path):
    assert edgefer("quantize", "--dynamic", scratch, "--data", workplace.data).code == 0
    error = refused("export", scratch / "compact_nano-dynamic.tflite", "--zip", "--c-array", code=5)
    assert "int8 weights and float32 activations" in error
    assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("name", ["nowhere.tflite", "folder", "plain.tflite"])
def test_the_error_for_another_kind_of_file_contains_its_name(refused, tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain.tflite").write_bytes(SHIPPED.read_bytes()[:1000])
    assert name in refused("export", name, "--zip", code=1)


def test_a_file_in_the_place_of_the_output_folder_is_named(refused, tmp_path):
    (tmp_path / "taken").touch()
    assert "taken" in refused("export", SHIPPED, "--zip", "--output-dir", "taken", code=1)
