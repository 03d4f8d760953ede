import csv
import dataclasses
import sys

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs, make_evaluation_set
from edgefer.errors import DataError, EdgeferError
from edgefer.report.terminal.evaluation import report_text
from edgefer.results.evaluation import evaluate
from edgefer.statistics import calibration_error, softmax
from edgefer.workstation.plots.error_analysis import error_pairs
from edgefer.workstation.plots.gallery import require_folder, write_album
from edgefer.workstation.training.keras_inference import score_run
from edgefer.workstation.training.schedule import best_epoch

SCORES = {"confusion_counts", "confusion_shares", "errors", "reliability", "samples", "predictions"}


def table_of(path):
    with path.open(newline="") as opened:
        return list(csv.DictReader(opened))


def small(labels, logits):
    images = EvaluationSet(
        "drawn", "PublicTest", np.zeros((len(labels), 48, 48), np.uint8), labels, np.arange(len(labels)), None
    )
    return ModelOutputs(images, logits, evaluate(logits, labels, label_names=LABELS, split="PublicTest", model="small"))


@pytest.fixture(scope="module")
def scored(faces, finished_run):
    name = "PublicTest"
    images = make_evaluation_set(faces, faces.split(name), name=name, spec=finished_run.settings().input)
    return score_run(finished_run, images)


