from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec, prepare
from edgefer.data.dataset import load
from edgefer.data.records import FaceCrop
from edgefer.data.splitting import SplitShares
from edgefer.errors import DataError

RNG = np.random.default_rng(4)


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def put(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = cv2.imencode(".png", RNG.integers(0, 256, (48, 48), np.uint8))[1]
    path.write_bytes(content.tobytes())


def make_tree(root: Path, *splits: str, labels: tuple[str, ...] = LABELS) -> Path:
    for split in splits:
        for label in labels:
            put(root / split / label / "1.png")
    return root


def sizes(path: Path) -> dict[str, int]:
    return {name: len(split) for name, split in load(path).splits.items()}


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        (("training", "testing"), {"Training": 7, "PublicTest": 7}),
        (("FER2013Train", "FER2013Valid", "FER2013Test"), {"Training": 7, "PublicTest": 7, "PrivateTest": 7}),
        (("Train_Set", "dev-set"), {"Training": 7, "PublicTest": 7}),
        (("images/images/train", "images/images/validation"), {"Training": 7, "PublicTest": 7}),
        (("FER2013/train", "FER2013/test"), {"Training": 7, "PublicTest": 7}),
        (("train", "publictest", "private_test"), {"Training": 7, "PublicTest": 7, "PrivateTest": 7}),
    ],
)
def test_folders_of_splits_are_found_under_their_usual_names(splits, expected, tmp_path):
    assert sizes(make_tree(tmp_path / "tree", *splits)) == expected


