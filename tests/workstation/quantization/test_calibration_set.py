import csv
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.dataset import Split
from edgefer.errors import DataError
from edgefer.workstation.quantization.calibration_data import calibration_pool
from edgefer.workstation.quantization.calibration_set import PINNED, check_target, find_set, load_set, to_csv

CALIBRATION = Path(__file__).parents[3] / "calibration"


@pytest.fixture(scope="module")
def selection(faces):
    return calibration_pool(faces).select(size=35)


@pytest.fixture
def path(selection, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text(to_csv(selection))
    return path


def lines(path):
    return path.read_text().splitlines()


def with_test_split(faces, images):
    """Return the data set with ``images`` added to PrivateTest."""
    private = faces.split("PrivateTest")
    pixels = np.concatenate([images, private.pixels])
    labels = np.concatenate([np.zeros(len(images), np.int64), private.labels])
    split = Split(pixels, labels, np.arange(len(pixels)) + 10_000)
    return dataclasses.replace(faces, splits={**faces.splits, "PrivateTest": split})


def test_a_set_contains_the_selected_faces(faces, selection, path):
    loaded = load_set(path, faces)
    assert np.array_equal(loaded.faces, selection.faces)
    assert loaded.provenance() == {
        "set": "mine",
        "faces": 35,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def test_the_file_contains_rows_hashes_and_classes(selection, path):
    header, first, *_ = lines(path)
    assert header == "row,pixels_sha256,class"
    digits = hashlib.sha256(selection.faces[0].tobytes()).hexdigest()[:16]
    assert first == f"{selection.rows[0]},{digits},{LABELS[selection.labels[0]]}"
    assert path.read_bytes().endswith(b"\n")
    assert b"\r" not in path.read_bytes()


def test_class_names_may_contain_commas_and_quotation_marks(faces, selection, path):
    names = ("angry, mad", 'say "hi"', *LABELS[2:])
    path.write_text(to_csv(dataclasses.replace(selection, label_names=names)))
    assert np.array_equal(load_set(path, faces).faces, selection.faces)
    rows = list(csv.reader(lines(path)[1:]))
    assert [name for *_, name in rows] == [names[label] for label in selection.labels]


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(faces, selection, path):
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert np.array_equal(load_set(path, faces).faces, selection.faces)


def test_rows_outside_training_are_listed(faces, path):
    # The rows of the synthetic splits overlap; in FER2013 they are distinct.
    public = faces.split("PublicTest")
    moved = dataclasses.replace(public, rows=public.rows + 5_000)
    faces = dataclasses.replace(faces, splits={**faces.splits, "PublicTest": moved})
    digits = hashlib.sha256(public.pixels[3].tobytes()).hexdigest()[:16]
    path.write_text(path.read_text() + f"5003,{digits},happy\n9999,{digits},happy\n")
    with pytest.raises(DataError) as caught:
        load_set(path, faces)
    assert "2 of the 37 rows" in caught.value.what
    assert caught.value.why == "row 5003: it is in the validation split, not in Training; row 9999: no such row"
    assert "edgefer calibrate" in caught.value.hint


def test_the_first_ten_rows_with_other_pixels_are_listed(faces, selection, path):
    training = faces.split("Training")
    pixels = training.pixels.copy()
    pixels[selection.rows[:12], 20, 20] ^= 1
    changed = {**faces.splits, "Training": dataclasses.replace(training, pixels=pixels)}
    with pytest.raises(DataError) as caught:
        load_set(path, dataclasses.replace(faces, splits=changed))
    assert "12 of the 35 rows" in caught.value.what
    listed = [f"row {row}: other pixels" for row in selection.rows[:10]]
    assert caught.value.why == "; ".join([*listed, "..."])


def test_a_duplicate_in_a_test_split_is_refused(faces, selection, path):
    with pytest.raises(DataError, match=f"row {selection.rows[4]}: it has an exact duplicate in the test split"):
        load_set(path, with_test_split(faces, selection.faces[4:5]))


def test_shipped_sets_exclude_duplicates(faces, selection, path):
    loaded = find_set("mine", with_test_split(faces, selection.faces[4:6]), pinned=path.parent)
    assert np.array_equal(loaded.faces, np.delete(selection.faces, [4, 5], axis=0))
    assert loaded.dropped == 2
    assert "33 faces of Training, without 2" in str(loaded)
    with pytest.raises(DataError, match="all of them"):
        find_set("mine", with_test_split(faces, selection.faces), pinned=path.parent)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "first line"),
        (b"row,class\n1,happy\n", "first line"),
        (b"emotion,pixels,Usage\n", "first line"),
        (b"row,pixels_sha256,class\n", "has no rows"),
        (b"\xff\xfe\x00", "utf-8"),
        (b"row,pixels_sha256,class\n1,0123456789abcdef\n", "line 2: 2 columns, expected 3"),
        (b"row,pixels_sha256,class\n-1,0123456789abcdef,happy\n", "line 2: '-1' is not a row number"),
        (b"row,pixels_sha256,class\n1,0123456789ABCDEF,happy\n", "'0123456789ABCDEF' is not 16 hex digits"),
        (b"row,pixels_sha256,class\n1,0123,happy\n", "'0123' is not 16 hex digits"),
        (b"row,pixels_sha256,class\n1,0123456789abcdef,\n", "the class is missing"),
        (b"row,pixels_sha256,class\n" + b"1,0123456789abcdef,happy\n" * 2, "line 3: row 1 occurs twice"),
    ],
)
def test_a_file_that_is_not_a_set_is_an_error(faces, tmp_path, content, reason):
    path = tmp_path / "other.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a calibration set") as caught:
        load_set(path, faces)
    assert reason in caught.value.why


