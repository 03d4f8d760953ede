"""Parquet files, Hugging Face data sets and WebDataset archives, written as their tools write them."""

from __future__ import annotations

import io
import json
import os
import sys
import tarfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec, prepare
from edgefer.data.dataset import Dataset, load
from edgefer.data.splitting import SplitShares
from edgefer.errors import DataError, IncompatibleError, UsageError

CLASSES = ("anger", "contempt", "happiness")
EXTRA = "edgefer is installed without its extra: pip install 'edgefer[huggingface]'"


@pytest.fixture(scope="module")
def pa():
    return pytest.importorskip("pyarrow", reason=EXTRA)


@pytest.fixture(scope="module")
def parquet(pa):
    return pytest.importorskip("pyarrow.parquet", reason=EXTRA)


def picture(number: int, *, side: int = 60) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (side, side), np.uint8)


def png(number: int) -> bytes:
    return cv2.imencode(".png", picture(number))[1].tobytes()


def numbers_of(dataset: Dataset) -> dict[str, list[tuple[int, str]]]:
    """Return the number of the picture and the class of each sample, by split."""
    number_of = {prepare(picture(number), InputSpec()).tobytes(): number for number in range(100)}
    return {
        name: [(number_of[face.tobytes()], dataset.labels[label]) for face, label in zip(split.pixels, split.labels)]
        for name, split in dataset.splits.items()
    }


def expected(*numbers: int) -> list[tuple[int, str]]:
    names = ("angry", "contempt", "happy")
    return [(number, names[number % 3]) for number in numbers]


