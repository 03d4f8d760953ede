import csv

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.ferplus import VOTED_LABELS, VOTES, attach
from edgefer.data.records import SampleTable
from edgefer.errors import DataError

FACES, AGREEMENT = 700, 0.63


def make_table(classes=range(7), count=FACES):
    """Return a table with random labels of ``classes``, in random order of its rows as those of an image tree."""
    generator = np.random.default_rng(1)
    rows = generator.permutation(count)
    return SampleTable(
        pixels=np.zeros((count, 48, 48), np.uint8),
        labels=generator.choice(list(classes), count),
        usage=np.zeros(count, np.int8),
        rows=rows,
        votes=None,
        layout="FER2013 image tree",
        row_count=None,
    )


def make_votes(table, agreement=AGREEMENT):
    """Return votes (n, 10) in the order of the rows; the most frequent one is often the label."""
    generator = np.random.default_rng(2)
    count = len(table.rows)
    votes = generator.integers(0, 3, (count, 10))
    columns = np.array([VOTED_LABELS.index(label) for label in LABELS])[table.labels]
    is_random = generator.random(count) > agreement
    columns[is_random] = generator.integers(0, 8, is_random.sum())
    votes[table.rows, columns] = 9
    return votes


def write_votes(folder, votes):
    path = folder / "fer2013new.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Usage", "Image name", *VOTES])
        writer.writerows(["Training", "", *row] for row in votes.tolist())
    return path


def test_votes_of_the_same_faces_are_attached(tmp_path):
    table = make_table()
    votes = make_votes(table)
    assert np.array_equal(attach(write_votes(tmp_path, votes), table).votes, votes[table.rows])


@pytest.mark.parametrize(("first", "last"), [(0, 699), (500, 699), (240, 460)])
def test_votes_of_other_faces_are_an_error(tmp_path, first, last):
    table = make_table()
    votes = make_votes(table)
    votes[first : last + 1] = np.roll(votes[first : last + 1], 1, axis=0)
    with pytest.raises(DataError, match=r"fer2013new\.csv does not belong to this data set, or was sorted") as refused:
        attach(write_votes(tmp_path, votes), table)
    assert "hardly more than by chance; expected about 63%" in refused.value.why
    block = int(refused.value.why.split()[2])
    assert first - 200 < block <= last


@pytest.mark.parametrize(("classes", "count"), [((1, 2, 4, 0), FACES), (range(7), 99)])
def test_too_few_classes_or_faces_are_not_compared(tmp_path, classes, count):
    table = make_table(classes, count)
    votes = make_votes(table, agreement=0.1)
    assert np.array_equal(attach(write_votes(tmp_path, votes), table).votes, votes[table.rows])


def test_faces_without_votes_for_a_class_are_not_compared(tmp_path):
    table = make_table()
    votes = make_votes(table)
    votes[:150, :8] = 0
    assert np.array_equal(attach(write_votes(tmp_path, votes), table).votes, votes[table.rows])
