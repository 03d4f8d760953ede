from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.data.dataset import Dataset, load
from edgefer.data.records import SampleTable, index_subjects
from edgefer.data.splitting import SplitShares, assign_splits

MISSING = ("nan", "NaN", "<NA>", "")
SHARES = SplitShares.parse("60/20/20")


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make_table(faces: list[int], subjects: list[str]) -> SampleTable:
    """Return samples with the face of a number, and the name of a subject, for each row."""
    count = len(faces)
    return SampleTable(
        pixels=np.stack([np.full((48, 48), face, np.uint8) for face in faces]),
        labels=np.arange(count) % 2, usage=np.zeros(count, np.int8), rows=np.arange(count), votes=None, layout="test",
        row_count=count, label_names=("happy", "sad"), subjects=index_subjects(subjects),
    )  # fmt: skip


def test_identical_images_of_different_subjects_stay_together_with_their_subjects():
    faces = [face for face in range(20) for _ in range(2)]
    table = make_table(faces, [f"{face}{copy}" for face in range(20) for copy in "ab"])
    assigned = assign_splits(table, SHARES)
    usage = assigned.usage
    assert assigned.notes[-1].endswith(" 40 subjects share identical images and stay with each other.")
    assert np.array_equal(usage[::2], usage[1::2])
    assert np.bincount(usage).tolist() == [24, 8, 8]
    # Images 0 and 1 are identical, 1 and 2 show one person, 2 and 3 are identical.
    table = make_table([0, 0, 1, 1, *range(2, 18)], ["a", "b", "b", "c", *map(str, range(16))])
    assert len(set(assign_splits(table, SHARES).usage[:4].tolist())) == 1


def test_the_draw_depends_on_the_order_of_the_subjects_alone():
    subjects = [f"{number:02d}" for number in [7, 3, 9, 1, 0, 5, 2, 8, 6, 4] * 2]
    drawn = []
    for names in (subjects, sorted(subjects)):
        table = replace(make_table(list(range(20)), names), labels=np.zeros(20, np.int64))
        drawn.append(dict(zip(names, assign_splits(table, SHARES).usage.tolist())))
    assert drawn[0] == drawn[1]


def test_an_unknown_subject_does_not_disable_the_split_by_subject():
    subjects = [str(index // 4) for index in range(40)]
    subjects[0], subjects[39] = "", ""
    faces = [*range(39), 0]
    assigned = assign_splits(make_table(faces, subjects), SHARES)
    for subject in set(subjects) - {""}:
        assert len({assigned.usage[index] for index in range(40) if subjects[index] == subject}) == 1
    assert assigned.usage[0] == assigned.usage[39]
    assert assigned.notes[-1].startswith("Split by subject (6, 2, 2 subjects) with seed 0: ")
    assert assigned.notes[-1].endswith(" images. 2 images without a known subject are split at random.")


@pytest.mark.parametrize("subjects", [[""] * 4, ["a"] * 4])
def test_one_subject_or_none_is_no_reason_to_split_by_subject(subjects):
    assert "Split at random" in assign_splits(make_table([0, 1, 2, 3], subjects), SplitShares.parse("50/50")).notes[-1]


def by_subject(dataset: Dataset) -> bool:
    return any("Split by subject (2, 2 subjects)" in note for note in dataset.notes)


@pytest.mark.parametrize("column", ["subject", "Person"])
def test_tables_have_a_column_of_subjects_by_its_usual_name(column, tmp_path):
    faces = np.random.default_rng(7).integers(0, 256, (8, 48, 48), np.uint8)
    shares = SplitShares.parse("50/50")
    rows = [f"{'happy' if index % 2 else 'sad'},{index // 2}" for index in range(8)]
    pixels = [f"{row},{' '.join(map(str, face.ravel().tolist()))}" for row, face in zip(rows, faces)]
    (tmp_path / "pixels.csv").write_text("\n".join([f"emotion,{column},pixels", *pixels]) + "\n")
    assert by_subject(load(tmp_path / "pixels.csv", split=shares))
    for index, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / f"{index}.png"), face)
    paths = [f"{row},{index}.png" for index, row in enumerate(rows)]
    (tmp_path / "paths.csv").write_text("\n".join([f"emotion,{column},file", *paths]) + "\n")
    assert by_subject(load(tmp_path / "paths.csv", columns={"label": "emotion", "path": "file"}, split=shares))


def test_missing_subjects_in_tables_are_not_one_person(tmp_path):
    faces = np.random.default_rng(9).integers(0, 256, (8, 48, 48), np.uint8)
    shares = SplitShares.parse("50/50")
    rows = [f"{('happy', 'sad')[index % 2]},{person}" for index, person in enumerate(["a", "a", "b", "b", *MISSING])]
    pixels = [f"{row},{' '.join(map(str, face.ravel().tolist()))}" for row, face in zip(rows, faces)]
    for index, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / f"{index}.png"), face)
    paths = [f"{row},{index}.png" for index, row in enumerate(rows)]
    for header, lines, columns in (
        ("emotion,subject,pixels", pixels, None),
        ("emotion,subject,file", paths, {"label": "emotion", "path": "file"}),
    ):
        (tmp_path / "faces.csv").write_text("\n".join([header, *lines]) + "\n")
        note = load(tmp_path / "faces.csv", columns=columns, split=shares).notes[-1]
        assert note.startswith("Split by subject (1, 1 subjects)")
        assert note.endswith("4 images without a known subject are split at random.")


def test_a_picture_without_a_subject_in_a_tree_is_a_group_of_its_own(tmp_path):
    faces = iter(np.random.default_rng(8).integers(0, 256, (9, 48, 48), np.uint8))

    def put(name: str) -> None:
        path = Path(tmp_path / "faces" / name)
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), next(faces))

    for label in ("happy", "sad"):
        for person in range(4):
            put(f"{label}/p{person}/1.png")
    put("happy/stray.png")
    dataset = load(tmp_path / "faces", split=SplitShares.parse("50/50"))
    assert by_subject(dataset)
    assert any("1 image without a known subject is split at random." in note for note in dataset.notes)
