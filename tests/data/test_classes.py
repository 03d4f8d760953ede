"""The classes of a data set: selection for a model, and names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.class_names import read_labels_map, with_canonical_classes
from edgefer.data.dataset import Dataset, Split, ferplus_targets, synthetic_dataset
from edgefer.data.ferplus import VOTES
from edgefer.data.naming import canonical_name, match_names
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


def named(*names: str) -> SampleTable:
    count = len(names)
    return SampleTable(
        pixels=np.zeros((count, 48, 48), np.uint8), labels=np.arange(count), usage=np.zeros(count, np.int8),
        rows=np.arange(count), votes=None, layout="test", row_count=count, label_names=names,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["0", "1.0", "-1", "2.5", "+3", "1e0", "3.0000000e+00", ".5"])
def test_numbers_of_any_form_are_no_class_names(name):
    with pytest.raises(DataError, match="are numbers: their meaning is unknown"):
        with_canonical_classes(named(name, "happy"), {})
    with pytest.raises(DataError, match="are numbers: their meaning is unknown"):
        with_canonical_classes(named("joy", "happy"), {"joy": name})


def test_a_map_of_numbers_applies_to_numbers_with_a_fraction_of_0():
    names = {"0": "calm", "1.0": "sad", "-1": "shy"}
    classes = with_canonical_classes(named("0.0", "1", "2.0", "-1.0"), names, defaults={"2": "fear"})
    assert classes.label_names == ("calm", "fear", "sad", "shy")
    assert [classes.label_names[label] for label in classes.labels] == ["calm", "sad", "fear", "shy"]
    assert not any("other classes" in note for note in classes.notes)


def test_names_that_differ_only_in_case_are_one_class():
    faces = named("BORED", "Bored", "bored", "happy", "Calm", "calm")
    table = replace(faces, labels=np.int64([0, 1, 2, 2, 2, 1, 3, 4, 5]))
    classes = with_canonical_classes(table, {})
    assert classes.label_names == ("Calm", "bored", "happy")
    assert [classes.label_names[label] for label in classes.labels] == [*["bored"] * 6, "happy", "Calm", "Calm"]
    assert classes.notes == ("Class names: BORED is bored, Bored is bored, calm is Calm.",)
    mapped = with_canonical_classes(named("froh", "Happy", "ennui", "Bored"), {"froh": "HAPPY", "ennui": "bored"})
    assert mapped.label_names == ("Bored", "happy")


def test_names_that_differ_only_in_their_unicode_form_are_one_class():
    composed, decomposed = "fr\u00f6hlich", "fro\u0308hlich"
    classes = with_canonical_classes(named(decomposed, composed), {})
    assert (classes.label_names, classes.labels.tolist(), classes.notes) == ((composed,), [0, 0], ())
    for name, key in ((composed, decomposed), (decomposed, composed)):
        renamed = with_canonical_classes(named(name, "sad"), {key: "happy"})
        assert renamed.label_names == ("happy", "sad")
        assert renamed.notes == (f"Class names: {name} is happy.",)
        assert with_canonical_classes(named("joy", "sad"), {"joy": name}).label_names == (composed, "sad")
        assert match_names((name,), ("sad", key)) == {name: 1}


@pytest.mark.parametrize("name", ["\x1b[2J", "\udcff", "fr\ufffdhlich", "a" * 101, "a\nb"])
def test_a_class_name_that_no_model_can_carry_is_refused(name):
    faces = SampleTable(
        pixels=np.zeros((1, 48, 48), np.uint8), labels=np.int64([0]), usage=np.int8([0]), rows=np.int64([0]),
        votes=None, layout="test", row_count=1, label_names=(name,),
    )  # fmt: skip
    with pytest.raises(DataError, match="is not usable as a class name") as caught:
        with_canonical_classes(faces, {})
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_labels_map_has_one_name_for_each_class(tmp_path):
    path = tmp_path / "names.toml"
    path.write_text('"Froh" = "happy"\n"froh " = "happy"\n')
    assert set(read_labels_map(path).values()) == {"happy"}
    path.write_text('"Froh" = "happy"\nfroh = "joyful"\n')
    with pytest.raises(DataError, match=r"names\.toml has two names for the class 'froh': .* 'happy' and 'joyful'"):
        read_labels_map(path)
