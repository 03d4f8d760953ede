import pytest

from edgefer.models import SHIPPED
from edgefer.results.inspection import Inspection


def test_the_model_that_ships(edgefer):
    outcome = edgefer("inspect", SHIPPED)
    assert outcome.code == 0, outcome.err
    assert "77,350,392" in outcome.out
    assert "golden vectors: ok" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_a_model_just_made_runs_keeps_its_contract_and_fits(edgefer, workplace):
    for model in (workplace.int8, workplace.float32):
        record = edgefer("inspect", model, "--json").record
        assert (record["kind"], record["schema_version"]) == ("inspection", 1)
        found = Inspection.from_json(record)
        assert (found.contract.status, found.first_run) == ("ok", "ok")
        assert found.target("tflite_runtime").fits == "yes"
        assert found.contract.provenance["system"] == "compact_nano"


def test_out_writes_what_json_prints(edgefer, tmp_path):
    printed = edgefer("inspect", SHIPPED, "--json", "--out", tmp_path / "inspection.json")
    assert (tmp_path / "inspection.json").read_text() == printed.out


@pytest.mark.parametrize("content", [b"", b"no model", SHIPPED.read_bytes()[:5000]])
def test_other_files_are_refused_in_a_sentence(refused, tmp_path, content):
    (tmp_path / "model.tflite").write_bytes(content)
    assert "not a TensorFlow Lite model" in refused("inspect", "model.tflite", code=1)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["nowhere.tflite"], 1, "nowhere.tflite"),
        (["."], 1, "a folder"),
        ([SHIPPED, "--timeout", "0"], 2, "--timeout"),
        ([SHIPPED, "--memory", "10"], 2, "--memory"),
    ],
)
def test_slips(refused, arguments, code, named):
    assert named in refused("inspect", *arguments, code=code)
