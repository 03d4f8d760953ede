import json

import pytest

from edgefer import records
from edgefer.errors import DataError, IncompatibleError
from edgefer.report.results import read_results


def write(target, /, **fields):
    target.write_text(json.dumps(fields))
    return target


def test_every_kind_gives_its_records(evaluated, measured, tmp_path):
    evaluation, measurement = evaluated().to_json(), measured().to_json()
    files = [
        write(tmp_path / "a.json", **evaluation),
        write(tmp_path / "b.json", **measurement),
        write(tmp_path / "c.json", **records.stamp("bench", 1), measurements=[measurement, measurement]),
        write(tmp_path / "d.json", **records.stamp("training", 1), evaluation=evaluation),
        write(
            tmp_path / "e.json",
            **records.stamp("quantization", 1),
            evaluation=evaluation,
            path="x/y.tflite",
            file_bytes=9,
        ),
    ]
    results = read_results(files)
    assert [each.to_json() for each in results.evaluations[:2]] == [evaluation] * 2
    assert [each.to_json() for each in results.measurements] == [measurement] * 3
    assert results.evaluations[2].subject == {**evaluation["subject"], "file": "y.tflite", "file_bytes": 9}


def test_a_folder_is_its_json_files_by_name(evaluated, tmp_path):
    for name, right in (("b.json", 3), ("a.json", 2), ("notes.txt", 1), (".half-written.json", 0)):
        write(tmp_path / name, **evaluated(right=right).to_json())
    assert [each.accuracy.correct for each in read_results([tmp_path]).evaluations] == [2, 3]


@pytest.mark.parametrize("kind", ["bench", "training", "quantization"])
def test_a_later_version_and_missing_fields_name_the_file(kind, tmp_path):
    later = write(tmp_path / "later.json", **records.stamp(kind, 2))
    with pytest.raises(IncompatibleError, match="later.json"):
        read_results([later])
    bare = write(tmp_path / "bare.json", **records.stamp(kind, 1))
    with pytest.raises(DataError, match="bare.json is damaged"):
        read_results([bare])