@pytest.mark.parametrize(
    "name",
    [
        "train/happy/.ipynb_checkpoints/1-checkpoint.png", "train/sad/.Trash-1000/files/old.png",
        "train/.x/happy/1.png",
        "train/fear/@eaDir/1.png/SYNOFILE_THUMB_M.png", "__MACOSX/train/happy/1.png", "train/sad/.12_abcdefgh-1.png",
        "train/happy/__MACOSX/1.png", "train/#recycle/1.png", ".Trash-1000/train/happy/1.png",
    ],
)  # fmt: skip
def test_system_files_are_not_read_as_pictures(name, tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    expected = load(root).notes
    put(root / name)
    (root / "train" / "happy" / "._1.png").write_bytes(b"\0\5\x16\7")
    assert sizes(root) == {"Training": 7, "PublicTest": 7}
    assert load(root).notes == expected


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("extra/happy/1.png", "extra/ (1 file)"),
        ("extra/1.png", "extra/ (1 file)"),
        ("train/1.png", "train/1.png"),
        ("1.picture", "1.picture"),
        ("test2/happy/deep/1.png", "test2/ (1 file)"),
    ],
)
def test_a_note_lists_everything_that_is_skipped(name, note, tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    put(root / name)
    assert sizes(root) == {"Training": 7, "PublicTest": 7}
    assert f"Skipped, not in a class folder of a split: {note}." in load(root).notes


def test_documents_beside_the_splits_need_no_note(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    before = load(root).notes
    (root / "README.md").write_text("FER2013")
    assert load(root).notes == before


def test_a_new_left_out_folder_is_noticed_despite_the_cache(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    load(root)
    put(root / "extra" / "1.png")
    assert any("extra/ (1 file)" in note for note in load(root).notes)


def test_a_class_without_images_in_one_split_is_named(tmp_path):
    root = make_tree(tmp_path / "tree", "train")
    make_tree(root, "test", labels=LABELS[2:])
    assert "test/ has no images of angry, disgust, other splits do." in load(root).notes


def test_folders_of_splits_in_those_of_the_classes_are_splits(tmp_path):
    for label in ("happy", "sad"):
        for split in ("train", "val", "test"):
            for number in range(2):
                put(tmp_path / label / split / f"{number}.png")
    assert sizes(tmp_path) == {"Training": 4, "PublicTest": 4, "PrivateTest": 4}
    # A picture of unknown split: the folders may be of persons.
    put(tmp_path / "sad" / "3.png")
    assert sizes(tmp_path) == {"Training": 13}


def test_folders_of_a_split_in_those_of_the_classes_are_not_persons(tmp_path):
    for label in ("happy", "sad"):
        for number in range(6):
            put(tmp_path / label / "train" / f"person{number}_1.png")
    note = load(tmp_path, split=SplitShares.parse("50/50")).notes[-1]
    assert note.startswith("Split by subject (3, 3 subjects)")


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("runs/20261130-demo", "settings.toml"),
        ("mine", "settings.toml"),
        ("plots", "confusion_counts.csv"),
    ],
)
def test_plots_of_edgefer_beside_the_classes_are_no_class(folder, file, tmp_path):
    root = tmp_path / "faces"
    for label in ("happy", "calm"):
        put(root / label / "1.png")
    put(root / folder / "curves.png")
    (root / folder / file).touch()
    dataset = load(root)
    assert dataset.labels == ("calm", "happy")
    assert f"Skipped, not in a class folder: {folder.split('/')[0]}/ (2 files)." in dataset.notes


@pytest.mark.parametrize("labels", [("happy", "sad"), ("froh", "traurig")])
@pytest.mark.parametrize("split", ["", "train/"])
def test_a_folder_of_classes_beside_classes_is_no_class(split, labels, tmp_path):
    root = tmp_path / "faces"
    for label in labels:
        put(root / split / label / "1.png")
        put(root / split / "augmented" / label / "1.png")
    dataset = load(root)
    assert dataset.labels == labels
    place = "class folder of a split" if split else "class folder"
    assert f"Skipped, not in a {place}: {split}augmented/ (2 files)." in dataset.notes


def test_a_second_class_may_contain_folders_of_classes(tmp_path):
    for name in ("happy/Anna", "happy/Bob", "other/angry", "other/sad"):
        put(tmp_path / "faces" / name / "1.png")
    dataset = load(tmp_path / "faces")
    assert dataset.labels == ("happy", "other")
    assert np.bincount(dataset.split("Training").labels).tolist() == [2, 2]


def test_content_decides_what_a_picture_is(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    put(root / "train" / "happy" / "picture")
    assert sizes(root)["Training"] == 8
    (root / "train" / "happy" / "labels.png").write_text("no picture")
    with pytest.raises(DataError, match=r"1 row that cannot be used: train/happy/labels\.png"):
        load(root)


@pytest.mark.usefixtures("locked_folders")
def test_an_unreadable_folder_is_named(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    put(root / "train" / "happy" / "locked" / "2.png")
    with pytest.raises(DataError, match=r"train/happy/locked: the folder cannot be listed \(Permission denied\)"):
        load(root)


def test_a_pipe_is_not_read_as_a_picture(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    os.mkfifo(root / "train" / "happy" / "pipe.png")
    with pytest.raises(DataError, match=r"train/happy/pipe\.png: cannot be read \(it is not a regular file\)"):
        load(root)


def test_names_with_control_characters_and_undecodable_bytes_are_escaped(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    (root / "train" / "happy" / "a\x1b[2J.png").write_bytes(b"x")
    (root / "train" / "happy" / os.fsdecode(b"\xff.png")).write_bytes(b"x")
    with pytest.raises(DataError) as caught:
        load(root)
    assert r"a\x1b[2J.png" in caught.value.why
    assert r"\xff.png" in caught.value.why
    assert str(caught.value).replace("\n", "").isprintable()


def test_a_picture_that_declares_too_many_pixels_is_not_decoded(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    content = bytearray(cv2.imencode(".jpg", RNG.integers(0, 256, (48, 48), np.uint8))[1].tobytes())
    frame = content.find(b"\xff\xc0")
    content[frame + 5 : frame + 9] = struct.pack(">HH", 30000, 30000)
    (root / "train" / "happy" / "bomb.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"train/happy/bomb\.jpg: too large .*30,000 x 30,000 pixels"):
        load(root)


def test_a_picture_beside_the_splits_may_have_a_name_that_is_not_utf_8(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test")
    put(root / os.fsdecode(b"\xff.png"))
    process = subprocess.run(
        [sys.executable, "-c", "import sys; from edgefer.cli.main import main; main()", "data", "check", str(root)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 0, process.stderr
    assert r"not in a class folder of a split: \xff.png" in " ".join(process.stdout.split())


@pytest.mark.parametrize("others", [("labels",), ("masks",), ()])
def test_folders_of_pictures_and_annotations_are_not_classes(others, tmp_path):
    for split in ("train", "test"):
        put(tmp_path / "data" / split / "images" / "1.png")
        for name in others:
            put(tmp_path / "data" / split / name / "1.png")
    with pytest.raises(DataError, match="contains no data set") as caught:
        load(tmp_path / "data")
    assert "a folder of a class, such as happy/, or folders of two other classes, only test/images/" in caught.value.why
    assert caught.value.hint == "--data TABLE.csv --columns label=NAME,path=NAME, or one folder per class"
    table = tmp_path / "data" / "train.csv"
    table.write_text("file,mood\ntrain/images/1.png,happy\n")
    with pytest.raises(DataError) as caught:
        load(tmp_path / "data")
    assert caught.value.hint == f"--data {table} --columns label=mood,path=file, or one folder per class"


def test_a_folder_of_labels_beside_classes_is_skipped(tmp_path):
    root = make_tree(tmp_path / "tree", "train", "test", labels=("calm", "tense"))
    put(root / "train" / "labels" / "1.png")
    assert sizes(root) == {"Training": 2, "PublicTest": 2}
    assert "Skipped, not in a class folder of a split: train/labels/ (1 file)." in load(root).notes


def test_one_folder_of_an_unknown_name_is_not_a_data_set(tmp_path):
    with pytest.raises(DataError, match="or folders of two other classes, only test/calm/, train/calm/"):
        load(make_tree(tmp_path / "tree", "train", "test", labels=("calm",)))


def bright_corner(image):
    """Return the corner of a picture as a face detector returns a crop, or None for a dark picture."""
    return image[:24, :24] if image.mean() > 60 else None


def test_cropped_pictures_have_a_cache_of_their_own(tmp_path):
    for index in range(3):
        for label in ("happy", "sad"):
            put(tmp_path / "faces" / label / f"{index}.png")
    for label in ("happy", "sad"):
        cv2.imwrite(str(tmp_path / "faces" / label / "dark.png"), np.zeros((48, 48), np.uint8))
    root = tmp_path / "faces"
    crop = FaceCrop("bright corner", bright_corner)
    note = "Skipped: 2 pictures without a detected face: happy/dark.png, sad/dark.png."
    for _ in range(2):  # the second time, from the cache
        whole, cropped = load(root), load(root, crop=crop)
        assert (len(whole.split("Training")), len(cropped.split("Training"))) == (8, 6)
        assert note in cropped.notes
        assert note not in whole.notes
        face = prepare(cv2.imread(str(root / "happy" / "0.png"))[:24, :24], InputSpec())
        assert np.array_equal(cropped.split("Training").pixels[0], face)
    assert cropped.sha256 != load(root, crop=FaceCrop("other", lambda image: image)).sha256
