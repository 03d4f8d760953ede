import pytest

from edgefer.models import SHIPPED
from edgefer.results.inspection import Inspection


def test_the_text_for_the_shipped_model(edgefer):
    outcome = edgefer("inspect", SHIPPED)
    assert outcome.code == 0, outcome.err
    assert "45,475,872" in outcome.out
    assert "golden vectors: ok" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_a_new_model_runs_and_has_a_valid_contract(edgefer, workplace):
    for model in (workplace.int8, workplace.float32):
        record = edgefer("inspect", model, "--json").record
        assert (record["kind"], record["schema_version"]) == ("inspection", 1)
        inspection = Inspection.from_json(record)
        assert (inspection.contract.status, inspection.first_run) == ("ok", "ok")
        assert inspection.target("tflite_runtime").fits == "yes"
        assert inspection.contract.provenance["system"] == "compact_nano"


def test_out_writes_what_json_prints(edgefer, tmp_path):
    printed = edgefer("inspect", SHIPPED, "--json", "--out", tmp_path / "inspection.json")
    assert (tmp_path / "inspection.json").read_text() == printed.out


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (b"", "it is empty"),
        (b"no model", "it is text"),
        (SHIPPED.read_bytes()[:5000], "not a TensorFlow Lite model"),
    ],
)
def test_other_files_are_rejected_with_a_message(refused, tmp_path, content, named):
    (tmp_path / "model.tflite").write_bytes(content)
    assert named in refused("inspect", "model.tflite", code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["nowhere.tflite"], 1, "nowhere.tflite"),
        (["."], 1, "a folder"),
        ([SHIPPED, "--timeout", "0"], 2, "--timeout"),
        ([SHIPPED, "--memory", "10"], 2, "--memory"),
    ],
)
def test_invalid_arguments_get_a_hint(refused, arguments, code, named):
    assert named in refused("inspect", *arguments, code=code)
