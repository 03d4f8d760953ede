from __future__ import annotations

import io
import shlex
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.data.dataset import load, resolve
from edgefer.data.recognition import find_source
from edgefer.errors import DataError

HEADER = "emotion,pixels,Usage\n"


def zipped(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return content.getvalue()


def npy() -> bytes:
    content = io.BytesIO()
    np.save(content, np.zeros((3, 48, 48), np.uint8))
    return content.getvalue()


FILES = {
    "empty": (b"", "the file is empty"),
    "blank": (b"\n\n  \n", "only blank lines"),
    "web page": (b"<!DOCTYPE html><html><head><title>Login</title>", "web page, such as a login page"),
    "Git LFS": (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 301072766\n", "Git LFS pointer"),
    "Excel": (zipped("[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook"),
    "old Excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "an Excel workbook"),
    "spreadsheet": (zipped("mimetype", "content.xml"), "an OpenDocument spreadsheet"),
    "archive": (zipped("train/happy/1.png", "train/sad/1.png"), "ZIP archive without a table: train/happy/1.png"),
    "damaged archive": (zipped("a.csv")[:30], "damaged ZIP archive"),
    "pickle": (b"\x80\x04\x95", "a Python pickle, which could run code"),
    "HDF5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "array": (npy(), "a single NumPy array"),
    "JSON": (b'{"pixels": [1, 2]}', "it is JSON"),
    "model": (b"\x1c\0\0\0TFL3" + bytes(100), "it is a TensorFlow Lite model"),
    "binary": (bytes(range(256)) * 10, "binary data that starts with 00 01 02"),
    "another table": (b"name;age\nA;3\n", "no column of pixels; its first line is 'name', 'age', its second 'A', '3'"),
    "tar without a table": (b"a.png".ljust(257, b"\0") + b"ustar" + bytes(1000), "a damaged tar archive"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_without_a_data_set_is_described_by_its_content(kind, tmp_path):
    content, description = FILES[kind]
    path = tmp_path / "fer2013.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is not a data set") as caught:
        load(path)
    assert description in caught.value.why
    assert caught.value.hint
    assert "download fer2013" not in str(caught.value)


def test_a_picture_is_described(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(DataError, match="it is an image") as caught:
        load(tmp_path / "a.png")
    assert caught.value.hint == f"edgefer predict {tmp_path / 'a.png'}"


def test_votes_in_place_of_the_data_are_an_option(tmp_path):
    path = tmp_path / "fer2013new.csv"
    path.write_text("Usage,Image name,neutral,happiness,contempt\nTraining,x.png,1,2,3\n")
    with pytest.raises(DataError, match="FER\\+ votes and no pixels") as caught:
        load(path)
    assert caught.value.hint == f"--data fer2013.csv --ferplus {path}"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["happy/1.png", "sad/1.png"], "the folders of classes (happy, sad) contain no pictures"),
        (["train/1.png", "test/2.png"], "no folder of a split contains a folder of a class"),
        (["a.txt", "b.txt", "deep/c.txt"], "1 folder (deep/) and 2 files (2 .txt)"),
        ([], "the folder is empty"),
    ],
)
def test_a_folder_without_a_data_set_is_described(names, message, tmp_path):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError, match="contains no data set") as caught:
        load(tmp_path)
    assert message in caught.value.why


def test_data_sets_beside_the_chosen_one_are_named(tmp_path):
    (tmp_path / "fer2013").mkdir()
    chosen, other = tmp_path / "fer2013" / "fer2013.csv", tmp_path / "icml_face_data.csv"
    for path in (chosen, other):
        path.write_text(HEADER)
    source = find_source(tmp_path)
    assert (source.format_name, source.path) == ("csv_table", chosen)
    assert source.notes == (f"Not read: {other}.",)


def test_a_folder_of_one_class_beside_the_chosen_data_set_is_named(tmp_path):
    for name in ("negative/angry", "negative/sad", "positive/happy", "raw/day1"):
        (tmp_path / "faces" / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "faces" / name / "1.png"), np.zeros((48, 48), np.uint8))
    source = find_source(tmp_path)
    assert source.path == tmp_path / "faces" / "negative"
    assert source.notes == (f"Not read: {tmp_path / 'faces' / 'positive'}.",)


def test_a_table_in_an_image_tree_is_read_or_named(tmp_path):
    for folder in ("train/happy", "train/sad", "test/happy"):
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "1.png"), np.zeros((48, 48), np.uint8))
    other = tmp_path / "icml_face_data.csv"
    other.write_text(HEADER)
    source = find_source(tmp_path)
    assert (source.format_name, source.path, source.notes) == ("image_tree", tmp_path, (f"Not read: {other}.",))
    table = tmp_path / "fer2013.csv"
    table.write_text(HEADER)
    source = find_source(tmp_path)
    assert (source.format_name, source.path) == ("csv_table", table)
    assert source.notes == (f"Not read: the other data in {tmp_path}, {other}.",)


def test_the_only_complete_table_is_read(tmp_path):
    for name, header in (("train", "emotion,pixels\n"), ("test", "pixels\n"), ("icml_face_data", HEADER)):
        (tmp_path / f"{name}.csv").write_text(header)
    assert find_source(tmp_path).path == tmp_path / "icml_face_data.csv"
    assert find_source(tmp_path).notes == (f"Not read: {tmp_path / 'test.csv'}, {tmp_path / 'train.csv'}.",)


def test_a_misspelled_name_gets_a_suggestion(tmp_path):
    (tmp_path / "fer2013.csv").write_text(HEADER)
    with pytest.raises(DataError, match="does not exist") as caught:
        load(tmp_path / "fer213.csv")
    assert caught.value.hint == f"did you mean {tmp_path / 'fer2013.csv'}?"


@pytest.mark.parametrize("name", ["x" * 300, "a\0b"])
def test_impossible_names_do_not_exist(name, tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / name)
    with pytest.raises(DataError, match="does not exist"):
        resolve(name, environ={}, folder=tmp_path)


def test_an_unnamed_table_gets_the_columns_that_its_cells_suggest(tmp_path):
    pixels = " ".join(["7"] * 2304)
    tables = {
        "paths.csv": ("file,mood\na/1.JPG,happy\n", "--columns label=mood,path=file"),
        "pixels.csv": (f"mood;data\nhappy;{pixels}\n", "--columns label=mood,pixels=data"),
        "others.csv": ("a,b,c\n1,2,3\n", "--columns label=NAME,path=NAME"),
        "my faces.csv": ("my file,mood\na/1.JPG,happy\n", "--columns 'label=mood,path=my file'"),
    }
    for name, (text, hint) in tables.items():
        path = tmp_path / Path(name).stem / name
        path.parent.mkdir()
        path.write_text(text)
        with pytest.raises(DataError, match="no column of pixels") as caught:
            find_source(path)
        assert caught.value.hint == hint
        with pytest.raises(DataError, match=f"contains no data set: .*{name}: it has no column of pixels") as caught:
            find_source(path.parent)
        assert caught.value.hint == f"--data {shlex.quote(str(path))} {hint}"


def test_a_single_class_is_named(tmp_path):
    (tmp_path / "happy").mkdir()
    cv2.imwrite(str(tmp_path / "happy" / "1.png"), np.zeros((48, 48), np.uint8))
    with pytest.raises(DataError, match="only happy/ has pictures, expected two classes"):
        find_source(tmp_path)


def test_a_device_is_neither_a_file_nor_a_folder():
    with pytest.raises(DataError, match="neither a file nor a folder"):
        load(Path("/dev/null"))