def as_features(pa, names=CLASSES):
    """Return the metadata that Hugging Face datasets write into a schema."""
    features = {"image": {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
    return {b"huggingface": json.dumps({"info": {"features": features}}).encode()}


def image_table(pa, numbers, *, labels=None, metadata=True):
    images = pa.array(
        [{"bytes": png(number), "path": f"{number}.png"} for number in numbers],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    column = pa.array([number % 3 for number in numbers] if labels is None else labels)
    table = pa.table({"image": images, "label": column})
    return table.replace_schema_metadata(as_features(pa)) if metadata else table


def write_snapshot(pa, parquet, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for name, numbers in (
        ("train-00000-of-00002", range(4)),
        ("train-00001-of-00002", range(4, 7)),
        ("validation-00000-of-00001", range(7, 9)),
        ("test-00000-of-00001", range(9, 12)),
    ):
        parquet.write_table(image_table(pa, numbers), folder / f"{name}.parquet", row_group_size=2)
    return folder


def test_parquet_shards_have_the_splits_of_their_names(pa, parquet, tmp_path):
    folder = write_snapshot(pa, parquet, tmp_path / "snapshot" / "data")
    (tmp_path / "snapshot" / "README.md").write_text("a card")
    for _ in range(2):  # the second time, from the cache
        dataset = load(tmp_path / "snapshot")
        assert (dataset.source, dataset.layout) == (str(folder), "Parquet")
        assert dataset.labels == ("angry", "contempt", "happy")
        assert numbers_of(dataset) == {
            "Training": expected(*range(7)),
            "PublicTest": expected(7, 8),
            "PrivateTest": expected(9, 10, 11),
        }


def test_pictures_of_shards_have_the_size_and_channels_of_the_model(pa, parquet, tmp_path):
    folder = write_snapshot(pa, parquet, tmp_path / "data")
    spec = InputSpec(32, 32, channels="rgb")
    assert load(folder).split("Training").pixels.shape == (7, 48, 48)
    assert load(folder, spec=spec).split("Training").pixels.shape == (7, 32, 32, 3)


def test_folders_of_splits_and_other_names_are_read(pa, parquet, tmp_path):
    for name, numbers in (("train/0000", range(3)), ("test/0000", range(3, 6)), ("train/0001", range(6, 9))):
        (tmp_path / "default" / name).parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(image_table(pa, numbers), tmp_path / "default" / f"{name}.parquet")
    dataset = load(tmp_path)
    assert numbers_of(dataset) == {
        "Training": expected(0, 1, 2, 6, 7, 8), "PublicTest": expected(3, 4, 5)
    }  # fmt: skip
    parquet.write_table(image_table(pa, range(3)), tmp_path / "default" / "extra.parquet")
    assert "Skipped, no split in the name: extra.parquet." in load(tmp_path).notes


def test_a_changed_shard_is_read_again(pa, parquet, tmp_path):
    folder = write_snapshot(pa, parquet, tmp_path / "data")
    before = load(folder)
    parquet.write_table(image_table(pa, range(20, 23)), folder / "test-00000-of-00001.parquet")
    assert load(folder).sha256 != before.sha256


def test_binary_pictures_and_names_need_no_metadata(pa, parquet, tmp_path):
    path = tmp_path / "faces.parquet"
    table = {"id": pa.array([1, 2, 3]), "photo": [png(0), png(1), png(2)], "mood": ["sad", "happy", "bored"]}
    parquet.write_table(pa.table(table), path)
    with pytest.raises(DataError, match="no column of classes") as caught:
        load(path)
    assert caught.value.why == "its columns are id (int64), photo (binary), mood (string)"
    assert caught.value.hint == "--columns label=NAME,image=NAME"
    dataset = load(path, columns={"label": "Mood", "image": "photo"})
    assert numbers_of(dataset) == {"Training": [(0, "sad"), (1, "happy"), (2, "bored")]}
    with pytest.raises(UsageError, match=r"no column feeling: its columns are id \(int64\)"):
        load(path, columns={"label": "feeling", "image": "photo"})
    with pytest.raises(DataError, match=r"column id is int64: expected pictures"):
        load(path, columns={"label": "mood", "image": "id"})


def test_columns_of_splits_and_subjects_are_read(pa, parquet, tmp_path):
    table = {
        "image": [png(number) for number in range(8)],
        "label": ["happy", "sad"] * 4,
        "person": ["a", "a", "b", "b", "c", "c", "d", "d"],
        "split": ["train"] * 6 + ["val"] * 2,
    }
    parquet.write_table(pa.table(table), tmp_path / "faces.parquet")
    assert {name: len(split) for name, split in load(tmp_path / "faces.parquet").splits.items()} == {
        "Training": 6, "PublicTest": 2,
    }  # fmt: skip
    del table["split"]
    parquet.write_table(pa.table(table), tmp_path / "faces.parquet")
    columns = {"label": "label", "image": "image", "subject": "person"}
    dataset = load(tmp_path / "faces.parquet", columns=columns, split=SplitShares.parse("50/50"))
    assert any("by subject (2, 2 subjects)" in note for note in dataset.notes)
    table["person"] = ["a", "a", "b", "b", "nan", "<NA>", None, ""]
    parquet.write_table(pa.table(table), tmp_path / "faces.parquet")
    dataset = load(tmp_path / "faces.parquet", columns=columns, split=SplitShares.parse("50/50"))
    assert any(note.endswith("4 images without a known subject are split at random.") for note in dataset.notes)
    table["split"] = ["train"] * 7 + ["fold 3"]
    parquet.write_table(pa.table(table), tmp_path / "faces.parquet")
    with pytest.raises(DataError, match=r"faces\.parquet, row 7 \(from 0\): split is 'fold 3', expected"):
        load(tmp_path / "faces.parquet")


def test_pictures_without_a_class_are_left_out_with_a_note(pa, parquet, tmp_path):
    parquet.write_table(image_table(pa, range(4), labels=[0, -1, 2, None]), tmp_path / "train.parquet")
    dataset = load(tmp_path)
    assert numbers_of(dataset) == {"Training": [(0, "angry"), (2, "happy")]}
    assert "Skipped: 2 pictures without a class, in train.parquet." in dataset.notes


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN", "<NA>"])
def test_the_text_of_a_missing_class_is_none(missing, pa, parquet, tmp_path):
    parquet.write_table(pa.table({"image": [png(0), png(1)], "label": ["sad", missing]}), tmp_path / "train.parquet")
    dataset = load(tmp_path)
    assert numbers_of(dataset) == {"Training": [(0, "sad")]}
    assert "Skipped: 1 picture without a class, in train.parquet." in dataset.notes


def test_numbers_without_names_need_a_labels_map(pa, parquet, tmp_path):
    parquet.write_table(image_table(pa, range(4), metadata=False), tmp_path / "train.parquet")
    with pytest.raises(DataError, match="the classes 0, 1, 2 are numbers"):
        load(tmp_path)
    names = {"0": "angry", "1": "contempt", "2": "happy"}
    assert numbers_of(load(tmp_path, labels_map=names)) == {"Training": expected(0, 1, 2, 3)}


def test_a_labels_map_precedes_the_numbers_of_fer2013_beside_pixels(pa, parquet, tmp_path):
    pixels = [picture(number, side=48).ravel().tolist() for number in range(3)]
    parquet.write_table(pa.table({"label": [0, 1, 2], "pixels": pixels}), tmp_path / "fer.parquet")
    assert load(tmp_path).labels == ("angry", "disgust", "fear")
    dataset = load(tmp_path, labels_map={"0": "neutral", "1": "happy"})
    assert [dataset.labels[label] for label in dataset.split("Training").labels] == ["neutral", "happy", "fear"]


@pytest.mark.parametrize("kind", ["text", "list", "two dimensions"])
@pytest.mark.parametrize("side", [48, 20])
def test_pixels_are_read_like_those_of_a_table_of_text(kind, side, pa, parquet, tmp_path):
    faces = [picture(number, side=side) for number in range(7)]
    pixels = {
        "text": [" ".join(map(str, face.ravel().tolist())) for face in faces],
        "list": pa.array([face.ravel().tolist() for face in faces], pa.list_(pa.uint8())),
        "two dimensions": pa.array([face.tolist() for face in faces], pa.list_(pa.list_(pa.int64()))),
    }[kind]
    usage = ["Training"] * 5 + ["PublicTest"] * 2
    parquet.write_table(pa.table({"emotion": range(7), "pixels": pixels, "Usage": usage}), tmp_path / "fer.parquet")
    dataset = load(tmp_path / "fer.parquet")
    assert dataset.labels == LABELS
    assert dataset.split("PublicTest").rows.tolist() == [5, 6]
    assert np.array_equal(dataset.split("Training").pixels, [prepare(face, InputSpec()) for face in faces[:5]])


def test_rows_of_pixels_with_other_sizes_are_bad(pa, parquet, tmp_path):
    rows = [[7] * 2304, [7] * 2304, [7] * 2300, [7] * 1024, [-1] * 2304, []]
    parquet.write_table(pa.table({"label": ["sad", "happy"] * 3, "pixels": rows}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="4 rows that cannot be used") as caught:
        load(tmp_path)
    place = "as in a.parquet, row 0 (from 0)"
    assert f"row 2 (from 0): pixels has 2,300 values, expected 2,304 (48 x 48) {place}" in caught.value.why
    assert f"row 3 (from 0): pixels has 1,024 values (32 x 32), expected 2,304 (48 x 48) {place}" in caught.value.why
    assert "row 4 (from 0): pixels has values from -1 to -1, expected integers in 0..255" in caught.value.why


def test_the_first_row_alone_does_not_decide_the_size(pa, parquet, tmp_path):
    rows = [[7] * 47 * 47, *([index] * 2304 for index in range(6))]
    parquet.write_table(pa.table({"label": ["sad", *["sad", "happy"] * 3], "pixels": rows}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="1 row that cannot be used") as caught:
        load(tmp_path)
    assert "pixels has 2,209 values (47 x 47), expected 2,304 (48 x 48) as in most of the first" in caught.value.why


def test_a_damaged_parquet_file_and_a_damaged_picture_are_named(pa, parquet, tmp_path):
    table = pa.table({"image": [png(0), b"no picture", None], "label": ["happy", "sad", "sad"]})
    parquet.write_table(table, tmp_path / "faces.parquet")
    with pytest.raises(DataError, match=r"2 rows .*row 1 \(from 0\): .*row 2 \(from 0\): is empty"):
        load(tmp_path)
    assert numbers_of(load(tmp_path, skip_bad_rows=True)) == {"Training": [(0, "happy")]}
    content = (tmp_path / "faces.parquet").read_bytes()
    (tmp_path / "faces.parquet").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"faces\.parquet is damaged"):
        load(tmp_path)


def test_pictures_that_are_paths_are_read_beside_the_table(pa, parquet, tmp_path):
    (tmp_path / "happy.png").write_bytes(png(5))
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": None, "path": "happy.png"}, {"bytes": png(6), "path": None}], kind)
    parquet.write_table(pa.table({"image": images, "label": ["happy", "sad"]}), tmp_path / "faces.parquet")
    assert numbers_of(load(tmp_path / "faces.parquet")) == {"Training": [(5, "happy"), (6, "sad")]}
    (tmp_path / "happy.png").unlink()
    with pytest.raises(DataError, match=r"has no bytes, and happy\.png cannot be read \(No such file"):
        load(tmp_path / "faces.parquet")


def write_paths(pa, parquet, path: Path, *names: str) -> Path:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": None, "path": name} for name in names], kind)
    parquet.write_table(pa.table({"image": images, "label": ["happy", "sad"] * (len(names) // 2)}), path)
    return path


def test_a_replaced_picture_beside_the_table_is_read_again(pa, parquet, tmp_path):
    path = write_paths(pa, parquet, tmp_path / "faces.parquet", "0.png", "1.png")
    for first in (0, 2):
        for name in range(2):
            (tmp_path / f"{name}.png").write_bytes(png(first + name))
        assert numbers_of(load(path)) == {"Training": [(first, "happy"), (first + 1, "sad")]}


def test_a_path_to_a_pipe_a_device_or_a_huge_file_is_a_bad_row(pa, parquet, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate((64 << 20) + 1)
    path = write_paths(pa, parquet, tmp_path / "faces.parquet", "pipe.png", "/dev/zero", "huge.png", "a" * 300)
    with pytest.raises(DataError, match="4 rows are unusable") as caught:
        load(path)
    assert "has no bytes, and pipe.png cannot be read (it is not a regular file)" in caught.value.why
    assert "has no bytes, and /dev/zero cannot be read (it is not a regular file)" in caught.value.why
    assert "has no bytes, and huge.png is too large (67,108,865 bytes, at most 67,108,864)" in caught.value.why


def test_the_role_path_reads_picture_files_of_a_column_of_texts(pa, parquet, tmp_path):
    for number in range(2):
        (tmp_path / f"{number}.png").write_bytes(png(number))
    table = {"file": ["0.png", "1.png"], "mood": ["happy", "sad"]}
    parquet.write_table(pa.table(table), tmp_path / "faces.parquet")
    columns = {"label": "mood", "path": "file"}
    assert numbers_of(load(tmp_path / "faces.parquet", columns=columns)) == {"Training": [(0, "happy"), (1, "sad")]}
    (tmp_path / "1.png").unlink()
    with pytest.raises(DataError, match=r"row 1 \(from 0\): 1\.png cannot be read \(No such file"):
        load(tmp_path / "faces.parquet", columns=columns)


def test_numbers_from_0_name_subjects_and_no_splits(pa, parquet, tmp_path):
    path = tmp_path / "faces.parquet"
    table = {"image": [png(number) for number in range(8)], "label": ["happy", "sad"] * 4}
    parquet.write_table(pa.table({**table, "Subject": [0, 0, 1, 1, 2, 2, 3, 3]}), path)
    dataset = load(path, split=SplitShares.parse("50/50"))
    assert any("by subject (2, 2 subjects)" in note for note in dataset.notes)
    parquet.write_table(pa.table({**table, "split": [0] * 8}), path)
    with pytest.raises(DataError, match=r"row 0 \(from 0\): split is '0', expected train"):
        load(path)


def test_a_row_of_uneven_lists_is_bad(pa, parquet, tmp_path):
    rows = [[[7] * 48] * 48, [*[[7] * 48] * 47, [7] * 47], [[7] * 48] * 48]
    kind = pa.list_(pa.list_(pa.uint8()))
    parquet.write_table(pa.table({"label": ["sad", "happy", "sad"], "pixels": pa.array(rows, kind)}), tmp_path / "a.pq")
    with pytest.raises(DataError, match=r"1 row .*row 1 \(from 0\): pixels is uneven, expected rows of equal lengths"):
        load(tmp_path / "a.pq")


@pytest.mark.parametrize("column", ["image", "pixels"])
def test_a_single_test_set_in_a_column_is_noted(column, pa, parquet, tmp_path):
    faces = [png(number) if column == "image" else picture(number, side=48).ravel().tolist() for number in range(4)]
    table = pa.table({column: faces, "label": ["happy", "sad"] * 2, "split": ["train", "train", "test", "test"]})
    parquet.write_table(table, tmp_path / "faces.parquet")
    assert any(note.startswith("split 'test' is used as the validation") for note in load(tmp_path).notes)


def save_to_disk(pa, table, folder: Path) -> None:
    """Write a table as ``datasets.save_to_disk()`` does: a stream, and the names of the files."""
    folder.mkdir(parents=True)
    name = "data-00000-of-00001.arrow"
    with pa.OSFile(str(folder / name), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}], "_split": None}))
    (folder / "dataset_info.json").write_text("{}")


def test_a_saved_data_set_is_read_with_its_splits(pa, tmp_path):
    folder = tmp_path / "saved"
    for split, numbers in (("train", range(5)), ("test", range(5, 9))):
        save_to_disk(pa, image_table(pa, numbers), folder / split)
    (folder / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    dataset = load(folder)
    assert dataset.layout == "Hugging Face"
    assert numbers_of(dataset) == {"Training": expected(*range(5)), "PublicTest": expected(*range(5, 9))}
    # One split alone is a data set, too, which --split divides.
    assert numbers_of(load(folder / "test")) == {"Training": expected(*range(5, 9))}


def test_a_saved_data_set_with_a_missing_file_is_refused(pa, tmp_path):
    save_to_disk(pa, image_table(pa, range(5)), tmp_path / "saved")
    data = tmp_path / "saved" / "data-00000-of-00001.arrow"
    data.rename(data.with_name("renamed.arrow"))
    with pytest.raises(DataError, match=r"lacks data-00000-of-00001\.arrow: state\.json lists it; the folder has data"):
        load(tmp_path / "saved")


def test_damaged_offsets_in_an_arrow_file_are_an_error(pa, tmp_path):
    save_to_disk(pa, image_table(pa, range(3)), tmp_path / "saved")
    path = tmp_path / "saved" / "data-00000-of-00001.arrow"
    offsets = np.cumsum([0, *(len(png(number)) for number in range(3))]).astype("<i4")
    content = path.read_bytes()
    assert content.count(offsets.tobytes()) == 1
    damaged = offsets.copy()
    damaged[1] = np.iinfo(np.int32).max
    path.write_bytes(content.replace(offsets.tobytes(), damaged.tobytes()))
    with pytest.raises(DataError, match="3 rows are unusable") as caught:
        load(tmp_path / "saved")
    assert "is damaged" in caught.value.why


def test_feather_files_and_the_cache_of_hugging_face_are_read(pa, tmp_path):
    feather = pytest.importorskip("pyarrow.feather", reason=EXTRA)
    feather.write_feather(image_table(pa, range(4)), tmp_path / "faces-train.arrow")
    feather.write_feather(image_table(pa, range(4, 6)), tmp_path / "faces-test.arrow")
    expected_splits = {"Training": expected(*range(4)), "PublicTest": expected(4, 5)}
    assert numbers_of(load(tmp_path)) == expected_splits
    feather.write_feather(image_table(pa, range(3)), tmp_path / "own.feather")
    assert numbers_of(load(tmp_path / "own.feather")) == {"Training": expected(0, 1, 2)}


def test_without_pyarrow_the_error_names_the_extra(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    (tmp_path / "faces.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(
        IncompatibleError, match=r"pyarrow is not installed; the extra edgefer\[huggingface\]"
    ) as caught:
        load(tmp_path)
    assert caught.value.hint == "pip install pyarrow"


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def samples(numbers, suffix: str, label) -> dict[str, bytes]:
    files = {}
    for number in numbers:
        files[f"{number:06d}.png"] = png(number)
        files[f"{number:06d}.{suffix}"] = label(number)
    return files


LABELS_OF_TARS = {
    "cls": lambda number: str(number % 3).encode(),
    "json": lambda number: json.dumps({"id": number, "emotion": CLASSES[number % 3]}).encode(),
    "txt": lambda number: f"{CLASSES[number % 3]}\n".encode(),
}


@pytest.mark.parametrize("suffix", LABELS_OF_TARS)
@pytest.mark.parametrize("names", ["faces-{split}-{index:06d}.tar", "{split}/{index}.tar", "{split}-{index}.tar.gz"])
def test_archives_of_samples_are_read(suffix, names, tmp_path):
    label = LABELS_OF_TARS[suffix]
    for split, index, numbers in (("train", 0, range(3)), ("train", 1, range(3, 6)), ("test", 0, range(6, 9))):
        write_tar(tmp_path / "wds" / names.format(split=split, index=index), samples(numbers, suffix, label))
    (tmp_path / "wds" / "classnames.txt").write_text("\n".join(CLASSES) + "\n")
    for _ in range(2):  # the second time, from the cache
        dataset = load(tmp_path)
        assert dataset.layout == "WebDataset"
        assert numbers_of(dataset) == {"Training": expected(*range(6)), "PublicTest": expected(6, 7, 8)}


def test_the_key_of_the_class_can_be_named(tmp_path):
    label = LABELS_OF_TARS["json"]
    path = tmp_path / "faces.tar"
    write_tar(path, samples(range(3), "json", lambda number: label(number).replace(b"emotion", b"mood")))
    with pytest.raises(DataError, match=r"faces\.tar, 000000: it has no class; its \.json has the keys id, mood"):
        load(path)
    assert numbers_of(load(path, columns={"label": "mood", "image": "png"})) == {"Training": expected(0, 1, 2)}


def test_samples_without_a_picture_or_with_an_unknown_number_are_bad(tmp_path):
    files = samples(range(4), "cls", lambda number: b"9" if number == 3 else str(number % 3).encode())
    del files["000001.png"]
    write_tar(tmp_path / "faces.tar", files)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    with pytest.raises(DataError, match="2 rows") as caught:
        load(tmp_path)
    assert "faces.tar, 000001: it has no picture; its suffixes are cls" in caught.value.why
    assert "faces.tar, 000003: its class is '9', expected 0 to 2" in caught.value.why
    assert numbers_of(load(tmp_path, skip_bad_rows=True)) == {"Training": expected(0, 2)}


@pytest.mark.parametrize("number", ["{}.0", " {}", "{}.0000e+00"])
def test_numbers_with_a_fraction_of_0_have_the_names_of_the_classes(number, tmp_path):
    label = lambda index: number.format(index % 3).encode()  # noqa: E731
    write_tar(tmp_path / "faces.tar", samples(range(3), "cls", label))
    with pytest.raises(DataError, match="are numbers: their meaning is unknown"):
        load(tmp_path)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    assert numbers_of(load(tmp_path, cache=False)) == {"Training": expected(0, 1, 2)}


@pytest.mark.parametrize("number", ["-1", "0.5", "3.0", "9" * 5000])
def test_other_numbers_than_those_of_the_names_are_bad(number, tmp_path):
    files = samples(range(3), "cls", lambda index: number.encode() if index == 2 else str(index).encode())
    write_tar(tmp_path / "faces.tar", files)
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    with pytest.raises(DataError, match=rf"faces\.tar, 000002: its class is '{number[:30]}.*', expected 0 to 2"):
        load(tmp_path)


def test_lists_are_no_classes(pa, parquet, tmp_path):
    parquet.write_table(pa.table({"image": [png(0), png(1)], "label": [[0, 1], [1, 0]]}), tmp_path / "train.parquet")
    with pytest.raises(DataError, match=r"column label is list<.*>: expected classes: names or numbers"):
        load(tmp_path)


@pytest.mark.parametrize("label", [b'{"label": null}', b'{"label": NaN}', b'{"label": " "}', b'{"label": [0, 1]}'])
def test_a_sample_with_a_missing_class_is_bad(label, tmp_path):
    known = LABELS_OF_TARS["json"]
    path = tmp_path / "faces.tar"
    write_tar(path, samples(range(3), "json", lambda number: label if number == 1 else known(number)))
    with pytest.raises(DataError, match=r"faces\.tar, 000001: its class is (empty|'nan'|'\[0, 1\]', exp)"):
        load(path)


def test_numbers_of_named_classes_from_1_are_refused_even_if_samples_may_be_skipped(tmp_path):
    write_tar(tmp_path / "faces.tar", samples(range(6), "cls", lambda number: str(number % 3 + 1).encode()))
    (tmp_path / "classes.txt").write_text("\n".join(CLASSES))
    with pytest.raises(DataError, match=r"emotion ranges from 1 to 3: 2 samples have 3 and none has 0") as caught:
        load(tmp_path, skip_bad_rows=True)
    assert caught.value.hint.startswith("number the classes from 0")


def test_a_plain_suffix_or_the_named_one_selects_among_the_pictures_of_a_sample(tmp_path):
    files = {}
    for number in range(3):
        content = json.dumps({"label": CLASSES[number]}).encode()
        name = f"{number:06d}"
        files |= {f"{name}.crop.png": png(number + 3), f"{name}.json": content, f"{name}.png": png(number)}
    write_tar(tmp_path / "faces.tar", files)
    assert numbers_of(load(tmp_path / "faces.tar")) == {"Training": expected(0, 1, 2)}
    crops = load(tmp_path / "faces.tar", columns={"label": "label", "image": "crop.png"})
    assert numbers_of(crops) == {"Training": [(number + 3, label) for number, label in expected(0, 1, 2)]}


def test_a_later_file_of_an_archive_replaces_an_earlier_one(tmp_path):
    path = tmp_path / "faces.tar"
    label = LABELS_OF_TARS["txt"]
    write_tar(path, {**samples(range(3), "txt", label), "000001.mask.png": png(50)})
    with tarfile.open(path, "a") as archive:
        for name, content in (("./000001.png", png(5)), ("./000001.txt", label(5))):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    assert numbers_of(load(path)) == {"Training": [(0, "angry"), (5, "happy"), (2, "happy")]}


def test_files_of_macos_in_an_archive_are_ignored(tmp_path):
    label = LABELS_OF_TARS["txt"]
    files = {}
    for name, content in samples(range(20), "txt", label).items():
        files |= {f"./._{name}": b"\0\5\x16\7\0\2\0\0Mac OS X", f"./{name}": content}
    write_tar(tmp_path / "faces.tar", files)
    assert numbers_of(load(tmp_path / "faces.tar")) == {"Training": expected(*range(20))}
    alone = {f"./._{name}": content for name, content in samples(range(3), "txt", label).items()}
    write_tar(tmp_path / "leftovers.tar", alone)
    with pytest.raises(DataError, match="is not a data set"):
        load(tmp_path / "leftovers.tar")


def test_a_truncated_archive_is_damaged(tmp_path):
    path = tmp_path / "faces.tar"
    write_tar(path, samples(range(6), "cls", LABELS_OF_TARS["txt"]))
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(DataError, match=r"faces\.tar.*(damaged|cut short)"):
        load(path)


def test_an_archive_of_class_folders_is_not_an_archive_of_samples(tmp_path):
    write_tar(tmp_path / "faces.tar", {f"train/happy/{number}.png": png(number) for number in range(3)})
    with pytest.raises(DataError, match="it is a tar archive without a table and without labeled"):
        load(tmp_path / "faces.tar")