@pytest.fixture(scope="module")
def album(scored, finished_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("album") / "new"
    text = write_album(scored, folder, run=finished_run)
    return folder, text


def test_each_picture_has_its_numbers_and_nothing_else_is_left(album):
    folder, _ = album
    pictures = SCORES | {"curves"}
    assert {path.name for path in folder.iterdir()} == {
        *(f"{name}.{kind}" for name in pictures for kind in ("png", "csv")),
        "report.txt",
        "report.csv",
        "phases.txt",
    }
    for name in pictures:
        picture = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        assert min(picture.shape) > 500, name
        # Neither blank nor a smudge.
        assert (picture > 250).mean() > 0.1, name
        assert picture.std() > 10, name


def test_the_text_says_where_the_pictures_are_and_what_the_phases_brought(album):
    folder, text = album
    assert str(folder) in text
    assert all(f"{name}.png" in text for name in (*SCORES, "curves"))
    assert (folder / "phases.txt").read_text().strip() in text
    assert "initial learning" in text


def test_without_a_run_there_are_no_curves(scored, tmp_path):
    text = write_album(scored, tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == SCORES
    assert not (tmp_path / "phases.txt").exists()
    assert "curves" not in text


def test_confusion_is_what_numpy_counts(album, scored):
    labels, predictions = scored.images.labels, scored.logits.argmax(axis=1)
    counts, shares = (table_of(album[0] / f"confusion_{cells}.csv") for cells in ("counts", "shares"))
    for label, (count, share) in enumerate(zip(counts, shares)):
        assert count["label"] == share["label"] == LABELS[label]
        own = predictions[labels == label]
        for prediction, name in enumerate(LABELS):
            assert int(count[name]) == (own == prediction).sum()
            assert float(share[name]) == (own == prediction).mean()


def test_the_report_is_the_same_in_both_files(album, scored):
    folder, _ = album
    assert (folder / "report.txt").read_text() == report_text(scored.evaluation) + "\n"
    rows = {row["class"]: row for row in table_of(folder / "report.csv")}
    labels, predictions = scored.images.labels, scored.logits.argmax(axis=1)
    assert float(rows["accuracy"]["accuracy"]) == (labels == predictions).mean()
    assert float(rows["accuracy"]["low_95"]) < (labels == predictions).mean() < float(rows["accuracy"]["high_95"])
    happy = LABELS.index("happy")
    assert float(rows["happy"]["recall"]) == (predictions[labels == happy] == happy).mean()
    assert int(rows["macro average"]["n"]) == len(labels)


def test_reliability_is_what_numpy_bins(album, scored):
    rows = table_of(album[0] / "reliability.csv")
    probabilities = softmax(scored.logits.astype(np.float64))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == scored.images.labels
    assert sum(int(row["n"]) for row in rows) == len(right)
    error = 0.0
    for row in rows:
        within = (confidence >= float(row["low"])) & (confidence < float(row["high"]))
        assert int(row["n"]) == within.sum()
        if within.any():
            assert float(row["accuracy"]) == right[within].mean()
            assert float(row["confidence"]) == pytest.approx(confidence[within].mean())
            error += abs(right[within].mean() - confidence[within].mean()) * within.mean()
        else:
            assert row["accuracy"] == row["confidence"] == ""
    assert error == pytest.approx(calibration_error(probabilities, scored.images.labels))


def test_reliability_is_at_the_temperature_of_the_model(scored, tmp_path):
    write_album(dataclasses.replace(scored, temperature=0.5), tmp_path)
    confidence = softmax(2 * scored.logits.astype(np.float64)).max(axis=1)
    for row in table_of(tmp_path / "reliability.csv"):
        within = (confidence >= float(row["low"])) & (confidence < float(row["high"]))
        assert int(row["n"]) == within.sum()


def test_errors_are_listed_with_the_rows_of_their_examples(album, scored):
    rows = table_of(album[0] / "errors.csv")
    pairs = error_pairs(scored)
    assert [(row["label"], row["prediction"], int(row["n"])) for row in rows] == [
        (LABELS[pair.label], LABELS[pair.prediction], pair.n) for pair in pairs
    ]
    for row, pair in zip(rows, pairs):
        assert [int(each) for each in row["rows_of_examples"].split()] == [each.row for each in pair.examples]


def test_rows_of_samples_and_predictions_are_those_of_the_source(album, scored):
    images = scored.images
    place = {int(row): index for index, row in enumerate(images.rows)}
    samples = table_of(album[0] / "samples.csv")
    assert len(samples) == 70
    for sample in samples:
        assert sample["label"] == LABELS[images.labels[place[int(sample["row"])]]]
    predictions = table_of(album[0] / "predictions.csv")
    assert len({row["row"] for row in predictions}) == 50
    for row in predictions:
        index = place[int(row["row"])]
        assert row["prediction"] == LABELS[scored.logits[index].argmax()]
        assert float(row["confidence"]) == pytest.approx(softmax(scored.logits[index].astype(np.float64)).max())
        assert row["right"] == str(int(row["label"] == row["prediction"]))


def test_curves_have_the_history_with_its_marks(album, finished_run):
    rows, history = table_of(album[0] / "curves.csv"), finished_run.history()
    assert len(rows) == len(history)
    for row, epoch in zip(rows, history):
        assert [float(row[name]) for name in vars(epoch)] == list(dataclasses.astuple(epoch))
    assert [row["best"] for row in rows].index("1") == best_epoch(history, finished_run.settings())


@pytest.mark.parametrize("right", [True, False])
def test_one_image_that_is_right_or_wrong(tmp_path, right):
    logits = 3 * np.eye(7, dtype=np.float32)[[4 if right else 2]]
    write_album(small(np.array([4]), logits), tmp_path)
    assert len(table_of(tmp_path / "errors.csv")) == (not right)
    assert [row["right"] for row in table_of(tmp_path / "predictions.csv")] == [str(int(right))]
    shares = table_of(tmp_path / "confusion_shares.csv")
    assert shares[0]["happy"] == ""
    assert shares[4]["sad" if right else "fear"] == "1.0"


@pytest.mark.parametrize("place", ["file", "file/within", "file/within/deep"])
def test_a_file_in_the_place_of_the_folder(tmp_path, place):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file is a file") as caught:
        require_folder(tmp_path / place)
    assert "--pictures" in caught.value.hint


@pytest.mark.parametrize("place", ["", "new", "new/deep"])
def test_a_folder_is_not_made_before_it_is_needed(tmp_path, place):
    require_folder(tmp_path / place)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_may_not_be_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr("edgefer.workstation.plots.gallery.os.access", lambda path, mode: mode == 0)
    with pytest.raises(DataError, match="cannot write"):
        require_folder(tmp_path)


def test_without_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EdgeferError, match="workstation"):
        require_folder(tmp_path)
