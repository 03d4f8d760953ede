from __future__ import annotations

import csv
import gc
import gzip
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer import cache
from edgefer.contract.labels import LABELS
from edgefer.data import pixel_files
from edgefer.data.dataset import Dataset, Split, ferplus_targets, load, resolve, synthetic_dataset
from edgefer.data.ferplus import VOTES
from edgefer.data.pixels import LazyPixels
from edgefer.errors import DataError

USAGE = ["Training"] * 7 + ["PublicTest"] * 4 + ["PrivateTest"] * 3
LABEL = [0, 1, 2, 3, 4, 5, 6, 3, 0, 6, 4, 1, 5, 2]
# The rows that these faces would have in fer2013.csv.
ROW = [*range(7), *range(28709, 28713), *range(32298, 32301)]


@pytest.fixture(autouse=True)
def _cache_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def faces() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (len(USAGE), 48, 48), np.uint8)


def text(face: np.ndarray) -> str:
    return " ".join(map(str, face.ravel().tolist()))


def lines(faces: np.ndarray) -> list[str]:
    return ["emotion,pixels,Usage"] + [f"{e},{text(x)},{u}" for e, x, u in zip(LABEL, faces, USAGE, strict=True)]


def write_csv(folder: Path, faces: np.ndarray) -> Path:
    path = folder / "fer2013.csv"
    path.write_text("\n".join(lines(faces)) + "\n")
    return path


def write_icml(folder: Path, faces: np.ndarray) -> Path:
    path = folder / "icml_face_data.csv"
    rows = [f"{e},{u},{text(x)}" for e, x, u in zip(LABEL, faces, USAGE, strict=True)]
    path.write_bytes(("\r\n".join(["emotion, Usage, pixels", *rows]) + "\r\n").encode())
    return path


def write_npz(folder: Path, faces: np.ndarray, **more: np.ndarray) -> Path:
    path = folder / "fer2013.npz"
    np.savez(path, **{"pixels": faces, "emotion": np.int8(LABEL), "usage": np.array(USAGE), **more})
    return path


def write_tree(folder: Path, faces: np.ndarray) -> Path:
    root = folder / "tree"
    for label, face, usage, row in zip(LABEL, faces, USAGE, ROW, strict=True):
        split = "train" if usage == "Training" else "test"
        write_image(root / split / LABELS[label] / f"{usage}_{row:08d}.png", face)
    return root


def write_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def write_votes(folder: Path, usage: list[str], votes: np.ndarray) -> Path:
    path = folder / "fer2013new.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Usage", "Image name", *VOTES])
        writer.writerows([name, "", *row] for name, row in zip(usage, votes.tolist(), strict=True))
    return path


def votes_for(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 10, (count, 10))


LAYOUTS = {"fer2013.csv": write_csv, "icml": write_icml, "npz": write_npz, "FER2013 image tree": write_tree}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_lossless_layout_gives_the_same_bytes(layout, faces, tmp_path):
    dataset = load(LAYOUTS[layout](tmp_path, faces))
    assert dataset.layout == layout
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "Training": 7,
        "PublicTest": 4,
        "PrivateTest": 3,
    }
    assert np.array_equal(np.concatenate([split.pixels for split in dataset.splits.values()]), faces)
    assert np.concatenate([split.labels for split in dataset.splits.values()]).tolist() == LABEL
    assert dataset.notes == ()
    (tmp_path / "again").mkdir()
    assert dataset.sha256 == load(write_csv(tmp_path / "again", faces)).sha256


@pytest.mark.parametrize("cached", [False, True])
def test_arrays_have_the_documented_types_and_shapes(cached, faces, tmp_path):
    path = write_csv(tmp_path, faces)
    load(path)
    split = load(path, cache=cached).split("PublicTest")
    assert (split.pixels.dtype, split.pixels.shape) == (np.uint8, (4, 48, 48))
    assert (split.labels.dtype, split.rows.dtype, split.votes) == (np.int64, np.int64, None)
    assert split.rows.tolist() == [7, 8, 9, 10]


def test_the_hash_covers_pixels_labels_and_split(faces, tmp_path):
    changed = faces.copy()
    changed[-1, 47, 47] ^= 1
    labels, moved = np.int8([*LABEL[:-1], 6]), np.array([*USAGE[:-1], "PublicTest"])
    public, private = np.array(["PublicTest"] * 14), np.array(["PrivateTest"] * 14)
    hashes = {
        load(write_npz(tmp_path, faces)).sha256,
        load(write_npz(tmp_path, changed)).sha256,
        load(write_npz(tmp_path, faces, emotion=labels)).sha256,
        *(load(write_npz(tmp_path, faces, usage=usage)).sha256 for usage in (moved, public, private)),
    }
    assert len(hashes) == 6