def test_an_unknown_name_is_an_error_with_the_shipped_sets(faces):
    with pytest.raises(DataError, match="fer2013-210, fer2013-500") as caught:
        find_set("fer2013-50", faces)
    assert caught.value.hint == "edgefer calibrate fer2013-50.csv"


@pytest.mark.parametrize("name", ["", ".", "/"])
def test_a_name_without_a_file_name_is_an_error_with_a_hint(faces, name):
    with pytest.raises(DataError, match="no calibration set") as caught:
        find_set(name, faces)
    assert caught.value.hint == "edgefer calibrate NEW.csv"


def test_other_data_sets_have_no_default_set(faces, tmp_path):
    assert find_set(None, faces) is None
    assert find_set(None, faces, pinned=tmp_path) is None


def test_a_set_of_another_data_set_is_refused(faces):
    with pytest.raises(DataError, match="rows of .*fer2013-210.csv do not match"):
        find_set("fer2013-210", faces)


def test_a_set_is_found_by_its_path(faces, path):
    assert find_set(str(path), faces).name == "mine"


def test_shipped_sets_equal_those_of_the_repository():
    names = sorted(path.name for path in PINNED.glob("*.csv"))
    assert names == sorted(path.name for path in CALIBRATION.glob("*.csv")) == ["fer2013-210.csv", "fer2013-500.csv"]
    for name in names:
        assert (PINNED / name).read_bytes() == (CALIBRATION / name).read_bytes()


@pytest.mark.parametrize("size", [210, 500])
def test_shipped_sets_are_balanced(size):
    rows = [line.split(",") for line in lines(CALIBRATION / f"fer2013-{size}.csv")[1:]]
    assert len({row for row, _, _ in rows}) == len({digits for _, digits, _ in rows}) == size
    assert all(0 <= int(row) < 28709 for row, _, _ in rows)
    counts = [sum(label == name for _, _, label in rows) for name in LABELS]
    assert max(counts) - min(counts) <= 1


def test_only_new_files_and_sets_can_be_written(path, tmp_path):
    check_target(path)
    check_target(tmp_path / "new.csv")
    data = tmp_path / "fer2013.csv"
    data.write_text("emotion,pixels,Usage\n")
    for target in (data, tmp_path):
        with pytest.raises(DataError):
            check_target(target)
