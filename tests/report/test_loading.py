import json

import pytest

from edgefer.errors import DataError, IncompatibleError
from edgefer.report.loading import read_results
from edgefer.results import schema

QUANTIZATION = {
    "path": "x/y.tflite",
    "sha256": "ab",
    "scheme": "int8",
    "file_bytes": 9,
    "weight_bytes": 5,
    "provenance": {"system": "tiny"},
    "verdict": {
        "n": 4, "difference_points": -0.25, "difference_interval_95_points": [-1, 0.5], "mcnemar_p": 1,
        "agreement": 0.98, "parent_ece": 0.1, "own_ece": 0.2,
    },
    "measurement": {"invoke": {"p50_us": 7}},
}  # fmt: skip


def write(target, /, **fields):
    target.write_text(json.dumps(fields))
    return target


def test_every_kind_gives_its_records(evaluated, measured, tmp_path):
    evaluation, measurement = evaluated().to_json(), measured().to_json()
    files = [
        write(tmp_path / "a.json", **evaluation),
        write(tmp_path / "b.json", **measurement),
        write(tmp_path / "c.json", **schema.header("bench", 1), measurements=[measurement, measurement]),
        write(tmp_path / "d.json", **schema.header("training", 1), evaluation=evaluation),
        write(
            tmp_path / "e.json",
            **schema.header("quantization", 1),
            **QUANTIZATION,
            evaluation=evaluation,
        ),
        write(
            tmp_path / "f.json",
            **schema.header("quantizations", 1),
            quantizations=[{**schema.header("quantization", 1), **QUANTIZATION, "evaluation": evaluation}] * 2,
        ),
        write(tmp_path / "g.json", **schema.header("parity", 1), subject={"sha256": "ab"}, least_agreement=0.99),
    ]
    results = read_results(files)
    assert [each.to_json() for each in results.evaluations[:2]] == [evaluation] * 2
    assert [each.to_json() for each in results.measurements] == [measurement] * 3
    assert results.evaluations[-1].subject == {**evaluation["subject"], "file": "y.tflite", "file_bytes": 9}
    assert [each.sha256 for each in results.costs] == ["ab"] * 3
    assert results.costs[0].interval_points == (-1.0, 0.5)
    assert results.least_agreements == {"ab": 0.99}
    (costs,) = results.tables()
    assert "99.00" in costs.text()
    assert "| -0.25 (-1.0 to +0.5) | 98.00 | 99.00 | 7 |" in costs.markdown()


def test_a_folder_is_its_json_files_by_name(evaluated, tmp_path):
    for name, right in (("b.json", 3), ("a.json", 2), ("notes.txt", 1), (".half-written.json", 0)):
        write(tmp_path / name, **evaluated(right=right).to_json())
    assert [each.accuracy.correct for each in read_results([tmp_path]).evaluations] == [2, 3]


@pytest.mark.parametrize("kind", ["bench", "training", "quantization"])
def test_a_later_version_and_missing_fields_name_the_file(kind, tmp_path):
    later = write(tmp_path / "later.json", **schema.header(kind, 3))
    with pytest.raises(IncompatibleError, match="later.json"):
        read_results([later])
    bare = write(tmp_path / "bare.json", **schema.header(kind, 1))
    with pytest.raises(DataError, match="bare.json is damaged"):
        read_results([bare])


def damaged(record, *path, value):
    """A copy of ``record`` with another value at ``path``."""
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
def test_a_measurement_with_an_odd_field_names_its_file(measured, tmp_path, path, value):
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
def test_an_evaluation_with_an_odd_field_names_its_file(evaluated, tmp_path, path, value):
    odd = write(tmp_path / "odd.json", **damaged(evaluated().to_json(), *path, value=value))
    with pytest.raises(DataError, match=r"odd\.json"):
        read_results([odd])


@pytest.mark.parametrize("text", ["[1]", "null", '{"kind": ["bench"]}', "[" * 100_000, "{", ""], ids=len)
def test_json_that_is_no_result_names_its_file(tmp_path, text):
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(DataError, match=r"odd\.json"):
        read_results([tmp_path / "odd.json"])