def test_a_table_is_recognized_by_content_and_its_columns_by_name(faces, tmp_path):
    path = tmp_path / "faces.data"
    rows = [f'"{u}", {e} ,7,"{text(x)}"' for e, x, u in zip(LABEL, faces, USAGE, strict=True)]
    path.write_text("\ufeff" + "\r\n".join(['"Usage", emotion,extra,"pixels"', *rows]), encoding="utf-8", newline="")
    assert load(path).sha256 == load(write_csv(tmp_path, faces)).sha256


def test_a_folder_that_contains_the_table_is_accepted(faces, tmp_path):
    (tmp_path / "fer2013").mkdir()
    path = write_csv(tmp_path / "fer2013", faces)
    write_votes(tmp_path / "fer2013", USAGE, votes_for(14))
    assert load(tmp_path / "fer2013").source == str(path)
    assert load(tmp_path).source == str(path)


def test_a_folder_with_two_data_sets_is_ambiguous(faces, tmp_path):
    write_icml(tmp_path, faces)
    write_npz(tmp_path, faces)
    with pytest.raises(DataError, match="contains 2 data sets"):
        load(tmp_path)


def test_npz_with_a_channel_axis(faces, tmp_path):
    assert np.array_equal(load(write_npz(tmp_path, faces[..., None])).split("Training").pixels, faces[:7])


def test_a_missing_split_is_noted_and_its_use_is_an_error(faces, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines(faces)[:12]))
    dataset = load(path)
    assert dataset.notes == ("There are no PrivateTest images: the final score is not possible.",)
    with pytest.raises(DataError, match=r"no PrivateTest images.*Training \(7\), PublicTest \(4\)"):
        dataset.split("PrivateTest")


LAST = "pixels: value 2304 is"
BAD = {
    "short": (lambda e, p, u: f"{e},{p.rpartition(' ')[0]},{u}", "pixels has 2,303 values, expected 2,304 (48 x 48)"),
    "long": (lambda e, p, u: f"{e},{p} 7,{u}", "pixels has 2,305 values, expected 2,304"),
    "not a number": (lambda e, p, u: f"{e},{p.rpartition(' ')[0]} x7,{u}", f"{LAST} 'x7', expected a number"),
    "too bright": (lambda e, p, u: f"{e},{p.rpartition(' ')[0]} 256,{u}", f"{LAST} '256', expected an integer"),
    "negative": (lambda e, p, u: f"{e},{p.rpartition(' ')[0]} -1,{u}", f"{LAST} '-1', expected an integer in 0..255"),
    "fraction": (lambda e, p, u: f"{e},{p.rpartition(' ')[0]} 0.5,{u}", f"{LAST} '0.5', expected an integer in 0..255"),
    "no pixels": (lambda e, p, u: f"{e},,{u}", "pixels has 0 values"),
    "emotion 7": (lambda e, p, u: f"7,{p},{u}", "emotion is '7', expected 0 to 6"),
    "emotion word": (lambda e, p, u: f"smile,{p},{u}", "emotion is 'smile', expected 0 to 6"),
    "usage": (lambda e, p, u: f"{e},{p},Exam", "Usage is 'Exam', expected train, validation or test"),
    "test": (lambda e, p, u: f"{e},{p},Test", "Usage 'Test' is neither of two test sets"),
    "two columns": (lambda e, p, u: f"{e},{p}", "2 columns, expected 3"),
    "four columns": (lambda e, p, u: f"{e},{p},{u},x", "4 columns, expected 3"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named_refused_and_can_be_skipped(kind, faces, tmp_path):
    damage, reason = BAD[kind]
    table = lines(faces)
    table[3] = damage(*table[3].split(","))
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(table) + "\n")
    with pytest.raises(DataError) as caught:
        load(path)
    assert caught.value.what.endswith("has 1 row that cannot be used")
    assert "line 4: " in caught.value.why
    assert reason in caught.value.why
    assert "--skip-bad-rows" in caught.value.hint

    dataset = load(path, skip_bad_rows=True)
    assert dataset.split("Training").rows.tolist() == [0, 1, 3, 4, 5, 6]
    assert np.array_equal(dataset.split("Training").pixels, faces[[0, 1, 3, 4, 5, 6]])
    assert reason in dataset.notes[0]
    # A cache entry with skipped rows must not be used without --skip-bad-rows.
    with pytest.raises(DataError, match="cannot be used"):
        load(path)


def test_only_the_first_ten_bad_rows_are_named(faces, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join([*lines(faces), *["9,1 2 3,Training"] * 12]))
    with pytest.raises(DataError, match="12 rows that cannot be used") as caught:
        load(path)
    assert caught.value.why.count("line ") == 10
    assert "line 25: " in caught.value.why
    assert caught.value.why.endswith("; ...")


def test_a_truncated_file_is_reported(faces, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines(faces))[:-300])
    with pytest.raises(DataError, match=r"line 15: .*may be cut off"):
        load(path)


