"""benchmarks/ledgers/teachers.py: teachers alone and together as a table."""

import pytest
from ledgers.teachers import read_teachers, teachers_table

from edgefer.errors import DataError
from edgefer.results import schema

ALONE = {"teachers": ["base"], "correct": 2522, "mirror_correct": 2521}
TOGETHER = {"teachers": ["base", "b1_hard"], "correct": 2525, "mirror_correct": 2549}
STUDENT = {"student": "nano", "public_agreement": 0.8312, "training_agreement": 0.8351}


def record(*combinations, **changes):
    content = {"n": 3589, "training_faces": 400, "combinations": list(combinations), "students": [STUDENT]}
    return {**schema.header("teachers", 1), **content, **changes}


def test_row_has_the_names_and_both_accuracies():
    text = teachers_table(read_teachers(record(ALONE, TOGETHER))).markdown()
    assert "| base | 70.27 (68.8-71.7) | 70.24 |" in text
    assert "| base, b1_hard | 70.35 (68.8-71.8) | 71.02 |" in text
    assert (
        "nano labels 83.1 % of PublicTest and 83.5 % of 400 augmented Training faces like all teachers together."
        in " ".join(text.split())
    )


@pytest.mark.parametrize("change", [{"teachers": "base"}, {"correct": 3590}, {"mirror_correct": -1}])
def test_damaged_combination_is_refused(change):
    with pytest.raises(DataError):
        read_teachers(record({**ALONE, **change}))


@pytest.mark.parametrize("changes", [{"kind": "peers"}, {"n": "all"}, {"students": [{**STUDENT, "student": None}]}])
def test_damaged_record_is_refused(changes):
    with pytest.raises(DataError):
        read_teachers(record(ALONE, **changes))
