"""The classes of a data set: selection for a model, and names."""

from __future__ import annotations

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.class_names import with_canonical_classes
from edgefer.data.dataset import Dataset, Split, ferplus_targets, synthetic_dataset
from edgefer.data.ferplus import VOTES
from edgefer.data.naming import canonical_name
from edgefer.data.records import SampleTable
from edgefer.errors import DataError


@pytest.fixture(scope="module")
def seven() -> Dataset:
    return synthetic_dataset(training=21, held_out=14)


def test_the_selection_of_all_classes_in_their_order_changes_nothing(seven):
    assert seven.labels == LABELS
    assert seven.select(LABELS) is seven


def test_a_selection_reorders_the_labels_and_leaves_out_other_classes(seven):
    selected = seven.select(("neutral", "happy", "angry"))
    for name, split in selected.splits.items():
        before = seven.split(name)
        names = [LABELS[label] for label in before.labels]
        kept = [index for index, label in enumerate(names) if label in selected.labels]
        assert split.rows.tolist() == before.rows[kept].tolist()
        assert np.array_equal(split.pixels, before.pixels[kept])
        assert [selected.labels[label] for label in split.labels] == [names[index] for index in kept]
        assert split.label_names == ("neutral", "happy", "angry")
    assert selected.sha256 != seven.sha256
    assert selected.notes[-1] == ("Skipped: 28 images of other classes: disgust (7), fear (7), sad (7), surprise (7).")


def test_labels_of_a_model_match_synonyms_and_may_have_no_faces(seven):
    selected = seven.select(("Happiness", "contempt", "SAD"))
    assert sorted(set(selected.split("Training").labels.tolist())) == [0, 2]
    assert len(selected.split("Training")) == 6


def test_a_selection_without_faces_names_the_classes_of_the_data(seven):
    with pytest.raises(DataError, match=r"no images of calm, tense: its classes are angry \(7\), disgust \(7\)"):
        seven.select(("calm", "tense"))


def test_ferplus_targets_follow_the_selected_classes():
    votes = np.zeros((2, 10), np.float32)
    votes[0, VOTES.index("contempt")], votes[0, VOTES.index("happiness")] = 3, 1
    votes[1, VOTES.index("sadness")] = 5
    faces = Split(np.zeros((2, 48, 48), np.uint8), np.int64([1, 0]), np.arange(2), votes, ("happy", "contempt", "calm"))
    assert ferplus_targets(faces).tolist() == [[0.25, 0.75, 0.0], [1.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Happiness", "happy"), ("anger", "angry"), ("Surprised", "surprise"), ("suprise", "surprise"),
        ("fearful", "fear"), ("disgusted", "disgust"), ("sadness", "sad"), ("Contempt", "contempt"), ("Bored", "Bored"),
    ],
)  # fmt: skip
def test_synonyms_map_to_the_canonical_name_and_unknown_names_stay(name, label):
    assert canonical_name(name) == label


@pytest.mark.parametrize("name", ["\x1b[2J", "\udcff", "a" * 101, "a\nb"])
def test_a_class_name_that_no_model_can_carry_is_refused(name):
    faces = SampleTable(
        pixels=np.zeros((1, 48, 48), np.uint8), labels=np.int64([0]), usage=np.int8([0]), rows=np.int64([0]),
        votes=None, layout="test", row_count=1, label_names=(name,),
    )  # fmt: skip
    with pytest.raises(DataError, match="is not usable as a class name") as caught:
        with_canonical_classes(faces, {})
    assert str(caught.value).replace("\n", "").isprintable()
