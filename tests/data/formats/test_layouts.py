"""The layouts of public data sets, written with synthetic faces."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgefer.cli.data_options import parse_columns
from edgefer.contract.labels import LABELS
from edgefer.contract.preprocessing import InputSpec
from edgefer.data.dataset import Dataset, load
from edgefer.data.ferplus import VOTES
from edgefer.data.splitting import SplitShares
from edgefer.errors import DataError, UsageError

EIGHT = ("angry", "contempt", "disgust", "fear", "happy", "neutral", "sad", "surprise")


def counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    return {
        name: dict(sorted(Counter(dataset.labels[label] for label in split.labels).items()))
        for name, split in dataset.splits.items()
    }


def faces_of(dataset: Dataset, split: str, label: str) -> list[bytes]:
    faces = dataset.split(split)
    return sorted(face.tobytes() for face in faces.pixels[faces.labels == dataset.labels.index(label)])


RAF = ("surprise", "fear", "disgust", "happy", "sad", "angry", "neutral")


def test_raf_db_by_folders(drawn, put):
    for number, label in enumerate(RAF, start=1):
        for index, face in enumerate(drawn[label]):
            root = put(f"{'train' if index else 'test'}/{number}/{label}_{index}.png", face)
    dataset = load(root)
    assert (dataset.layout, dataset.labels) == ("RAF-DB", LABELS)
    assert counts(dataset) == {
        "Training": dict.fromkeys(sorted(LABELS), 3),
        "PublicTest": dict.fromkeys(sorted(LABELS), 1),
    }
    for label in LABELS:
        assert faces_of(dataset, "PublicTest", label) == [drawn[label][0].tobytes()]
    # The meaning that the user gives to numbers precedes that of RAF-DB.
    own = load(root, labels_map={str(number): f"class {number}" for number in range(1, 8)})
    assert own.labels == tuple(f"class {number}" for number in range(1, 8))


def test_raf_db_by_its_list(drawn, put):
    lines = []
    for number, label in enumerate(RAF, start=1):
        for index, split in enumerate(("train", "train", "test")):
            stem = f"{split}_{number}{index:04d}"
            root = put(f"Image/aligned/{stem}_aligned.jpg", drawn[label][index])
            lines.append(f"{stem}.jpg {number}")
    (root / "EmoLabel").mkdir()
    listed = root / "EmoLabel" / "list_patition_label.txt"
    listed.write_text("\n".join(lines) + "\n")
    dataset = load(root)
    assert (dataset.layout, dataset.labels) == ("RAF-DB", LABELS)
    assert counts(dataset)["Training"] == dict.fromkeys(sorted(LABELS), 2)
    listed.write_text("\n".join([*lines, "train_90000.jpg 8", "train_90001.jpg 3"]))
    with pytest.raises(DataError, match="2 rows .*the class is '8', expected 1 to 7; train_90001.jpg: cannot be read"):
        load(root)


AFFECTNET = ("neutral", "happy", "sad", "surprise", "fear", "disgust", "angry", "contempt")


def test_folders_of_splits_within_folders_of_the_same_name_are_read(drawn, put):
    for split, index in (("train", 0), ("test", 1)):
        for label in ("happy", "sad"):
            root = put(f"tree/{split}/{split}/{label}/1.png", drawn[label][index])
        for number, label in enumerate(RAF, start=1):
            put(f"raf/{split}/{split}/{number}/1.png", drawn[label][index])
        put(f"affectnet/{split}_set/{split}_set/images/1.png", drawn["happy"][index])
        annotations = root / "affectnet" / f"{split}_set" / f"{split}_set" / "annotations"
        annotations.mkdir()
        np.save(annotations / "1_exp.npy", np.array("1"))
        put(f"ferplus/FER2013{split}/FER2013{split}/1.png", drawn["happy"][index])
        votes = root / "ferplus" / f"FER2013{split}" / f"FER2013{split}" / "label.csv"
        votes.write_text('1.png,"(0, 0, 48, 48)",0,9,0,0,0,0,0,0,0,0\n')
    put("tree/train/stray.png", drawn["sad"][2])
    expected = {"tree": {"happy": 1, "sad": 1}, "raf": dict.fromkeys(sorted(LABELS), 1)}
    for name in ("tree", "raf", "affectnet", "ferplus"):
        dataset = load(root / name)
        assert counts(dataset) == dict.fromkeys(("Training", "PublicTest"), expected.get(name, {"happy": 1}))
        skipped = [note for note in dataset.notes if note.startswith("Skipped")]
        assert skipped == (["Skipped, not in a class folder of a split: train/stray.png."] if name == "tree" else [])


def test_affectnet_by_folders(drawn, put):
    for number, label in enumerate(AFFECTNET):
        for index, split in enumerate(("train", "train", "val")):
            root = put(f"{split}/{number}/{index}.png", drawn.get(label, drawn["sad"])[index])
    dataset = load(root)
    assert (dataset.layout, dataset.labels) == ("AffectNet", EIGHT)
    assert counts(dataset) == {"Training": dict.fromkeys(EIGHT, 2), "PublicTest": dict.fromkeys(EIGHT, 1)}
    assert faces_of(dataset, "PublicTest", "happy") == [drawn["happy"][2].tobytes()]
    (root / "val" / "7" / "2.png").unlink()
    assert "val/ has no images of contempt, other splits do." in load(root).notes


def test_affectnet_by_annotations(drawn, put):
    for split in ("train_set", "val_set"):
        for number in (0, 1, 7, 8):
            root = put(f"{split}/images/{number}.png", drawn["happy"][number % 4])
            (root / split / "annotations").mkdir(exist_ok=True)
            np.save(root / split / "annotations" / f"{number}_exp.npy", np.array(str(number)))
            np.save(root / split / "annotations" / f"{number}_val.npy", np.array("0.5"))
    dataset = load(root)
    assert dataset.labels == ("contempt", "happy", "neutral")
    assert counts(dataset)["PublicTest"] == {"contempt": 1, "happy": 1, "neutral": 1}
    assert "Skipped: 2 images without one of the eight expressions: 8 (2)." in dataset.notes
    np.save(root / "train_set" / "annotations" / "1_exp.npy", np.array("smile"))
    with pytest.raises(DataError, match=r"train_set/images/1\.png: 1_exp\.npy has no number"):
        load(root)


def test_ck_plus_as_distributed(drawn, put):
    for subject in range(1, 5):
        name = f"S{subject:03d}/001/S{subject:03d}_001_00000011"
        put(f"cohn-kanade-images/{name[:-2]}01.png", drawn["neutral"][0])
        root = put(f"cohn-kanade-images/{name}.png", drawn["happy"][subject - 1])
        emotion = root / "Emotion" / f"{name}_emotion.txt"
        emotion.parent.mkdir(parents=True)
        emotion.write_text("   5.0000000e+00\n" if subject < 4 else "   2.0000000e+00\n")
    dataset = load(root, split=SplitShares.parse("50/50"))
    assert dataset.layout == "CK+"
    assert dataset.labels == ("contempt", "happy")
    assert sum(len(split) for split in dataset.splits.values()) == 4
    assert any("by subject (2, 2 subjects)" in note for note in dataset.notes)


@pytest.mark.parametrize("text", ["-1.0", "3.7", "8", "nan", "inf", ""])
def test_an_emotion_of_ck_plus_is_an_integer_from_0_to_7(text, drawn, put):
    put("cohn-kanade-images/S001/001/S001_001_00000011.png", drawn["happy"][0])
    root = put("cohn-kanade-images/S002/001/S002_001_00000011.png", drawn["happy"][1])
    for subject, content in (("S001", "5.0000000e+00"), ("S002", text)):
        emotion = root / "Emotion" / subject / "001" / f"{subject}_001_00000011_emotion.txt"
        emotion.parent.mkdir(parents=True)
        emotion.write_text(content)
    with pytest.raises(DataError, match=f"S002_001_00000011.png: its emotion is '{text}', expected 0 to 7"):
        load(root)
    assert load(root, skip_bad_rows=True).labels == ("happy",)


def test_values_of_8_bits_in_samples_of_16_bits_are_bad_rows(drawn, put):
    for index, name in enumerate(("happy", "sad")):
        put(f"train/{name}/right.png", drawn[name][0])
        root = put(f"train/{name}/{index}.png", drawn[name][1].astype(np.uint16))
    with pytest.raises(DataError, match=r"train/happy/0\.png: the image has 8-bit values in 16-bit samples"):
        load(root, split=SplitShares.parse("50/50"))
    dataset = load(root, split=SplitShares.parse("50/50"), skip_bad_rows=True)
    assert sum(len(split) for split in dataset.splits.values()) == 2


def test_files_of_macos_beside_annotations_are_ignored(drawn, put):
    put("ck/cohn-kanade-images/S001/001/S001_001_00000011.png", drawn["happy"][0])
    put("affectnet/train_set/images/1.png", drawn["happy"][0])
    root = put("affectnet/val_set/images/1.png", drawn["happy"][1])
    emotions = root / "ck" / "Emotion" / "S001" / "001"
    emotions.mkdir(parents=True)
    (emotions / "S001_001_00000011_emotion.txt").write_text("5.0")
    (emotions / "._S001_001_00000011_emotion.txt").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    for split in ("train_set", "val_set"):
        annotations = root / "affectnet" / split / "annotations"
        annotations.mkdir()
        np.save(annotations / "1_exp.npy", np.array("1"))
        (annotations / "._1_exp.npy").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    for name in ("ck", "affectnet"):
        assert load(root / name).labels == ("happy",)


def test_the_folders_of_ck48_carry_the_subject_in_file_names(drawn, put):
    for index, (folder, label) in enumerate((("anger", "angry"), ("contempt", "sad"), ("happy", "happy"))):
        for subject in range(4):
            root = put(f"CK+48/{folder}/S{subject:03d}_{index:03d}_00000017.png", drawn[label][subject])
    dataset = load(root, split=SplitShares.parse("50/25/25:3"))
    assert dataset.labels == ("angry", "contempt", "happy")
    assert counts(dataset) == {
        "Training": {"angry": 2, "contempt": 2, "happy": 2},
        "PublicTest": {"angry": 1, "contempt": 1, "happy": 1},
        "PrivateTest": {"angry": 1, "contempt": 1, "happy": 1},
    }


def test_the_table_of_ck_plus_has_contempt_as_7(drawn, tmp_path):
    rows = ["emotion,pixels,Usage"]
    for number, label in enumerate((*LABELS, "sad")):
        for face in drawn[label]:
            rows.append(f"{number},{' '.join(map(str, face.ravel().tolist()))},Training")
    path = tmp_path / "ckextended.csv"
    path.write_text("\n".join(rows) + "\n")
    assert load(path).labels == EIGHT
    assert counts(load(path))["Training"] == dict.fromkeys(EIGHT, 4)


def test_ferplus_folders_have_votes(drawn, put):
    votes = {"happiness": [0, 9, 1, 0, 0, 0, 0, 0, 0, 0], "contempt": [1, 0, 0, 0, 2, 0, 0, 7, 0, 0]}
    votes["NF"] = [0, 0, 0, 0, 0, 0, 0, 0, 1, 9]
    for folder in ("FER2013Train", "FER2013Valid", "FER2013Test"):
        lines = []
        for index, cells in enumerate(votes.values()):
            root = put(f"{folder}/fer{index:07d}.png", drawn["happy"][index])
            lines.append(f'fer{index:07d}.png,"(0, 0, 48, 48)",{",".join(map(str, cells))}')
        (root / folder / "label.csv").write_text("\n".join(lines) + "\n")
    for _ in range(2):  # the second time, from the cache
        dataset = load(root)
        assert dataset.layout == "FER+ folders"
        expected = {"contempt": 1, "happy": 1}
        assert counts(dataset) == {"Training": expected, "PublicTest": expected, "PrivateTest": expected}
        assert dataset.split("Training").votes[0, VOTES.index("happiness")] == 9
        assert "Skipped: 3 images with most votes for unknown or no face." in dataset.notes
    (root / "FER2013Test" / "label.csv").write_text('fer0000000.png,"(0, 0, 48, 48)",nan,1,0,0,0,0,0,0,0,0\n')
    with pytest.raises(DataError, match=r"FER2013Test/label\.csv, line 1: the votes are 'nan 1 0"):
        load(root)


CODES = {"AF": "fear", "AN": "angry", "DI": "disgust", "HA": "happy", "NE": "neutral", "SA": "sad", "SU": "surprise"}


def test_kdef_by_file_name(drawn, put):
    for index, person in enumerate(("F01", "F02", "M01", "M02")):
        for code, label in CODES.items():
            for session, face in zip("AB", drawn[label]):
                root = put(f"KDEF/{session}{person}/{session}{person}{code}S.JPG", np.roll(face, index, axis=1))
    dataset = load(root, split=SplitShares.parse("50/25/25"))
    assert (dataset.layout, dataset.labels) == ("KDEF", LABELS)
    # A person's two sessions stay together.
    assert counts(dataset)["Training"] == dict.fromkeys(sorted(LABELS), 4)
    assert counts(dataset)["PrivateTest"] == dict.fromkeys(sorted(LABELS), 2)


def test_kdef_in_folders_of_splits_and_classes_is_an_image_tree(drawn, put):
    for split, person in (("train", "F01"), ("train", "F02"), ("test", "M09")):
        for code in ("AN", "HA"):
            root = put(f"{split}/{CODES[code]}/A{person}{code}S.JPG", drawn[CODES[code]][0])
    dataset = load(root)
    assert dataset.layout == "image tree"
    assert counts(dataset) == {"Training": {"angry": 2, "happy": 2}, "PublicTest": {"angry": 1, "happy": 1}}


@pytest.mark.parametrize("folder", ["", "{person}/"])
def test_kdef_in_folders_of_splits_alone_has_these_splits(folder, drawn, put):
    for split, person in (("train", "F01"), ("train", "F02"), ("test", "M09")):
        for code in ("AN", "HA"):
            name = f"{split}/{folder.format(person=person)}A{person}{code}S.JPG"
            root = put(name, drawn[CODES[code]][0])
    dataset = load(root)
    assert dataset.layout == "KDEF"
    assert counts(dataset) == {"Training": {"angry": 2, "happy": 2}, "PublicTest": {"angry": 1, "happy": 1}}
    assert any(note.startswith("test/ is used as the validation split") for note in dataset.notes)
    put("AF03ANS.JPG", drawn["angry"][1])
    assert "Skipped: 1 picture not in the folder of a split." in load(root).notes


def test_jaffe_by_file_name(drawn, put):
    for person in ("KA", "KL"):
        for code, label in {**CODES, "FE": "fear"}.items():
            if code != "AF":
                root = put(f"jaffe/{person}.{code}1.{10 + len(label)}.tiff", drawn[label][0])
    (root / "jaffe" / "README").write_text("JAFFE")
    dataset = load(root)
    assert (dataset.layout, dataset.labels) == ("JAFFE", LABELS)
    assert counts(dataset) == {"Training": dict.fromkeys(sorted(LABELS), 2)}
    assert "Skipped: 1 file with other names." in dataset.notes


def test_class_folders_without_splits_are_training(drawn, put):
    for folder, label in (("happy", "happy"), ("Neutral", "neutral"), ("anger", "angry")):
        for index, face in enumerate(drawn[label]):
            root = put(f"{folder}/{index}.png", face)
    dataset = load(root)
    assert dataset.labels == ("angry", "happy", "neutral")
    assert counts(dataset) == {"Training": {"angry": 4, "happy": 4, "neutral": 4}}
    assert "Class names: anger is angry." in dataset.notes


@pytest.mark.parametrize(("link", "target"), [("happy/all", ".."), ("everything", "."), ("sad/data", "../..")])
def test_a_link_to_a_folder_around_it_gives_no_pictures(link, target, drawn, put):
    for label in ("happy", "sad", "neutral"):
        for index, face in enumerate(drawn[label]):
            root = put(f"{label}/{index}.png", face)
    whole = counts(load(root))
    (root / link).symlink_to(target)
    assert counts(load(root)) == whole == {"Training": {"happy": 4, "neutral": 4, "sad": 4}}


def test_unknown_class_names_stay_and_a_map_renames_them(drawn, put):
    for folder, label in (("content", "happy"), ("calm", "neutral")):
        for split in ("train", "test"):
            root = put(f"faces/{split}/{folder}/1.png", drawn[label][0])
    assert load(root).labels == ("calm", "content")
    renamed = load(root, labels_map={"Content": "happy", "calm": "neutral", "cross": "angry"})
    assert renamed.labels == ("happy", "neutral")
    assert "Class names: calm is neutral, content is happy." in renamed.notes
    assert "The labels map has other classes than the data: cross." in renamed.notes


def test_numbered_classes_of_an_unknown_data_set_need_a_map(drawn, put):
    for number in range(3):
        for split in ("train", "test"):
            root = put(f"{split}/{number}/1.png", drawn["happy"][number])
    with pytest.raises(DataError, match=r"the classes 0, 1, 2 are numbers: .*0 \(2 images\)") as caught:
        load(root)
    assert "--labels-map" in caught.value.hint
    assert load(root, labels_map={"0": "sad", "1": "happy", "2": "calm"}).labels == ("calm", "happy", "sad")


def test_a_table_of_paths(drawn, put):
    rows = ["file;mood;who;fold"]
    for label in ("happy", "sad"):
        for index, face in enumerate(drawn[label]):
            root = put(f"pictures/{label}{index}.png", face)
            rows.append(f"pictures/{label}{index}.png;{label};p{index % 2};{('train', 'test')[index % 2]}")
    table = root / "faces.csv"
    table.write_text("\n".join(rows))
    columns = {"path": "file", "label": "mood"}
    assert counts(load(table, columns=columns)) == {"Training": {"happy": 4, "sad": 4}}
    two = {"happy": 2, "sad": 2}
    with_splits = load(table, columns={**columns, "split": "Fold"})
    assert counts(with_splits) == {"Training": two, "PublicTest": two}
    assert any(note.startswith("Fold 'test' is used as the validation split") for note in with_splits.notes)
    by_subject = load(table, columns={**columns, "subject": "who"}, split=SplitShares.parse("50/50"))
    assert any("by subject (1, 1 subjects)" in note for note in by_subject.notes)
    with pytest.raises(UsageError, match=r"no column emotion: its columns are file, mood, who, fold"):
        load(table, columns={"path": "file", "label": "emotion"})


@pytest.mark.parametrize("column", ["Usage", "split"])
def test_a_table_of_paths_has_a_column_of_splits_by_its_usual_name(column, drawn, put):
    rows = [f"path,label,{column}"]
    for label in ("happy", "sad"):
        for index, face in enumerate(drawn[label]):
            root = put(f"{label}{index}.png", face)
            rows.append(f"{label}{index}.png,{label},{('Training', 'PublicTest')[index % 2]}")
    table = root / "faces.csv"
    table.write_text("\n".join([*rows, ",,", ' , ,""']))
    two = {"happy": 2, "sad": 2}
    dataset = load(table, columns={"path": "path", "label": "label"})
    assert counts(dataset) == {"Training": two, "PublicTest": two}


@pytest.mark.parametrize(("missing", "reason"), [("", "empty"), ("NaN", "'NaN'"), ("nan", "'nan'")])
def test_a_missing_class_in_a_table_of_paths_is_a_bad_row(missing, reason, drawn, put):
    root = put("a.png", drawn["happy"][0])
    (root / "faces.csv").write_text(f"path,label\na.png,happy\na.png,{missing}\n")
    with pytest.raises(DataError, match=f"1 row .*line 3: the class is {reason}"):
        load(root / "faces.csv", columns={"path": "path", "label": "label"})


GERMAN = "fr\u00f6hlich"


def picture_rows(drawn, put) -> tuple[Path, list[str]]:
    rows = ["Datei;Gef\u00fchl", *(f"{label}{index}.png;{label}" for label in ("sad", GERMAN) for index in range(2))]
    for index in range(2):
        put(f"sad{index}.png", drawn["sad"][index])
        root = put(f"{GERMAN}{index}.png", drawn["happy"][index])
    return root / "faces.csv", rows


@pytest.mark.parametrize("encoding", ["cp1252", "utf-8", "utf-8-sig", "utf-16"])
def test_a_table_of_paths_has_names_in_any_encoding(encoding, drawn, put):
    table, rows = picture_rows(drawn, put)
    table.write_bytes("\n".join(rows).encode(encoding))
    dataset = load(table, columns={"path": "Datei", "label": "Gef\u00fchl"})
    assert counts(dataset) == {"Training": {GERMAN: 2, "sad": 2}}
    note = "3 lines are not UTF-8 and read as Windows-1252; the first is line 1."
    assert (note in dataset.notes) == (encoding == "cp1252")


def test_a_single_line_in_another_encoding_leaves_the_others_alone(drawn, put):
    table, rows = picture_rows(drawn, put)
    table.write_bytes(b"\n".join(row.encode("cp1252" if row == rows[-1] else "utf-8") for row in rows))
    assert counts(load(table, columns={"path": "Datei", "label": "Gef\u00fchl"})) == {"Training": {GERMAN: 2, "sad": 2}}


def test_bytes_that_are_no_text_are_bad_rows(drawn, put):
    table, rows = picture_rows(drawn, put)
    content = "\n".join(rows).encode("cp1252") + b"\nsad0.png;s\x81d\ns\x81d0.png;sad\n"
    table.write_bytes(content)
    with pytest.raises(DataError, match="2 rows that cannot be used") as caught:
        load(table, columns={"path": "Datei", "label": "Gef\u00fchl"})
    assert "line 6: the class 's\ufffdd' contains bytes that are no text" in caught.value.why
    assert "line 7: the path 's\ufffdd0.png' contains bytes that are no text" in caught.value.why


def test_spellings_of_a_class_in_splits_and_tables_are_one_class(drawn, put):
    folders = ("train/Bored", "train/Fro\u0308hlich", "test/bored", "test/fr\u00f6hlich")
    for index, folder in enumerate(folders):
        root = put(f"tree/{folder}/1.png", drawn["happy"][index])
    dataset = load(root / "tree")
    assert dataset.labels == ("Bored", "Fr\u00f6hlich")
    one_of_each = {"Bored": 1, "Fr\u00f6hlich": 1}
    assert counts(dataset) == {"Training": one_of_each, "PublicTest": one_of_each}
    assert not any("has no images of" in note for note in dataset.notes)


def test_a_separator_line_of_excel_and_paths_of_windows_are_read(drawn, put):
    for label in ("happy", "sad"):
        root = put(f"pictures/{label}.png", drawn[label][0])
    table = root / "faces.csv"
    rows = ["sep=;", "file;mood,or not", "pictures\\happy.png;happy", r"pictures\sad.png;sad"]
    table.write_text("\r\n".join(rows), encoding="utf-8-sig")
    columns = {"path": "file", "label": "mood,or not"}
    assert counts(load(table, columns=columns)) == {"Training": {"happy": 1, "sad": 1}}
    put("pictures\\sad.png", drawn["sad"][1])
    assert faces_of(load(table, columns=columns), "Training", "sad") == [drawn["sad"][1].tobytes()]
    with pytest.raises(DataError, match="its first line is 'file', 'mood,or not'") as caught:
        load(table)
    assert caught.value.hint == "--columns 'label=mood,or not,path=file'"
    assert parse_columns("label=mood,or not,path=file") == columns


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a\0.png", r"the path 'a\x00.png' contains bytes that are no text"),
        ("x" * 300, "x...' is too long (300 characters)"),
        ("7 " * 70_000 + "7", "7 ...' is too long (140,001 characters)"),
        ("", "the path is empty"),
    ],
)
def test_a_name_that_no_file_can_have_is_a_bad_row(name, reason, drawn, put):
    put("raf/Image/aligned/train_00001_aligned.jpg", drawn["happy"][0])
    put("ferplus/FER2013Train/fer0000000.png", drawn["happy"][0])
    root = put("happy.png", drawn["happy"][0])
    listed = root / "raf" / "EmoLabel" / "list_patition_label.txt"
    listed.parent.mkdir()
    listed.write_text(f"train_00001.jpg 4\n{name} 4\n")
    votes = ',"(0, 0, 48, 48)",0,9,0,0,0,0,0,0,0,0'
    (root / "ferplus" / "FER2013Train" / "label.csv").write_text(f"fer0000000.png{votes}\n{name}{votes}\n")
    (root / "faces.csv").write_text(f"path,label\nhappy.png,happy\n{name},happy\n")
    cases = (
        (root / "raf", None, "list_patition_label.txt, line 2: "),
        (root / "ferplus", None, "FER2013Train/label.csv, line 2: "),
        (root / "faces.csv", {"path": "path", "label": "label"}, "line 3: "),
    )
    for path, columns, place in cases:
        with pytest.raises(DataError, match="1 row that cannot be used") as caught:
            load(path, columns=columns)
        assert place in caught.value.why
        if not (path.name == "ferplus" and len(name) > 100_000):
            assert reason in caught.value.why
        assert len(str(caught.value)) < 500
        assert counts(load(path, columns=columns, skip_bad_rows=True)) == {"Training": {"happy": 1}}


def test_a_table_of_pixels_with_other_column_names(drawn, tmp_path):
    rows = ["mood,face"]
    for label in ("happy", "sad"):
        rows += [f"{label},{' '.join(map(str, face.ravel().tolist()))}" for face in drawn[label]]
    path = tmp_path / "faces.csv"
    path.write_text("\n".join(rows))
    with pytest.raises(DataError, match="its first line is 'mood', 'face'"):
        load(path)
    columns = {"label": "mood", "pixels": "face"}
    with pytest.raises(DataError, match="no column Usage") as caught:
        load(path, columns=columns)
    assert "--split 80/10/10" in caught.value.hint
    dataset = load(path, columns=columns, split=SplitShares.parse("50/25/25"))
    assert dataset.labels == ("happy", "sad")
    assert counts(dataset)["Training"] == {"happy": 2, "sad": 2}


def test_a_split_is_stratified_seeded_and_keeps_identical_faces_together(drawn, put):
    for label, faces in drawn.items():
        for index in range(20):
            root = put(f"{label}/{index}.png", faces[index % 4] if index < 8 else np.roll(faces[0], index, axis=0))
    datasets = [load(root, split=SplitShares.parse(text)) for text in ("60/20/20", "60/20/20", "60/20/20:1")]
    assert datasets[0].sha256 == datasets[1].sha256 != datasets[2].sha256
    for split, count in (("Training", 12), ("PublicTest", 4), ("PrivateTest", 4)):
        assert all(abs(number - count) <= 1 for number in counts(datasets[0])[split].values())
    training = datasets[0].split("Training")
    assert not datasets[0].split("PublicTest").duplicates_of(training).any()


def test_a_data_set_with_test_splits_is_not_split_again(drawn, put):
    for split in ("train", "test"):
        root = put(f"{split}/happy/1.png", drawn["happy"][0])
    with pytest.raises(UsageError, match="it has Training and the validation split"):
        load(root, split=SplitShares.parse("80/10/10"))


@pytest.mark.parametrize("text", ["80/10", "80/10/10/0", "100", "0/50/50", "a/b", "80/10/10:", "90/20"])
def test_invalid_shares_are_refused(text):
    with pytest.raises(UsageError, match="--split"):
        SplitShares.parse(text)


def test_pictures_are_read_at_the_size_and_in_the_channels_of_the_model(drawn, put):
    for label in ("happy", "sad"):
        colored = np.stack([drawn[label][index] for index in range(3)], axis=2)
        root = put(f"{label}/1.png", np.kron(colored, np.ones((2, 2, 1), np.uint8)))
    assert load(root).split("Training").pixels.shape == (2, 48, 48)
    for channels in ("rgb", "bgr"):
        pixels = load(root, spec=InputSpec(96, 96, channels=channels)).split("Training").pixels
        assert pixels.shape == (2, 96, 96, 3)
        assert np.array_equal(pixels[0, ::2, ::2, 2], drawn["happy"][2])
