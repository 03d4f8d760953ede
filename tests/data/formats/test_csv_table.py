from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec, prepare, prepare_all
from edgefer.data.dataset import Dataset, load
from edgefer.data.table_columns import find_columns
from edgefer.errors import DataError

USAGE = ["Training"] * 7 + ["PublicTest"] * 7 + ["PrivateTest"] * 7
FACES = np.random.default_rng(3).integers(0, 256, (21, 48, 48), np.uint8)


def values(index: int) -> list[int]:
    return FACES[index].ravel().tolist()


def joined(index: int) -> str:
    return " ".join(map(str, values(index)))


def make_table(row, header="emotion,pixels,Usage") -> str:
    lines = [row(index % 7, index, usage) for index, usage in enumerate(USAGE)]
    return "\n".join([header, *lines] if header else lines) + "\n"


PLAIN = make_table(lambda emotion, index, usage: f"{emotion},{joined(index)},{usage}")
CODES = {"Training": "train", "PublicTest": "val", "PrivateTest": "test"}


def load_bytes(folder: Path, content: bytes | str, name: str = "data.csv") -> Dataset:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return load(path, cache=False)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Dataset:
    return load_bytes(tmp_path_factory.mktemp("plain"), PLAIN)


def tar(name: str, content: bytes, *, mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for member, data in (("fer2013/README", b"read me"), (name, content)):
            info = tarfile.TarInfo(member)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def zipped(**members: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return packed.getvalue()


# pixel0, pixel1, pixel10, pixel100, ..., as tools write columns that they sort.
BY_NAME = sorted(range(2304), key=str)
VARIANTS = {
    "semicolons": PLAIN.replace(",", ";"),
    "tabs": PLAIN.replace(",", "\t"),
    "bars": PLAIN.replace(",", "|"),
    "sep line of Excel": "sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
    "UTF-8 with a byte-order mark": PLAIN.encode("utf-8-sig"),
    "UTF-16": PLAIN.replace(",", "\t").encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-le"),
    "UTF-16 big-endian": PLAIN.encode("utf-16-be"),
    "UTF-32": PLAIN.encode("utf-32"),
    "carriage returns": PLAIN.replace("\n", "\r"),
    "Windows line ends": PLAIN.replace("\n", "\r\n"),
    "gzip": gzip.compress(PLAIN.encode()),
    "bzip2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "tar": tar("fer2013/fer2013.csv", PLAIN.encode()),
    "tar.gz": tar("fer2013/fer2013.csv", PLAIN.encode(), mode="w:gz"),
    "zip": zipped(fer2013__fer2013_csv=PLAIN.encode(), notes_txt=b"notes"),
    "no header": PLAIN.partition("\n")[2],
    "no header, other order": make_table(lambda e, i, u: f"{u};{e};{joined(i)}", header=""),
    "blank lines first": "\n \n" + PLAIN,
    "zip with incomplete tables": zipped(a_csv=b"emotion,pixels\n", b_csv=PLAIN.encode(), c_csv=b"pixels\n"),
    "a delimiter at the end of each line": make_table(lambda e, i, u: f"{e},{joined(i)},{u},"),
    "line breaks within pixels": make_table(
        lambda e, i, u: f'{e},"[{chr(10).join(" ".join(map(str, row)) for row in FACES[i].tolist())}]",{u}'
    ),
    "lists of lists": make_table(lambda e, i, u: f'{e},"{FACES[i].tolist()}",{u}'),
    "arrays that NumPy printed": make_table(
        lambda e, i, u: f'{e},"{np.array2string(FACES[i].ravel(), threshold=10_000)}",{u}'
    ),
    "arrays of two dimensions that NumPy printed": make_table(
        lambda e, i, u: f'{e},"{np.array2string(FACES[i], threshold=10_000)}",{u}'
    ),
    "empty rows of a spreadsheet": PLAIN.replace(",", ";") + ";;\n;;\n",
    "every cell quoted": make_table(lambda e, i, u: f'"{e}","{joined(i)}","{u}"', header='"emotion","pixels","Usage"'),
    "quoted pixels": make_table(lambda e, i, u: f'{e},"{joined(i)}",{u}'),
    "lists": make_table(lambda e, i, u: f'{e},"{values(i)}",{u}'),
    "arrays": make_table(lambda e, i, u: f"{e},[{joined(i)}],{u}"),
    "float pixels": make_table(lambda e, i, u: f"{e},{' '.join(f'{v:.1f}' for v in values(i))},{u}"),
    "float emotions": make_table(lambda e, i, u: f"{e:.1f},{joined(i)},{u}"),
    "class names": make_table(lambda e, i, u: f"{LABELS[e].title()},{joined(i)},{u}"),
    "lower case": make_table(lambda e, i, u: f"{e},{joined(i)},{u.lower()}", header="EMOTION,PIXELS,USAGE"),
    "other column names": make_table(lambda e, i, u: f"{e},{joined(i)},{u}", header="label,pixels,split"),
    "train, val, test": make_table(lambda e, i, u: f"{e},{joined(i)},{CODES[u]}"),
    "index column": make_table(lambda e, i, u: f"{i},{e},{joined(i)},{u}", header=",emotion,pixels,Usage"),
    "a column per pixel": make_table(
        lambda e, i, u: f"{e},{u},{','.join(map(str, values(i)))}",
        header=",".join(["emotion", "Usage", *(f"pixel{number}" for number in range(2304))]),
    ),
    "columns of pixels in the order of their names": make_table(
        lambda e, i, u: f"{e},{u},{','.join(str(values(i)[number]) for number in BY_NAME)}",
        header=",".join(["emotion", "Usage", *(f"pixel{number}" for number in BY_NAME)]),
    ),
    "columns with the numbers of pandas": make_table(
        lambda e, i, u: f"{i},{','.join(map(str, values(i)))},{u},{e}",
        header=",".join(["", *map(str, range(2304)), "Usage", "emotion"]),
    ),
}


@pytest.mark.parametrize("names", [map(str, range(1, 2305)), [*map(str, range(2303)), "0"], ["9" * 5000] * 2304])
def test_columns_with_other_numbers_are_not_pixels(names):
    assert find_columns(",".join(["emotion", "Usage", *names])) is None


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["data.csv", "data"])
def test_a_table_is_read_in_every_variant(variant, name, plain, tmp_path):
    dataset = load_bytes(tmp_path, VARIANTS[variant], name)
    assert dataset.sha256 == plain.sha256
    assert [split.rows.tolist() for split in dataset.splits.values()] == [list(range(s, s + 7)) for s in (0, 7, 14)]


PARTIAL = PLAIN.replace("Usage", "other").encode()


def tarred(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.mark.parametrize("table", [PLAIN.encode(), PARTIAL], ids=["complete", "without splits"])
@pytest.mark.parametrize("pack", [lambda members: zipped(**members), tarred], ids=["zip", "tar.gz"])
def test_an_archive_with_several_tables_is_refused(tmp_path, pack, table):
    members = {"a.csv": table, "b.csv": table, "c.csv": b"pixels\n"}
    with pytest.raises(DataError, match=r"data\.csv has 2 tables: expected one; it has a\.csv, b\.csv") as refused:
        load_bytes(tmp_path, pack(members))
    assert "extract one table" in refused.value.hint


@pytest.mark.parametrize("pack", [lambda members: zipped(**members), tarred], ids=["zip", "tar.gz"])
def test_the_only_table_of_an_archive_with_all_columns_is_read(tmp_path, plain, pack):
    dataset = load_bytes(tmp_path, pack({"a.csv": PARTIAL, "b.csv": PLAIN.encode(), "c.csv": PARTIAL}))
    assert dataset.sha256 == plain.sha256
    assert any("The table is b.csv in a" in note for note in dataset.notes)


@pytest.mark.parametrize(
    ("variant", "note"),
    [
        ("gzip", "The table is gzip-compressed."),
        ("tar.gz", "The table is fer2013/fer2013.csv in a gzip-compressed tar archive."),
        ("zip", "The table is fer2013/fer2013.csv in a ZIP archive."),
        ("no header, other order", "no header; its columns were identified by their content: Usage, emotion, pixels."),
    ],
)
def test_a_note_reports_each_interpretation(variant, note, tmp_path):
    assert any(note in text for text in load_bytes(tmp_path, VARIANTS[variant]).notes)


def test_test_rows_are_public_without_a_validation_split(tmp_path):
    table = make_table(lambda e, i, u: f"{e},{joined(i)},{'train' if u == 'Training' else 'test'}")
    dataset = load_bytes(tmp_path, table)
    assert {name: len(split) for name, split in dataset.splits.items()} == {"Training": 7, "PublicTest": 14}
    note = "is used as the validation split, because there is no other to select the best epoch on."
    assert f"Usage 'test' {note}" in dataset.notes
    with pytest.raises(DataError, match=r"no test images: it has Training \(7\), validation \(14\)"):
        dataset.split("PrivateTest")


ALL_BAD = {
    "fractions": (lambda e, i, u: f"{e},{' '.join(f'{v / 255:.4f}' for v in values(i))},{u}", "fractions from 0 to 1"),
    "not square": (
        lambda e, i, u: f"{e},{' '.join(['7'] * 2400)},{u}",
        "line 2: pixels has 2,400 values, expected the square of a number, such as 2,304 (48 x 48)",
    ),
    "in color": (
        lambda e, i, u: f"{e},{' '.join(['7'] * 6912)},{u}",
        "6,912 values (48 x 48 in 3 channels; tables of pixels are gray), expected the square of a number",
    ),
    "1 x 1": (lambda e, i, u: f"{e},7,{u}", "pixels has 1 value, expected the square of a number"),
    "abbreviated": (lambda e, i, u: f"{e},[{' '.join(['7'] * 300)} ... 4],{u}", "value 301 is '...'"),
    "unknown emotions": (lambda e, i, u: f"smile,{joined(i)},{u}", "emotion is 'smile', expected 0 to 6"),
    "unknown splits": (lambda e, i, u: f"{e},{joined(i)},fold1", "Usage is 'fold1', expected train, val"),
}


@pytest.mark.parametrize("kind", ALL_BAD)
def test_skipping_is_not_advised_if_no_row_is_usable(kind, tmp_path):
    row, reason = ALL_BAD[kind]
    with pytest.raises(DataError, match="no usable images: 21 rows are unusable: line 2: ") as caught:
        load_bytes(tmp_path, make_table(row))
    assert reason in caught.value.why
    assert "--skip-bad-rows" not in str(caught.value)


def of_side(side: int, *, emotion: int = 0, usage: str = "Training") -> str:
    row = np.random.default_rng([side, emotion]).integers(0, 256, side * side).tolist()
    return f"{emotion},{' '.join(map(str, row))},{usage}"


@pytest.mark.parametrize("side", [16, 64, 100])
@pytest.mark.parametrize("header", ["emotion,pixels,Usage\n", ""])
def test_rows_of_any_square_size_are_resized_like_pictures(side, header, tmp_path):
    path = tmp_path / "data.csv"
    rows = [of_side(side, emotion=emotion) for emotion in range(7)]
    path.write_text(header + "\n".join(rows) + "\n")
    faces = [np.array(row.split(",")[1].split(), np.uint8).reshape(side, side) for row in rows]
    for spec in (InputSpec(), InputSpec(32, 32), InputSpec(side, side), InputSpec(48, 48, channels="rgb")):
        for _ in range(2):  # the second time, from the cache
            dataset = load(path, spec=spec)
            assert dataset.layout == "pixel table"
            pixels = prepare_all(dataset.split("Training").pixels, spec)
            assert np.array_equal(pixels, [prepare(face, spec) for face in faces])


def test_rows_of_mixed_sizes_are_refused_with_the_first_of_each(tmp_path):
    path = tmp_path / "data.csv"
    rows = [of_side(64, emotion=emotion) for emotion in range(3)] + [of_side(48), of_side(50)]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    with pytest.raises(DataError, match="2 rows that cannot be used") as caught:
        load(path)
    assert caught.value.why == (
        "line 5: pixels has 2,304 values (48 x 48), expected 4,096 (64 x 64) as in line 2; "
        "line 6: pixels has 2,500 values (50 x 50), expected 4,096 (64 x 64) as in line 2"
    )
    assert len(load(path, skip_bad_rows=True).split("Training")) == 3


@pytest.mark.parametrize("broken", [47, 64])
def test_a_first_row_of_another_size_is_the_only_bad_one(broken, tmp_path):
    path = tmp_path / "data.csv"
    rows = [of_side(broken), *(of_side(48, emotion=index % 7) for index in range(50))]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    with pytest.raises(DataError, match="1 row that cannot be used") as caught:
        load(path)
    assert caught.value.why.startswith(f"line 2: pixels has {broken**2:,} values ({broken} x {broken}), expected 2,304")
    assert caught.value.why.endswith("(48 x 48) as in most of the first rows")
    assert caught.value.hint == "add --skip-bad-rows to use the other 50"


def test_the_cached_faces_of_a_table_have_the_size_of_the_model_in_spite_of_its_first_row(tmp_path):
    path = tmp_path / "data.csv"
    rows = [of_side(48), *(of_side(64, emotion=index % 7) for index in range(7))]
    path.write_text("\n".join(["emotion,pixels,Usage", *rows]) + "\n")
    for side in (48, 32):
        dataset = load(path, spec=InputSpec(side, side), skip_bad_rows=True)
        assert dataset.split("Training").pixels.shape == (7, side, side)


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8"])
def test_class_names_of_pixels_in_any_encoding_are_one_class_in_any_case(encoding, tmp_path):
    names = ("fr\u00f6hlich", "Fr\u00f6hlich", "fr\u00f6hlich", "m\u00fcde", "m\u00fcde", "m\u00fcde", "sad")
    table = make_table(lambda e, i, u: f"{names[e]},{joined(i)},{u}")
    dataset = load_bytes(tmp_path, table.encode(encoding))
    assert dataset.labels == ("fr\u00f6hlich", "m\u00fcde", "sad")
    assert np.bincount(dataset.split("Training").labels).tolist() == [3, 3, 1]
    note = "18 lines are not UTF-8 and read as Windows-1252; the first is line 2."
    assert (note in dataset.notes) == (encoding == "cp1252")


def test_a_single_row_in_another_case_belongs_to_the_class(tmp_path):
    table = make_table(lambda e, i, u: f"{('Bored' if i == 0 else 'bored') if e < 3 else 'calm'},{joined(i)},{u}")
    assert load_bytes(tmp_path, table).labels == ("bored", "calm")


def test_a_class_name_with_bytes_that_are_no_text_is_a_bad_row(tmp_path):
    table = make_table(lambda e, i, u: f"{'b?red' if i < 2 else ('calm', 'bored')[e % 2]},{joined(i)},{u}").encode()
    with pytest.raises(DataError, match="2 rows that cannot be used: line 2: emotion is 'b\ufffdred', expected"):
        load_bytes(tmp_path, table.replace(b"?", b"\x81"))


@pytest.mark.parametrize("missing", ["", "nan", "NaN", "<NA>"])
def test_a_missing_class_name_is_a_bad_row(missing, tmp_path):
    table = make_table(lambda e, i, u: f"{missing if i < 2 else LABELS[e]},{joined(i)},{u}")
    with pytest.raises(DataError, match=f"2 rows .*line 2: emotion is '{missing}', expected 0 to 6 or a name"):
        load_bytes(tmp_path, table)


def test_only_a_table_with_the_classes_size_and_splits_of_fer2013_has_its_layout(tmp_path):
    assert load_bytes(tmp_path, PLAIN).layout == "fer2013.csv"
    others = (
        make_table(lambda e, i, u: f"{e},{joined(i)},{CODES[u]}"),
        make_table(lambda e, i, u: f"{'happy' if e < 4 else 'bored'},{joined(i)},{u}"),
    )
    assert [load_bytes(tmp_path, table).layout for table in others] == ["pixel table", "pixel table"]


def test_the_advice_to_skip_names_the_remaining_rows(tmp_path):
    with pytest.raises(DataError) as caught:
        load_bytes(tmp_path, PLAIN + "9,1 2,Training\n")
    assert caught.value.hint == "add --skip-bad-rows to use the other 21"


@pytest.mark.parametrize("skip", [False, True])
def test_emotions_from_1_are_refused_even_if_rows_may_be_skipped(skip, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(make_table(lambda e, i, u: f"{e + 1},{joined(i)},{u}"))
    with pytest.raises(DataError, match=r"emotion ranges from 1 to 7: 3 rows have 7 and none has 0"):
        load(path, skip_bad_rows=skip, cache=False)


AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")


def labels_of(dataset: Dataset) -> list[str]:
    return [dataset.labels[label] for split in dataset.splits.values() for label in split.labels]


@pytest.mark.parametrize("first", [0, 1])
def test_a_labels_map_precedes_the_numbers_of_fer2013(first, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(make_table(lambda e, i, u: f"{e + first},{joined(i)},{u}"))
    names = {str(number + first): name for number, name in enumerate(AFFECTNET)}
    for _ in range(2):  # the second time, from the cache
        dataset = load(path, labels_map=names)
        assert labels_of(dataset) == list(AFFECTNET[:7]) * 3
        assert dataset.layout == "pixel table"
    if not first:
        assert labels_of(load(path)) == list(LABELS) * 3


def test_a_labels_map_precedes_synonyms_and_accepts_a_single_row(tmp_path):
    words = ["Anger", "joy", *["happy"] * 5]
    path = tmp_path / "data.csv"
    path.write_text(make_table(lambda e, i, u: f"{words[i] if i < 7 else 'sad'},{joined(i)},{u}"))
    dataset = load(path, labels_map={"Anger": "rage", "joy": "happy"})
    assert labels_of(dataset)[:7] == ["rage", *["happy"] * 6]
    assert dataset.labels == ("happy", "rage", "sad")
    # The canonical name of a class is a key, too.
    assert load(path, labels_map={"angry": "rage", "joy": "happy"}).labels == ("happy", "rage", "sad")


def test_a_labels_map_without_a_class_of_the_data_is_an_error(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(PLAIN)
    with pytest.raises(DataError, match="the labels map has no class of the data: it has froh, traurig") as caught:
        load(path, labels_map={"froh": "joyful", "traurig": "sorrow"})
    assert caught.value.why.startswith("the classes of the data are 0 (3 images), 1 (3 images)")
    assert caught.value.hint == '--labels-map FILE with one line per class, such as "0" = "happy"'
    # The map of a run may be applied to data that has its names.
    note = "The labels map has other classes than the data: froh."
    assert note in load(path, labels_map={"froh": "happy"}).notes


@pytest.mark.parametrize(
    ("header", "row", "missing"),
    [
        ("emotion,pixels", lambda e, i, u: f"{e},{joined(i)}", "no column Usage"),
        ("pixels,Usage", lambda e, i, u: f"{joined(i)},{u}", "no column emotion"),
        ("id,pixels", lambda e, i, u: f"{i},{joined(i)}", "no column emotion and no column Usage"),
    ],
)
def test_a_missing_column_is_named_beside_the_existing_ones(header, row, missing, tmp_path):
    with pytest.raises(DataError, match=missing) as caught:
        load_bytes(tmp_path, make_table(row, header=header))
    assert f"its columns are {', '.join(map(repr, header.lower().split(',')))}, its first row is" in caught.value.why
    assert len(str(caught.value)) < 600


def test_a_truncated_gzip_file_is_damaged(tmp_path):
    with pytest.raises(DataError, match=r"damaged after line \d+"):
        load_bytes(tmp_path, gzip.compress(PLAIN.encode())[:-2000])


def test_a_decompression_bomb_is_refused(tmp_path):
    bomb = gzip.compress(("emotion,pixels,Usage\n" + ("0" * 1000 + "\n") * 40_000).encode())
    with pytest.raises(DataError, match="implausibly large"):
        load_bytes(tmp_path, bomb)


def test_a_table_of_blank_lines_is_refused(tmp_path):
    with pytest.raises(DataError, match="more than 1,000,000 blank lines after line 22"):
        load_bytes(tmp_path, PLAIN + "\n" * 1_000_010)


def test_an_endless_line_is_refused(tmp_path):
    with pytest.raises(DataError, match="line 23 has more than 5,242,880 characters"):
        load_bytes(tmp_path, PLAIN + "0," + "1 " * 2_700_000)


def test_a_stray_quote_costs_one_line(tmp_path):
    lines = PLAIN.splitlines()
    lines[4] = lines[4].replace(",", ',"', 1) + ",x"
    path = tmp_path / "data.csv"
    path.write_text("\n".join(lines))
    with pytest.raises(DataError, match=r"has 1 row that cannot be used: line 5: "):
        load(path)


def test_rows_of_black_among_fractions_are_not_suggested_as_the_data(tmp_path):
    black = " ".join(["0.0"] * 2304)
    table = make_table(
        lambda emotion, index, usage: (
            f"{emotion},{' '.join(f'{v / 255:.4f}' for v in values(index)) if index else black},{usage}"
        )
    )
    with pytest.raises(DataError, match="20 rows that cannot be used") as caught:
        load_bytes(tmp_path, table)
    assert caught.value.hint == "correct the file, or name another data set; --skip-bad-rows leaves 1 image"
