import csv
import io
import itertools
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.errors import DataError
from edgefer.inference.face_detection import FaceDetector

PORTRAIT = Path(__file__).parents[2] / "fixtures" / "astronaut.jpg"


def test_each_crop_gets_a_label_and_seven_probabilities(edgefer, workplace, pictures):
    outcome = edgefer("predict", *pictures, "--no-detect", "--model", workplace.int8, "--json")
    assert outcome.code == 0, outcome.err
    record = outcome.record
    assert (record["kind"], record["schema_version"]) == ("predictions", 2)
    assert [prediction["image"] for prediction in record["predictions"]] == [str(path) for path in pictures]
    for picture in record["predictions"]:
        (face,) = picture["faces"]
        assert face["box"] == [0, 0, 48, 48]
        probabilities = face["probabilities"]
        assert tuple(probabilities) == LABELS
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert face["label"] == max(probabilities, key=probabilities.get)


def test_the_table_names_the_pictures(edgefer, workplace, pictures):
    out = edgefer("predict", pictures[0].name, "--model", workplace.int8, cwd=pictures[0].parent).out
    assert "expression" in out
    assert pictures[0].name in out


def test_the_default_model_is_the_newest_artifact(edgefer, workplace, pictures):
    outcome = edgefer("predict", pictures[0], cwd=workplace.folder)
    assert outcome.code == 0
    assert "(the newest artifact in runs/)" in outcome.err


def test_threads_workers_and_runtime_do_not_change_the_result(edgefer, workplace, pictures):
    arguments = ("predict", *pictures, "--no-detect", "--model", workplace.int8, "--json")
    plain = edgefer(*arguments, "--workers", 1).record
    other = edgefer(*arguments, "--threads", 2, "--runtime", "auto", "--workers", 3).record
    assert other == plain


@pytest.mark.parametrize("name", ["nowhere.png", "empty.png", "text.png", "folder"])
def test_a_file_that_is_no_picture_is_named(refused, workplace, pictures, tmp_path, name):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "folder").mkdir()
    assert name in refused("predict", name, "--model", workplace.int8, code=1)


def test_brackets_in_a_name_are_not_markup(edgefer, workplace, pictures, tmp_path):
    os.link(pictures[0], tmp_path / "[red]face.png")
    assert "[red]face.png" in edgefer("predict", "[red]face.png", "--model", workplace.int8).out


def test_a_smile_in_a_photograph_is_detected_and_classified(edgefer):
    from edgefer.models import SHIPPED

    record = edgefer("predict", PORTRAIT, "--model", SHIPPED, "--json").record
    ((face,),) = [prediction["faces"] for prediction in record["predictions"]]
    assert face["label"] == "happy"
    assert face["probability"] > 0.8
    x, y, width, height = face["box"]
    # The nose, in the photograph of 512 x 512 pixels.
    assert x < 224 < x + width
    assert y < 120 < y + height


def test_each_face_gets_a_line_and_an_unreadable_picture_is_skipped(edgefer, workplace, pictures, tmp_path):
    (tmp_path / "folder" / "below").mkdir(parents=True)
    for number in range(3):
        shutil.copy(pictures[0], tmp_path / "folder" / "below" / f"face{number}.png")
    (tmp_path / "folder" / "broken.png").write_bytes(pictures[0].read_bytes()[:200])
    arguments = ("predict", "folder", "--no-detect", "--model", workplace.int8)
    outcome = edgefer(*arguments, "--jsonl")
    assert outcome.code == 1
    lines = [json.loads(line) for line in outcome.out.splitlines()]
    assert [Path(line["image"]).name for line in lines] == ["face0.png", "face1.png", "face2.png", "broken.png"]
    assert "cut short" in lines[3]["error"]
    assert all(line["label"] in LABELS for line in lines[:3])
    assert "skipped: folder/broken.png" in outcome.err
    assert "1 of 4 pictures could not be read" in outcome.err
    rows = list(csv.DictReader(io.StringIO(edgefer(*arguments, "--csv").out)))
    assert [row["label"] for row in rows] == [line["label"] for line in lines[:3]]
    assert rows[0]["width"] == "48"


def test_a_folder_names_what_it_leaves_out_and_what_it_cannot_read(edgefer, workplace, pictures, tmp_path):
    (tmp_path / "folder" / ".Trash-1000").mkdir(parents=True)
    shutil.copy(pictures[0], tmp_path / "folder" / ".Trash-1000" / "old.png")
    shutil.copy(pictures[0], tmp_path / "folder" / "photo.jfif")
    (tmp_path / "folder" / "notes.txt").write_text("a text")
    arguments = ("predict", "folder", "--no-detect", "--model", workplace.int8, "--json")
    outcome = edgefer(*arguments)
    assert outcome.code == 0, outcome.err
    assert [image["image"] for image in outcome.record["predictions"]] == ["folder/photo.jfif"]
    assert "neither images nor videos: folder/notes.txt" in outcome.err
    (tmp_path / "folder" / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    outcome = edgefer(*arguments)
    assert outcome.code == 1
    assert "1 of 2 pictures could not be read: folder/IMG_0001.HEIC" in outcome.err
    unreadable = outcome.record["predictions"][0]
    assert (unreadable["image"], unreadable["faces"]) == ("folder/IMG_0001.HEIC", [])
    assert "HEIC" in unreadable["why"]


def test_a_pattern_is_expanded(edgefer, workplace, pictures):
    folder = pictures[0].parent
    record = edgefer("predict", "face*.png", "--no-detect", "--model", workplace.int8, "--json", cwd=folder).record
    assert [prediction["image"] for prediction in record["predictions"]] == ["face0.png", "face1.png"]


def test_each_frame_of_a_video_gets_a_line(edgefer, workplace, tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512))
    portrait = cv2.imread(str(PORTRAIT))
    for number in range(6):
        writer.write(portrait if number % 2 == 0 else np.zeros_like(portrait))
    writer.release()
    out = edgefer("predict", "clip.avi", "--every", 2, "--model", workplace.int8, "--jsonl").out
    assert [json.loads(line)["image"] for line in out.splitlines()] == [f"clip.avi#{number}" for number in (0, 2, 4)]


