import json

import pytest

from edgefer.errors import DataError
from edgefer.results.accuracy_search import AccuracySearch, Candidate, MethodResult

METHOD = MethodResult("percentile", (0.6, 0.62), 0.97, 0.95)
CANDIDATE = Candidate("percentile", "int8", {"io": "uint8"}, -0.25, (-0.75, 0.25), 0.98, 97_000, 1.5, True)
SEARCH = AccuracySearch(0.3, (METHOD,), (CANDIDATE,))


def test_the_record_keeps_its_keys():
    record = SEARCH.to_json()
    assert list(record) == ["max_drop_points", "methods", "tries"]
    assert record["methods"] == [
        {"name": "percentile", "accuracies": [0.6, 0.62], "agreement": 0.97, "parent_agreement": 0.95}
    ]
    assert list(record["tries"][0]) == [
        "name", "scheme", "recipe", "difference_points", "interval_points", "agreement", "model_bytes", "duration_s",
        "holds",
    ]  # fmt: skip


def test_the_record_is_read_back():
    assert AccuracySearch.from_json(json.loads(json.dumps(SEARCH.to_json()))) == SEARCH


@pytest.mark.parametrize("change", [{"tries": [{}]}, {"methods": "percentile"}, {"max_drop_points": None}])
def test_a_damaged_record_is_refused(change):
    with pytest.raises(DataError):
        AccuracySearch.from_json({**SEARCH.to_json(), **change})