def test_blank_lines_and_a_missing_last_line_end_are_accepted(faces, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("\n\n".join(lines(faces)))
    assert load(path).split("Training").rows.tolist() == list(range(7))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "the file is empty"),
        ("emotion,pixels,Usage\n", "no usable images"),
        ("emotion,pixels,Usage\n9,1 2,x\n", "1 row is unusable: line 2"),
        ("emotion,pixels\n0,1 2 3\n", "no column Usage"),
        ("a,b\n1,2\n", "no column of pixels; its first line is 'a', 'b', its second '1', '2'"),
    ],
)
def test_a_file_without_faces_is_refused(content, message, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        load(path)


def test_skipping_every_row_leaves_no_data_set(tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("emotion,pixels,Usage\n9,1 2,x\n")
    with pytest.raises(DataError, match="no usable images: 1 row is unusable: line 2"):
        load(path, skip_bad_rows=True)


def test_a_missing_path_and_an_empty_folder_are_errors(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "missing.csv")
    with pytest.raises(DataError, match="contains no data set: the folder is empty"):
        load(tmp_path)


@pytest.mark.parametrize("emotion", [-1, 7])
def test_an_unknown_emotion_in_an_npz_is_a_bad_row(emotion, faces, tmp_path):
    path = write_npz(tmp_path, faces, emotion=np.int8([emotion, *LABEL[1:]]))
    with pytest.raises(DataError, match=rf"row 0 \(from 0\): emotion is {emotion}, expected 0 to 6"):
        load(path)
    assert load(path, skip_bad_rows=True).split("Training").rows.tolist() == [1, 2, 3, 4, 5, 6]


def test_damaged_arrays_of_an_npz_are_errors(faces, tmp_path):
    path = tmp_path / "fer2013.npz"
    with pytest.raises(DataError, match=r"pixels is float64 .*uint8 \(n, 48, 48\)"):
        load(write_npz(tmp_path, faces / 255))
    with pytest.raises(DataError, match=r"usage is .*\(3,\)"):
        load(write_npz(tmp_path, faces, usage=np.array(USAGE[:3])))
    np.savez(path, pixels=faces, emotion=np.int8(LABEL))
    with pytest.raises(DataError, match="no array usage"):
        load(path)
    # Cut in the middle: the directory at the end of the ZIP is gone.
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(DataError):
        load(path)


# ---------------------------------------------------------------------------------------------------- image trees


def test_file_names_of_a_tree_provide_the_rows_of_fer2013_csv(faces, tmp_path):
    dataset = load(write_tree(tmp_path, faces))
    assert np.concatenate([split.rows for split in dataset.splits.values()]).tolist() == ROW


def test_pictures_of_any_size_and_color_go_through_the_preprocessing(tmp_path):
    from edgefer.contract.image_decoding import read_image
    from edgefer.contract.preprocessing import InputSpec, prepare

    color = np.random.default_rng(3).integers(0, 256, (61, 50, 3), np.uint8)
    write_image(tmp_path / "train" / "Happiness" / "a.png", color)
    write_image(tmp_path / "TEST" / "anger" / "b.jpg", color[:20, :30])
    dataset = load(tmp_path)
    assert np.array_equal(dataset.split("Training").pixels[0], prepare(color, InputSpec()))
    content = (tmp_path / "TEST" / "anger" / "b.jpg").read_bytes()
    assert np.array_equal(dataset.split("PublicTest").pixels[0], prepare(read_image(content), InputSpec()))
    assert dataset.labels == ("angry", "happy")
    assert dataset.split("Training").labels.tolist() == [1]
    assert dataset.split("PublicTest").labels.tolist() == [0]


def test_a_tree_without_prefixes_has_no_private_test(faces, tmp_path):
    for label, face in zip(LABELS, faces):
        write_image(tmp_path / "train" / label / "1.png", face)
        write_image(tmp_path / "test" / label / "1.png", 255 - face)
    dataset = load(tmp_path)
    assert set(dataset.splits) == {"Training", "PublicTest"}
    assert any("do not distinguish PublicTest from PrivateTest" in note for note in dataset.notes)


def test_a_tree_of_other_classes_than_fer2013_is_not_compared_with_it(faces, tmp_path):
    for split in ("train", "test"):
        for label, face in zip(("calm", "happy"), faces):
            write_image(tmp_path / split / label / "1.png", face)
    dataset = load(tmp_path)
    assert any(note.startswith("test/ is used as the validation split, because") for note in dataset.notes)
    assert "There are no test images: the final score is not possible." in dataset.notes
    assert not any("FER2013" in note or "distinguish" in note for note in dataset.notes)


def test_a_tree_with_prefixes_refuses_files_without_one(faces, tmp_path):
    root = write_tree(tmp_path, faces)
    write_image(root / "test" / "sad" / "1.png", faces[1])
    with pytest.raises(DataError, match=r"test/sad/1\.png: its name does not contain a split"):
        load(root)
    assert load(root, skip_bad_rows=True).sha256 == load(write_csv(tmp_path, faces)).sha256


@pytest.mark.parametrize(
    ("place", "named"),
    [("train", "PublicTest"), ("train", "PrivateTest"), ("test", "Training"), ("validation", "PrivateTest")],
)
def test_a_picture_in_the_folder_of_another_split_is_refused(place, named, faces, tmp_path):
    write_image(tmp_path / "train" / "sad" / "Training_1.png", faces[0])
    write_image(tmp_path / place / "sad" / f"{named}_2.png", faces[1])
    with pytest.raises(DataError, match=rf"it is in {place}/ \(its name starts with {named}\)"):
        load(tmp_path)


def test_images_train_and_validation(faces, tmp_path):
    write_image(tmp_path / "images" / "train" / "sad" / "1.png", faces[0])
    write_image(tmp_path / "images" / "validation" / "fear" / "Training_2.png", faces[1])
    for path in (tmp_path, tmp_path / "images"):
        dataset = load(path)
        assert dataset.layout == "images/train+validation"
        assert np.array_equal(dataset.split("PublicTest").pixels, faces[1:2])
        assert dataset.notes[0] == "There are no test images: the final score is not possible."
        assert not any("FER2013" in note for note in dataset.notes)


def test_a_tree_with_the_seven_classes_may_be_fer2013(faces, tmp_path):
    for split in ("train", "validation"):
        for label, face in zip(LABELS, faces):
            write_image(tmp_path / split / label / "1.png", face)
    note = "If these are images of FER2013: validation/ may not be PublicTest, so the score may not be comparable with "
    assert f"{note}published ones." in load(tmp_path).notes
    (tmp_path / "validation").rename(tmp_path / "test")
    assert any("in test/ do not distinguish PublicTest from PrivateTest" in note for note in load(tmp_path).notes)


def test_train_val_test(faces, tmp_path):
    for index, folder in enumerate(("train", "val", "test")):
        write_image(tmp_path / folder / "sad" / "1.png", faces[index])
    dataset = load(tmp_path)
    assert np.array_equal(dataset.split("PublicTest").pixels, faces[1:2])
    assert np.array_equal(dataset.split("PrivateTest").pixels, faces[2:3])
    assert dataset.notes == ()


@pytest.mark.parametrize("name", ["contempt", "smile"])
def test_another_class_folder_is_a_class(name, faces, tmp_path):
    root = write_tree(tmp_path, faces)
    write_image(root / "train" / name / "1.png", faces[0])
    dataset = load(root)
    assert dataset.labels == tuple(sorted([*LABELS, name]))
    assert f"test/ has no images of {name}, other splits do." in dataset.notes


def test_a_number_among_class_names_has_no_meaning(faces, tmp_path):
    root = write_tree(tmp_path, faces)
    write_image(root / "train" / "0" / "1.png", faces[0])
    with pytest.raises(DataError, match="the classes 0 are numbers"):
        load(root, skip_bad_rows=True)


def test_an_unreadable_picture_is_a_bad_row(faces, tmp_path):
    root = write_tree(tmp_path, faces)
    (root / "train" / "sad" / "Training_00000099.png").write_bytes(b"no picture")
    (root / "train" / "sad" / ".DS_Store").write_bytes(b"no picture and no matter")
    with pytest.raises(DataError, match=r"1 row .*train/sad/Training_00000099\.png: OpenCV cannot read the image"):
        load(root)
    assert load(root, skip_bad_rows=True).sha256 == load(write_csv(tmp_path, faces)).sha256


# A row of PublicTest, no row at all, and a row that another picture has already.
@pytest.mark.parametrize("number", [28709, 10118481, 0])
def test_numbers_that_are_not_rows_of_fer2013_are_ignored(number, faces, tmp_path):
    root = write_tree(tmp_path, faces)
    write_image(root / "train" / "sad" / f"Training_{number}.png", faces[0])
    dataset = load(root)
    assert sorted(np.concatenate([split.rows for split in dataset.splits.values()]).tolist()) == list(range(15))
    with pytest.raises(DataError, match="file names contain no rows"):
        load(root, ferplus=write_votes(tmp_path, [*USAGE, "Training"], votes_for(15)))


def test_a_broken_link_is_a_bad_picture(faces, tmp_path):
    root = write_tree(tmp_path, faces)
    (root / "train" / "happy" / "Training_00000077.png").symlink_to("nowhere.png")
    with pytest.raises(DataError, match=r"happy/Training_00000077\.png: cannot be read"):
        load(root)
    assert len(load(root, skip_bad_rows=True).split("Training")) == 7


def test_an_empty_data_option_is_an_error(tmp_path):
    with pytest.raises(DataError, match="names nothing"):
        resolve("", environ={}, folder=tmp_path)
    assert resolve(None, environ={"EDGEFER_DATA": ""}, folder=tmp_path) is None


def test_the_home_of_an_unknown_user_does_not_exist(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        resolve("~no-such-user/fer2013.csv", environ={}, folder=tmp_path)


@pytest.mark.parametrize("value", [-1, np.nan, np.inf])
def test_invalid_numbers_of_votes_in_an_npz_are_an_error(faces, tmp_path, value):
    with pytest.raises(DataError, match="array votes"):
        load(write_npz(tmp_path, faces, votes=np.full((14, 10), value)))


def test_usage_that_is_not_utf_8_is_a_bad_row(faces, tmp_path):
    with pytest.raises(DataError, match="14 rows are unusable: .*usage is"):
        load(write_npz(tmp_path, faces, usage=np.array([b"\xff"] * 14)))


# ---------------------------------------------------------------------------------------------------- cache


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "edgefer").glob("*"))


def seen(path: Path) -> tuple[Dataset, list[str]]:
    notes: list[str] = []
    return load(path, progress=lambda done, total, note: notes.append(note)), notes


@pytest.mark.parametrize("write", [write_csv, write_tree])
def test_a_second_load_comes_from_the_cache(write, faces, tmp_path):
    path = write(tmp_path, faces)
    first, notes = seen(path)
    assert "from the cache" not in notes
    again, notes = seen(path)
    assert notes == ["from the cache"]
    assert (again.sha256, again.layout, again.notes) == (first.sha256, first.layout, first.notes)
    assert [split.rows.tolist() for split in again.splits.values()] == [
        split.rows.tolist() for split in first.splits.values()
    ]


def test_the_cache_loses_the_data_set_that_was_not_read_for_longest(faces, tmp_path, monkeypatch):
    # As if a process of its own read each data set.
    monkeypatch.setattr(cache, "STARTED_AT", time.time() + 3600)
    paths = []
    for number, hours in enumerate((2, 1)):
        (tmp_path / str(number)).mkdir()
        paths.append(write_csv(tmp_path / str(number), faces ^ np.uint8(number)))
        earlier = entries(tmp_path)
        load(paths[-1])
        for entry in set(entries(tmp_path)) - set(earlier):
            os.utime(entry, (time.time() - 3600 * hours,) * 2)
    first, second = paths
    assert seen(first)[1] == ["from the cache"]
    limit = sum(entry.stat().st_size for entry in entries(tmp_path)) + 1000
    monkeypatch.setenv("EDGEFER_CACHE_GB", str(limit / 1e9))
    load(write_csv(tmp_path, faces ^ np.uint8(2)))
    assert len(entries(tmp_path)) == 4
    assert seen(first)[1] == ["from the cache"]
    assert seen(second)[1] != ["from the cache"]


def test_the_cache_is_keyed_by_content(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    load(path)
    (tmp_path / "moved").mkdir()
    moved = path.rename(tmp_path / "moved" / "other.csv")
    assert seen(moved)[1] == ["from the cache"]
    assert load(moved).source == str(moved)
    write_csv(tmp_path, 255 - faces)
    assert np.array_equal(load(path).split("Training").pixels, 255 - faces[:7])


def test_a_replaced_picture_is_read_again_even_with_its_old_time(faces, tmp_path):
    root = write_tree(tmp_path, faces)
    load(root)
    picture = root / "train" / "angry" / "Training_00000000.png"
    before = picture.stat()
    content = bytearray(picture.read_bytes())
    write_image(picture, 255 - faces[0])
    picture.write_bytes(picture.read_bytes().ljust(len(content), b"\0"))
    os.utime(picture, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert np.array_equal(load(root).split("Training").pixels[0], 255 - faces[0])


@pytest.mark.parametrize(
    ("suffix", "damage"),
    [
        (".npz", lambda b: b""),
        (".npz", lambda b: b[:1000]),
        (".npz", lambda b: b[:300] + bytes([b[300] ^ 255]) + b[301:]),
        (".npy", lambda b: b""),
        (".npy", lambda b: b[:1000]),
        (".npy", lambda b: b + b"\0"),
        (".npy", lambda b: b[:900] + bytes([b[900] ^ 255]) + b[901:]),
        (".npy", lambda b: b[:100].replace(b"(14, ", b"(13, ") + b[100:]),
    ],
)
def test_a_damaged_cache_entry_is_replaced(suffix, damage, faces, tmp_path):
    path = write_csv(tmp_path, faces)
    whole = load(path)
    (entry,) = (file for file in entries(tmp_path) if file.suffix == suffix)
    content = entry.read_bytes()
    entry.write_bytes(damage(content))
    assert load(path).sha256 == whole.sha256
    assert entry.read_bytes() == content


def test_the_cache_holds_the_pixels_as_an_array_file(faces, tmp_path):
    load(write_csv(tmp_path, faces))
    (entry,) = (file for file in entries(tmp_path) if file.suffix == ".npy")
    stored = np.load(entry, mmap_mode="r")
    assert (stored.dtype, stored.shape) == (np.uint8, (14, 48, 48))
    assert np.array_equal(stored, faces)


@pytest.fixture
def stored_pixels(monkeypatch):
    """Keep the pixels of every data set in a file, as those of a large one."""
    monkeypatch.setattr(pixel_files, "MEMORY_BYTES", 0)
    monkeypatch.setattr(pixel_files, "WRITTEN_BYTES", 5000)


@pytest.mark.parametrize("write", [write_csv, write_tree])
def test_a_large_data_set_is_read_from_a_file_with_equal_results(write, faces, tmp_path, request):
    path = write(tmp_path, faces)
    small = load(path, cache=False)
    request.getfixturevalue("stored_pixels")
    for dataset in (load(path), load(path)):
        assert (dataset.sha256, dataset.notes) == (small.sha256, small.notes)
        for name, split in dataset.splits.items():
            assert np.array_equal(split.pixels[:], small.splits[name].pixels)
            assert split.digests == small.splits[name].digests
    assert isinstance(dataset.split("Training").pixels, LazyPixels)
    assert [entry.suffix for entry in entries(tmp_path)] == [".npy", ".npz"]


@pytest.mark.usefixtures("stored_pixels")
def test_a_large_data_set_without_a_cache_is_in_a_temporary_file(faces, tmp_path, monkeypatch):
    path = write_tree(tmp_path, faces)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    for cached in (False, True):
        dataset = load(path, cache=cached)
        assert f"The faces are in a temporary file in {tmp_path / 'temporary'}" in dataset.notes[-1]
        assert any("could not be cached" in note for note in dataset.notes) == cached
        assert np.array_equal(dataset.split("Training").pixels[:], faces[:7])
        del dataset
        gc.collect()
        assert list((tmp_path / "temporary").iterdir()) == []


def test_temporary_files_of_a_killed_process_are_removed_from_the_cache(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    load(path)
    files = entries(tmp_path)
    for entry in files:
        # The largest process number of Linux is 4194304.
        leftover = entry.with_name(f".4194305_abcdefgh-{entry.name}")
        leftover.write_bytes(b"half")
        os.utime(leftover, (1, 1))
        entry.unlink()
    load(path)
    assert entries(tmp_path) == files


def test_loading_works_without_a_cache(faces, tmp_path, monkeypatch):
    path = write_csv(tmp_path, faces)
    load(path, cache=False)
    assert entries(tmp_path) == []
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    dataset = load(path)
    assert len(dataset.split("Training")) == 7
    assert "could not be cached" in dataset.notes[-1]


def test_a_user_without_a_home_has_no_cache(faces, tmp_path, monkeypatch):
    def no_home(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", classmethod(no_home))
    dataset = load(write_csv(tmp_path, faces))
    assert len(dataset.split("Training")) == 7
    assert "no home folder" in dataset.notes[-1]


def test_bad_rows_are_not_cached_as_clean(faces, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join([*lines(faces), "9,1,Training"]))
    with pytest.raises(DataError):
        load(path)
    assert entries(tmp_path) == []
    first, again = load(path, skip_bad_rows=True), load(path, skip_bad_rows=True)
    assert "line 16: emotion is '9'" in first.notes[0]
    assert again.notes == first.notes


# ---------------------------------------------------------------------------------------------------- FER+


@pytest.mark.parametrize("write", [write_csv, write_icml, write_npz])
def test_votes_follow_their_faces(write, faces, tmp_path):
    votes = votes_for(14)
    dataset = load(write(tmp_path, faces), ferplus=write_votes(tmp_path, USAGE, votes))
    assert np.array_equal(np.concatenate([split.votes for split in dataset.splits.values()]), votes)
    assert dataset.split("Training").votes.dtype == np.float32


def test_votes_by_row_number_in_file_names(faces, tmp_path):
    usage = ["Training"] * 28709 + ["PublicTest"] * 3589 + ["PrivateTest"] * 3589
    votes = votes_for(len(usage))
    whole = load(write_tree(tmp_path, faces), ferplus=write_votes(tmp_path, usage, votes))
    assert np.array_equal(np.concatenate([split.votes for split in whole.splits.values()]), votes[ROW])
    # As many rows as faces: the same faces in the same order.
    part = load(write_tree(tmp_path, faces), ferplus=write_votes(tmp_path, USAGE, votes[:14]))
    assert np.array_equal(np.concatenate([split.votes for split in part.splits.values()]), votes[:14])


def test_votes_in_an_npz(faces, tmp_path):
    votes = votes_for(14)
    dataset = load(write_npz(tmp_path, faces, votes=votes.astype(np.uint8)))
    assert np.array_equal(dataset.split("PrivateTest").votes, votes[11:])


def test_votes_follow_the_classes_that_a_labels_map_renames(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    votes = votes_for(len(faces))
    file = write_votes(tmp_path, USAGE, votes)
    merged = load(path, ferplus=file, labels_map={"fear": "surprise", "4": "neutral"}).split("Training")
    plain = load(path, ferplus=file).split("Training")
    assert merged.votes.sum() == plain.votes.sum()
    for name, sources in (("surprise", ("surprise", "fear")), ("neutral", ("neutral", "sadness"))):
        expected = sum(plain.votes[:, VOTES.index(source)] for source in sources)
        assert merged.votes[:, VOTES.index(name)].tolist() == expected.tolist()
    with pytest.raises(DataError, match="FER\\+ has no votes for the class joy: the labels map gives happy this name"):
        load(path, ferplus=file, labels_map={"happy": "joy"})


def test_votes_of_skipped_rows_are_skipped(faces, tmp_path):
    table = lines(faces)
    table[3] = "9,1 2 3,Training"
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(table))
    votes = votes_for(14)
    dataset = load(path, skip_bad_rows=True, ferplus=write_votes(tmp_path, USAGE, votes))
    assert np.array_equal(dataset.split("Training").votes, votes[[0, 1, 3, 4, 5, 6]])


def test_votes_of_a_missing_split_are_ignored(faces, tmp_path):
    path = tmp_path / "fer2013.csv"
    path.write_text("\n".join(lines(faces)[:12]))
    votes = votes_for(14)
    dataset = load(path, ferplus=write_votes(tmp_path, USAGE, votes))
    assert np.array_equal(dataset.split("PublicTest").votes, votes[7:11])


def test_votes_of_another_data_set_are_refused(faces, tmp_path):
    path = write_csv(tmp_path, faces)
    with pytest.raises(DataError, match=r"it has 13 rows .* data set, which has 14"):
        load(path, ferplus=write_votes(tmp_path, USAGE[1:], votes_for(13)))
    with pytest.raises(DataError, match="have another Usage there, first row 0"):
        load(path, ferplus=write_votes(tmp_path, USAGE[::-1], votes_for(14)))
    with pytest.raises(DataError, match="has no FER"):
        load(path, ferplus=path)
    with pytest.raises(DataError, match="cannot read"):
        load(path, ferplus=tmp_path / "missing.csv")


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.replace(",", ";").encode("utf-8-sig"),
        lambda text: text.replace(",", "\t").encode("utf-16"),
        lambda text: gzip.compress(text.encode()),
        lambda text: ("\n" + text.replace("\n", "\r\n") + "\n").encode(),
    ],
)
def test_votes_are_read_in_every_variant_of_a_table(encode, faces, tmp_path):
    votes = votes_for(14)
    path = write_votes(tmp_path, USAGE, votes)
    path.write_bytes(encode(path.read_text()))
    dataset = load(write_csv(tmp_path, faces), ferplus=path)
    assert np.array_equal(np.concatenate([split.votes for split in dataset.splits.values()]), votes)


def test_a_device_has_no_votes(faces, tmp_path):
    with pytest.raises(DataError, match="/dev/zero: it is neither a file nor a folder, expected CSV"):
        load(write_csv(tmp_path, faces), ferplus=Path("/dev/zero"))


@pytest.mark.parametrize("value", ["x", "-1", "nan", ""])
def test_an_invalid_vote_is_an_error(value, faces, tmp_path):
    path = write_votes(tmp_path, USAGE, votes_for(14))
    table = path.read_text().splitlines()
    table[2] = table[2].rpartition(",")[0] + f",{value}"
    path.write_text("\n".join(table))
    with pytest.raises(DataError, match="line 3 is invalid: NF is '.*', expected a number of votes"):
        load(write_csv(tmp_path, faces), ferplus=path)


def test_ferplus_targets_are_distributions_over_labels():
    columns = {name: index for index, name in enumerate(VOTES)}
    votes = np.zeros((3, 10), np.float32)
    votes[0, columns["anger"]], votes[0, columns["happiness"]], votes[0, columns["contempt"]] = 3, 1, 6
    votes[1, columns["NF"]] = 10
    votes[2, columns["sadness"]] = 5
    split = Split(np.zeros((3, 48, 48), np.uint8), np.int64([6, 2, 4]), np.arange(3), votes)
    targets = ferplus_targets(split)
    assert (targets.dtype, targets.shape) == (np.float32, (3, 7))
    assert targets[0, LABELS.index("angry")] == 0.75
    assert targets[0, LABELS.index("happy")] == 0.25
    assert targets[1].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert targets[2, LABELS.index("sad")] == 1.0
    np.testing.assert_allclose(targets.sum(axis=1), 1)


def test_ferplus_targets_need_votes():
    with pytest.raises(DataError, match="no FER"):
        ferplus_targets(Split(np.zeros((1, 48, 48), np.uint8), np.int64([0]), np.arange(1)))


# ---------------------------------------------------------------------------------------------------- where, and drawn


def test_the_option_precedes_the_variable_and_the_working_folder(tmp_path):
    given, environment, local = (tmp_path / name for name in ("a.csv", "b.csv", "fer2013.csv"))
    assert resolve(None, environ={}, folder=tmp_path) is None
    for path in (given, environment, local):
        path.write_text("")
    environ = {"EDGEFER_DATA": str(environment)}
    assert resolve(str(given), environ=environ, folder=tmp_path) == given
    assert resolve(None, environ=environ, folder=tmp_path) == environment
    assert resolve(None, environ={"EDGEFER_DATA": ""}, folder=tmp_path) == local


def test_a_named_data_set_is_never_replaced(tmp_path):
    (tmp_path / "fer2013.csv").write_text("")
    with pytest.raises(DataError, match=r"--data names nowhere\.csv"):
        resolve("nowhere.csv", environ={}, folder=tmp_path)
    with pytest.raises(DataError, match=r"EDGEFER_DATA names nowhere\.csv"):
        resolve(None, environ={"EDGEFER_DATA": "nowhere.csv"}, folder=tmp_path)


def test_the_default_is_fer2013_csv_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve(None, environ={}) is None
    Path("fer2013.csv").write_text("")
    assert resolve(None, environ={}) == tmp_path / "fer2013.csv"


def test_synthetic_faces_have_three_splits_that_share_no_face():
    dataset = synthetic_dataset(training=28, held_out=14, seed=3)
    assert {name: len(split) for name, split in dataset.splits.items()} == {
        "Training": 28,
        "PublicTest": 14,
        "PrivateTest": 14,
    }
    assert dataset.layout == "synthetic"
    faces = [face.tobytes() for split in dataset.splits.values() for face in split.pixels]
    assert len(set(faces)) == 56
    assert synthetic_dataset(training=28, held_out=14, seed=3).sha256 == dataset.sha256
    assert synthetic_dataset(training=28, held_out=14, seed=4).sha256 != dataset.sha256