def test_annotated_pictures_keep_their_names(edgefer, workplace, tmp_path):
    shutil.copy(PORTRAIT, tmp_path / "one.jpg")
    (tmp_path / "two").mkdir()
    shutil.copy(PORTRAIT, tmp_path / "two" / "one.jpg")
    outcome = edgefer("predict", "one.jpg", "two", "--draw", "annotated", "--model", workplace.int8)
    assert outcome.code == 0, outcome.err
    assert sorted(os.listdir(tmp_path / "annotated")) == ["one-2.png", "one.png"]
    drawn, plain = cv2.imread(str(tmp_path / "annotated" / "one.png")), cv2.imread(str(tmp_path / "one.jpg"))
    assert drawn.shape == plain.shape
    changed = (drawn != plain).any(axis=2)
    assert 0.001 < changed.mean() < 0.1


def test_an_annotated_picture_keeps_the_number_sign_in_its_name(edgefer, workplace, tmp_path):
    names = ["photo #1.jpg", "photo #2.jpg", "two/a#b/one.jpg"]
    (tmp_path / "two/a#b").mkdir(parents=True)
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.full((60, 60, 3), 90, np.uint8))
    outcome = edgefer("predict", *names, "--draw", "annotated", "--model", workplace.int8)
    assert outcome.code == 0, outcome.err
    assert sorted(os.listdir(tmp_path / "annotated")) == ["one.png", "photo #1.png", "photo #2.png"]


@pytest.mark.parametrize("output", [[], ["--csv"], ["--json"]])
def test_a_picture_that_cannot_be_written_costs_no_prediction(edgefer, workplace, tmp_path, output):
    shutil.copy(PORTRAIT, tmp_path / "one.jpg")
    shutil.copy(PORTRAIT, tmp_path / "two.jpg")
    (tmp_path / "annotated/one.png").mkdir(parents=True)  # a folder in place of the file
    outcome = edgefer("predict", "one.jpg", "two.jpg", "--draw", "annotated", "--model", workplace.int8, *output)
    assert outcome.code == 7
    assert "one.jpg" in outcome.out
    assert "two.jpg" in outcome.out
    assert "not all pictures were written" in outcome.err
    assert "one.png" in outcome.err


def test_a_picture_without_a_face_is_listed(edgefer, workplace, tmp_path):
    cv2.imwrite(str(tmp_path / "wall.png"), np.full((200, 200, 3), 90, np.uint8))
    outcome = edgefer("predict", "wall.png", "--model", workplace.int8)
    assert outcome.code == 0
    assert "no face found" in outcome.out


@pytest.mark.parametrize("output", [[], ["--csv"], ["--json"]])
def test_an_interruption_keeps_the_results_that_are_complete(edgefer, workplace, tmp_path, monkeypatch, output):
    from edgefer.inference import pipeline

    def interrupted(*arguments, **options):
        yield from itertools.islice(predict_batch(*arguments, **options), 2)
        raise KeyboardInterrupt

    predict_batch = pipeline.predict_batch
    monkeypatch.setattr(pipeline, "predict_batch", interrupted)
    names = ["one.png", "two.png", "three.png"]
    for name in names:
        cv2.imwrite(str(tmp_path / name), np.full((60, 60, 3), 90, np.uint8))
    arguments = ("--no-detect", "--model", workplace.int8, "--out", "record.json", *output)
    outcome = edgefer("predict", *names, *arguments)
    assert (outcome.code, "complete results: 2" in outcome.err) == (130, True), outcome.err
    record = json.loads((tmp_path / "record.json").read_text())
    assert [prediction["image"] for prediction in record["predictions"]] == names[:2]
    assert all(name in outcome.out for name in names[:2])


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--jsonl", "--csv"], 2, "only one output format"),
        (["--csv", "--json"], 2, "--out FILE"),
        (["rtsp://me:secret@cam/x"], 2, "rtsp://cam/x is an address"),
        (["--detector", "yunet"], 2, "--detector-model"),
        (["--no-detect", "--detector", "yunet"], 2, "--no-detect with --detector: no face is detected"),
        (["--no-detect", "--detector", "haar"], 2, "omit --detector"),
        (["--detector-model", "faces.xml", "--no-detect"], 2, "omit --detector-model"),
        (["--detector", "har"], 2, "'haar'"),
        (["--detector", "haar", "--detector-model", "nowhere.xml"], 1, "nowhere.xml"),
        (["--detector", "yunet", "--detector-model", "nowhere.onnx"], 1, "nowhere.onnx"),
    ],
)
def test_invalid_options_get_a_hint(refused, workplace, pictures, options, code, named):
    assert named in refused("predict", pictures[0], "--model", workplace.int8, *options, code=code)


def test_the_detector_is_not_loaded_for_crops(edgefer, workplace, pictures, monkeypatch):
    def open_detector(*arguments, **options):
        raise DataError("the detector cannot be loaded")

    monkeypatch.setattr(FaceDetector, "open", open_detector)
    arguments = ("predict", pictures[0], "--model", workplace.int8, "--json")
    assert edgefer(*arguments).code == 1
    outcome = edgefer(*arguments, "--no-detect")
    assert outcome.code == 0, outcome.err
    assert len(outcome.record["predictions"][0]["faces"]) == 1
