from __future__ import annotations

import io
import struct
import zipfile

import numpy as np
import pytest

from edgefer.contract.preprocessing import InputSpec
from edgefer.data.dataset import load
from edgefer.data.splitting import SplitShares
from edgefer.errors import DataError

PIXELS = np.random.default_rng(5).integers(0, 256, (14, 48, 48), np.uint8)
ARRAYS = {"pixels": PIXELS, "emotion": np.arange(14) % 7, "usage": np.array(["Training"] * 7 + ["PublicTest"] * 7)}


def packed(**changes: np.ndarray | bytes | None) -> bytes:
    """Return an .npz file; bytes replace the file of an array, None omits it."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, value in {**ARRAYS, **changes}.items():
            if isinstance(value, np.ndarray):
                file = io.BytesIO()
                np.lib.format.write_array(file, value)
                value = file.getvalue()
            if value is not None:
                archive.writestr(f"{name}.npy", value)
    return content.getvalue()


def header(shape: tuple[int, ...], descr: str = "|u1") -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def damaged_stream() -> bytes:
    content = bytearray(packed())
    start = content.find(b"pixels.npy") + 60
    content[start : start + 40] = bytes(40)
    return bytes(content)


DAMAGED = {
    "a header that promises too much": (packed(pixels=header((2**40, 48, 48))), "pixels is damaged: .*2,533,274,790"),
    "a header without data": (packed(emotion=header((14,), "<i8")), "emotion is damaged: .*112 bytes; the file has 0"),
    "a header that is no dict": (packed(pixels=b"\x93NUMPY\x01\x00\x04\x00foo\n"), "array pixels has a damaged header"),
    "no array": (packed(pixels=b"x"), "is damaged"),
    "Python objects": (packed(usage=np.array([{}] * 14)), "array usage has dtype object: .*could run code"),
    "a damaged deflate stream": (damaged_stream(), "is damaged"),
    "a damaged directory": (packed().replace(b"PK\1\2", b"PK\1\3", 1), "is damaged"),
    "a cut file": (packed()[:-500], "is damaged"),
    "a missing array": (packed(usage=None), "no array usage: its arrays are pixels, emotion"),
    "other arrays": (packed(pixels=None, x_train=PIXELS), "no array pixels: its arrays are emotion, usage, x_train"),
    "float pixels": (packed(pixels=PIXELS / 255), r"array pixels is float64 .*expected uint8 \(n, 48, 48\)"),
    "a scalar": (packed(pixels=np.array(7, np.uint8)), r"array pixels is uint8 \(\)"),
    "flat images": (packed(pixels=np.zeros((14, 2304), np.uint8)), r"array pixels is uint8 \(14, 2304\)"),
    "one-hot emotions": (packed(emotion=np.eye(7)[np.arange(14) % 7]), r"array emotion is float64 \(14, 7\)"),
    "votes of another length": (packed(votes=np.ones((3, 10))), r"votes is float64 \(3, 10\): expected numbers \(14"),
    "negative votes": (packed(votes=-np.ones((14, 10))), r"row 0 \(from 0\), column 0 is -1.0, expected 0 to"),
    "infinite votes": (packed(votes=np.full((14, 10), np.inf)), "column 0 is inf"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_the_error_for_a_damaged_array_has_its_value_and_the_expected_one(kind, tmp_path):
    content, message = DAMAGED[kind]
    path = tmp_path / "faces.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        load(path)
    assert caught.value.hint
    assert "--skip-bad-rows" not in str(caught.value)


@pytest.mark.parametrize("emotion", [np.uint64, np.int8, ">i4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_integer_types_and_memory_orders_are_equal(emotion, order, tmp_path):
    path = tmp_path / "faces.npz"
    path.write_bytes(packed())
    expected = load(path).sha256
    path.write_bytes(packed(pixels=np.array(PIXELS, order=order), emotion=ARRAYS["emotion"].astype(emotion)))
    assert load(path).sha256 == expected


def test_a_huge_emotion_is_unknown(tmp_path):
    path = tmp_path / "faces.npz"
    emotion = ARRAYS["emotion"].astype(np.uint64)
    emotion[3] = 2**64 - 1
    path.write_bytes(packed(emotion=emotion))
    with pytest.raises(DataError, match=r"row 3 \(from 0\): emotion is 18446744073709551615, expected 0 to 6"):
        load(path)


def test_other_names_sizes_and_colors_are_read(tmp_path):
    colored = np.random.default_rng(6).integers(0, 256, (14, 64, 40, 3), np.uint8)
    path = tmp_path / "faces.npz"
    names = np.array(["calm", "tense"])
    np.savez(path, images=colored, labels=np.arange(14) % 2, split=ARRAYS["usage"], class_names=names)
    dataset = load(path, spec=InputSpec(64, 40, channels="rgb"))
    assert dataset.labels == ("calm", "tense")
    assert np.array_equal(dataset.split("PublicTest").pixels, colored[7:, ..., ::-1])
    assert load(path).split("Training").pixels.shape == (7, 48, 48)


def test_arrays_of_keras_style_are_splits(tmp_path):
    path = tmp_path / "faces.npz"
    words = np.array(["happy", "sad"] * 7)
    np.savez(path, x_train=PIXELS[:10], y_train=words[:10], x_test=PIXELS[10:], y_test=words[10:])
    dataset = load(path)
    assert dataset.labels == ("happy", "sad")
    assert {name: len(split) for name, split in dataset.splits.items()} == {"Training": 10, "PublicTest": 4}
    assert np.array_equal(dataset.split("PublicTest").pixels, PIXELS[10:])
    assert any(note.startswith("Split 'test' is used as the validation split") for note in dataset.notes)


def test_splits_of_keras_style_have_images_of_one_size(tmp_path):
    path = tmp_path / "faces.npz"
    labels = np.arange(14) % 7
    np.savez(path, x_train=PIXELS[:10], y_train=labels[:10], x_test=PIXELS[10:, :40], y_test=labels[10:])
    with pytest.raises(DataError, match="splits have images of different sizes: x_train has 48 x 48, x_test has 40 x"):
        load(path)


@pytest.mark.parametrize("names", [("x_train", "y_train", "x_test"), ("pixels", "emotion", "usage", "images")])
def test_a_note_lists_the_arrays_that_are_not_read(names, tmp_path):
    path = tmp_path / "faces.npz"
    arrays = {"y": ARRAYS["emotion"], "e": ARRAYS["emotion"], "u": ARRAYS["usage"]}
    np.savez(path, **{name: arrays.get(name[0], PIXELS) for name in names})
    assert f"Not read: {names[-1]}." in load(path).notes


def test_a_single_test_set_is_noted(tmp_path):
    path = tmp_path / "faces.npz"
    path.write_bytes(packed(usage=np.array(["train"] * 7 + ["test"] * 7)))
    assert any(note.startswith("Split 'test' is used as the validation split") for note in load(path).notes)


def test_an_archive_without_splits_is_split_on_request(tmp_path):
    path = tmp_path / "faces.npz"
    path.write_bytes(packed(usage=None))
    with pytest.raises(DataError, match="no array usage") as caught:
        load(path)
    assert "--split 80/10/10" in caught.value.hint
    assert len(load(path, split=SplitShares.parse("50/50")).split("PublicTest")) == 7


def test_a_labels_map_precedes_the_numbers_of_fer2013(tmp_path):
    names = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")
    path = tmp_path / "faces.npz"
    path.write_bytes(packed(emotion=ARRAYS["emotion"] + 1))
    dataset = load(path, labels_map={str(number): name for number, name in enumerate(names)})
    assert [dataset.labels[label] for label in dataset.split("Training").labels] == list(names[1:])
    with pytest.raises(DataError, match=r"no class of the data: it has froh: .* are 0 \(2 images\)"):
        path.write_bytes(packed())
        load(path, labels_map={"froh": "joyful"})


@pytest.mark.parametrize("names", [None, np.array(["calm", "glad", "sad"])])
def test_emotions_from_1_are_refused_even_if_rows_may_be_skipped(names, tmp_path):
    count = 7 if names is None else len(names)
    path = tmp_path / "faces.npz"
    path.write_bytes(packed(emotion=np.arange(14) % count + 1, label_names=names))
    message = rf"emotion ranges from 1 to {count}: \d rows have {count} and none has 0"
    with pytest.raises(DataError, match=message) as caught:
        load(path, skip_bad_rows=True)
    assert "--skip-bad-rows" not in str(caught.value)


@pytest.mark.parametrize("missing", ["", "nan", "NaN"])
def test_a_missing_name_of_a_class_is_a_bad_row(missing, tmp_path):
    path = tmp_path / "faces.npz"
    words = np.array(["happy", "sad"] * 7)
    words[4] = missing
    path.write_bytes(packed(emotion=words))
    with pytest.raises(DataError, match=rf"row 4 \(from 0\): emotion is '{missing}', expected the name of a class"):
        load(path)
    dataset = load(path, skip_bad_rows=True)
    assert dataset.labels == ("happy", "sad")
    assert dataset.split("Training").labels.tolist() == [0, 1, 0, 1, 1, 0]
