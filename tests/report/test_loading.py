import json
import re
from pathlib import Path

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.report.loading import READERS, is_result, read_results
from edgefer.results import schema


def write(target, /, **fields):
    target.write_text(json.dumps(fields))
    return target


def test_the_documentation_lists_every_kind():
    document = Path(__file__).parents[2] / "docs" / "file-formats.md"
    assert set(READERS) <= set(re.findall(r"`([a-z_]+)`", document.read_text(encoding="utf-8")))


def test_every_kind_gives_its_records(evaluated, measured, quantized, tmp_path):
    evaluation, measurement, quantization = evaluated().to_json(), measured().to_json(), quantized()
    environment = {"data": {"layout": "fer2013.csv"}}
    training = {
        "run": "runs/first", "settings": {"system": "small"}, "environment": environment, "duration_s": 9.0,
        "evaluation": evaluation, "best_epoch": 2, "epochs": 3,
    }  # fmt: skip
    files = [
        write(tmp_path / "a.json", **evaluation),
        write(tmp_path / "b.json", **measurement),
        write(tmp_path / "c.json", **schema.header("bench", 1), measurements=[measurement, measurement]),
        write(tmp_path / "d.json", **schema.header("training", 1), **training),
        write(tmp_path / "e.json", **quantization),
        write(tmp_path / "f.json", **schema.header("quantizations", 1), quantizations=[quantization] * 2),
        write(tmp_path / "g.json", **schema.header("parity", 1), subject={"sha256": "a" * 64}, least_agreement=0.99),
    ]
    results = read_results(files)
    assert [each.to_json() for each in results.evaluations[:2]] == [evaluation] * 2
    assert [each.to_json() for each in results.measurements] == [measurement] * 3
    subject = quantization["evaluation"]["subject"]
    assert results.evaluations[-1].subject == {**subject, "file": "small-int8.tflite", "file_bytes": 20480}
    assert [(each.name, each.best_epoch) for each in results.trainings] == [("first", 2)]
    assert [each.to_json() for each in results.quantizations] == [quantization] * 3
    assert results.least_agreements == {"a" * 64: 0.99}
    (costs,) = results.tables()
    assert "99.00" in costs.text()
    low, high = quantization["verdict"]["difference_interval_95_points"]
    assert f"| +0.00 ({low:+.1f} to {high:+.1f}) | 90.00 | 99.00 | 100 |" in costs.markdown()


def test_a_caller_can_read_further_kinds(evaluated, tmp_path):
    def read_watts(fields):
        return schema.Fields(fields).numbers("watts")

    write(tmp_path / "a.json", **evaluated().to_json())
    power = write(tmp_path / "power.json", **schema.header("power", 1), watts=[2, 3])
    results = read_results([tmp_path], readers={"power": read_watts})
    assert results.extra == {"power": ((2, 3),)}
    assert len(results.evaluations) == 1
    assert is_result(power, readers={"power": read_watts})
    assert not is_result(power)
    write(power, **schema.header("power", 1))
    with pytest.raises(DataError, match=r"power\.json: watts is missing"):
        read_results([power], readers={"power": read_watts})


def test_an_unknown_kind_is_refused_with_the_known_ones(tmp_path):
    power = write(tmp_path / "power.json", **schema.header("power", 1))
    with pytest.raises(DataError, match="unknown kind 'power'") as caught:
        read_results([power])
    assert "evaluation, training, quantization" in caught.value.why


def test_a_folder_means_its_json_files_in_alphabetical_order(evaluated, tmp_path):
    for name, right in (("b.json", 3), ("a.json", 2), ("notes.txt", 1), (".half-written.json", 0)):
        write(tmp_path / name, **evaluated(right=right).to_json())
    assert [each.accuracy.correct for each in read_results([tmp_path]).evaluations] == [2, 3]


@pytest.mark.parametrize("kind", ["bench", "training", "quantization"])
def test_a_later_version_and_missing_fields_name_the_file(kind, tmp_path):
    later = write(tmp_path / "later.json", **schema.header(kind, 3))
    with pytest.raises(IncompatibleError, match="later.json"):
        read_results([later])
    bare = write(tmp_path / "bare.json", **schema.header(kind, 1))
    with pytest.raises(DataError, match=r"bare\.json"):
        read_results([bare])


def damaged(record, *path, value):
    """Copy ``record`` and replace the value at ``path``."""
    copy = json.loads(json.dumps(record))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("device",), {}), (("device", "cores"), "two"), (("subject",), None), (("threads",), "1"),
        (("load_before",), "high"), (("invoke", "p50_us"), float("inf")), (("invoke", "p50_us"), None),
        (("invoke", "p50_interval_95_us"), [1]), (("runtime",), None),
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_field_of_a_measurement_names_the_file(measured, tmp_path, path, value):
    odd = write(tmp_path / "odd.json", **damaged(measured().to_json(), *path, value=value))
    with pytest.raises(DataError, match=r"odd\.json"):
        read_results([odd])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("confusion",), [[1, 2], [3]]), (("confusion",), [1, 2]), (("confusion",), []), (("confusion", 0, 0), -1),
        (("confusion", 0, 0), 1.5), (("confusion", 0, 0), 10**30), (("confusion",), [[0, 0], [0, 0]]),
        (("label_names",), ["happy"]), (("subject",), "sha256"), (("model",), None),
        (("accuracy_unseen_in_training",), {"correct": 5, "n": 2}), (("cross_entropy_nats",), "low"),
    ],
    ids=str,
)  # fmt: skip
def test_an_invalid_field_of_an_evaluation_names_the_file(evaluated, tmp_path, path, value):
    odd = write(tmp_path / "odd.json", **damaged(evaluated().to_json(), *path, value=value))
    with pytest.raises(DataError, match=r"odd\.json"):
        read_results([odd])


@pytest.mark.parametrize("text", ["[1]", "null", '{"kind": ["bench"]}', "[" * 100_000, "{", ""], ids=len)
def test_json_without_a_result_names_the_file(tmp_path, text):
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(DataError, match=r"odd\.json"):
        read_results([tmp_path / "odd.json"])
