from __future__ import annotations

import dataclasses
import hashlib
import json

import numpy as np

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Dataset, Split
from edgefer.data.ferplus import VOTES
from edgefer.data.validation import check, summary

FACES = np.random.default_rng(5).integers(0, 256, (6, 48, 48), np.uint8)


def split(indices: list[int], labels: list[int], votes: np.ndarray | None = None) -> Split:
    return Split(FACES[indices], np.int64(labels), np.arange(len(indices)), votes)


def dataset(**splits: Split) -> Dataset:
    return Dataset("faces", "npz", splits, "0" * 64, ("a note",))


def test_duplicates_are_counted_as_images_as_groups_and_across_splits():
    report = check(
        dataset(
            # Face 0 three times with two labels, face 1 twice here, face 2 once.
            Training=split([0, 0, 0, 1, 1, 2], [3, 3, 4, 0, 0, 5]),
            # Face 1 twice more, face 2 with another label, face 3 alone.
            PublicTest=split([1, 1, 2, 3], [0, 0, 6, 1]),
            # Face 4 twice, in no other split.
            PrivateTest=split([4, 4, 5], [2, 2, 2]),
        )
    )
    assert report.duplicate_images == 3 + 4 + 2 + 2
    assert report.duplicate_groups == 4
    assert report.groups_across_splits == 2
    assert report.groups_with_conflicting_labels == 2
    assert report.also_in_training == {"PublicTest": 3, "PrivateTest": 0}


def test_classes_are_counted_by_name_including_empty_ones():
    report = check(dataset(Training=split([0, 1, 2], [3, 3, 6])))
    assert report.classes["Training"] == {**dict.fromkeys(LABELS, 0), "happy": 2, "neutral": 1}
    assert report.also_in_training == {}


def test_duplicates_of_training_need_a_training_split():
    assert check(dataset(PublicTest=split([0], [3]))).also_in_training == {}


def test_constant_images_are_counted():
    faces = FACES[:4].copy()
    faces[0], faces[1] = 0, 255
    faces[2] = 7
    faces[2, 47, 47] = 8
    report = check(dataset(Training=Split(faces, np.int64([0, 1, 2, 3]), np.arange(4))))
    assert report.constant_images == {"Training": 2}


def test_agreement_excludes_faces_without_votes_for_a_label_and_accepts_ties():
    votes = np.zeros((4, 10), np.float32)
    votes[0, VOTES.index("happiness")] = 9
    votes[1, VOTES.index("happiness")] = 9
    votes[2, VOTES.index("NF")] = 10
    votes[3, [VOTES.index("fear"), VOTES.index("surprise")]] = 5
    labels = [LABELS.index(name) for name in ("happy", "sad", "sad", "surprise")]
    report = check(dataset(Training=split([0, 1, 2, 3], labels, votes), PublicTest=split([4], [0], votes[2:3])))
    assert report.ferplus_agreement == {"Training": 2 / 3}


def test_the_record_contains_json_values():
    report = check(dataset(Training=split([0, 1], [3, 3]), PublicTest=split([0], [3])))
    fields = json.loads(json.dumps(report.to_json()))
    assert fields == report.to_json()
    assert fields["notes"] == ["a note"]
    assert fields["also_in_training"] == {"PublicTest": 1}


def test_the_summary_shows_the_name_of_the_source_in_one_line():
    report = dataclasses.replace(check(dataset(Training=split([0, 1], [3, 3]))), source="my\nfaces\x1b[2J")
    assert summary(report).text.startswith("my\\nfaces\\x1b[2J: ")


def faces_split(pixels: np.ndarray) -> Split:
    return Split(pixels, np.zeros(len(pixels), np.int64), np.arange(len(pixels)))


def test_duplicates_are_equal_in_every_byte():
    almost = FACES[1].copy()
    almost[0, 0] ^= 1
    mixed = faces_split(np.stack([FACES[0], almost, FACES[2]]))
    mask = mixed.duplicates_of(faces_split(FACES[:2]))
    assert mask.dtype == np.bool_
    assert mask.tolist() == [True, False, False]
    assert faces_split(FACES[:0]).duplicates_of(faces_split(FACES)).shape == (0,)


def test_duplicates_do_not_depend_on_the_memory_layout():
    assert faces_split(np.asfortranarray(FACES[:3])).duplicates_of(faces_split(FACES)).all()


def test_digests_of_a_split_are_computed_once():
    training = faces_split(FACES)
    assert training.digests is training.digests
    assert training.digests[2] == hashlib.sha256(FACES[2].tobytes()).digest()
