import csv
import dataclasses
import sys

import cv2
import numpy as np
import pytest

from edgefer.contract.labels import LABELS
from edgefer.data.evaluation_set import EvaluationSet, ModelOutputs, make_evaluation_set
from edgefer.errors import DataError, EdgeferError
from edgefer.results.evaluation import evaluate
from edgefer.statistics import calibration_error, softmax
from edgefer.workstation.plots.error_analysis import error_pairs
from edgefer.workstation.plots.gallery import require_folder, write_gallery
from edgefer.workstation.training.keras_inference import score_run
from edgefer.workstation.training.schedule import best_epoch, phases

PLOTS = {"confusion_counts", "confusion_shares", "errors", "reliability", "samples", "predictions"}


def table_of(path):
    with path.open(newline="") as opened:
        return list(csv.DictReader(opened))


def small(labels, logits):
    images = EvaluationSet(
        "synthetic", "PublicTest", np.zeros((len(labels), 48, 48), np.uint8), labels, np.arange(len(labels)), None
    )
    return ModelOutputs(images, logits, evaluate(logits, labels, label_names=LABELS, split="PublicTest", model="small"))


@pytest.fixture(scope="module")
def outputs(faces, finished_run):
    name = "PublicTest"
    images = make_evaluation_set(faces, faces.split(name), name=name, spec=finished_run.settings().input)
    return score_run(finished_run, images)


@pytest.fixture(scope="module")
def gallery(outputs, finished_run, tmp_path_factory):
    return write_gallery(outputs, tmp_path_factory.mktemp("gallery") / "new", run=finished_run)


def test_each_plot_has_a_csv_file_and_there_are_no_other_files(gallery):
    plots = PLOTS | {"curves"}
    assert set(gallery.plots) == plots
    assert {path.name for path in gallery.folder.iterdir()} == {
        f"{name}.{suffix}" for name in plots for suffix in ("png", "csv")
    }
    for name in plots:
        image = cv2.imread(str(gallery.folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        assert min(image.shape) > 500, name
        # Neither blank nor uniformly filled.
        assert (image > 250).mean() > 0.1, name
        assert image.std() > 10, name


def test_a_run_adds_the_phases_of_its_training(gallery, finished_run):
    history, settings = finished_run.history(), finished_run.settings()
    assert gallery.phases == phases(history, settings)
    best = history[best_epoch(history, settings)].epoch
    assert gallery.selection == f"kept: epoch {best} of {len(history)}, by the accuracy on the validation split"


def test_without_a_run_there_are_no_curves_and_phases(outputs, tmp_path):
    gallery = write_gallery(outputs, tmp_path)
    assert set(gallery.plots) == {path.stem for path in tmp_path.glob("*.png")} == PLOTS
    assert gallery.phases == ()
    assert gallery.selection is None


def test_the_confusion_matrix_equals_counts_by_numpy(gallery, outputs):
    labels, predictions = outputs.images.labels, outputs.logits.argmax(axis=1)
    counts, shares = (table_of(gallery.folder / f"confusion_{cells}.csv") for cells in ("counts", "shares"))
    for label, (count, share) in enumerate(zip(counts, shares)):
        assert count["label"] == share["label"] == LABELS[label]
        own = predictions[labels == label]
        for prediction, name in enumerate(LABELS):
            assert int(count[name]) == (own == prediction).sum()
            assert float(share[name]) == (own == prediction).mean()


def test_the_reliability_bins_equal_bins_by_numpy(gallery, outputs):
    rows = table_of(gallery.folder / "reliability.csv")
    probabilities = softmax(outputs.logits.astype(np.float64))
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == outputs.images.labels
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
    assert error == pytest.approx(calibration_error(probabilities, outputs.images.labels))


def test_reliability_uses_the_temperature_of_the_model(outputs, tmp_path):
    write_gallery(dataclasses.replace(outputs, temperature=0.5), tmp_path)
    confidence = softmax(2 * outputs.logits.astype(np.float64)).max(axis=1)
    for row in table_of(tmp_path / "reliability.csv"):
        within = (confidence >= float(row["low"])) & (confidence < float(row["high"]))
        assert int(row["n"]) == within.sum()


def test_errors_are_listed_with_the_rows_of_their_examples(gallery, outputs):
    rows = table_of(gallery.folder / "errors.csv")
    pairs = error_pairs(outputs)
    assert [(row["label"], row["prediction"], int(row["n"])) for row in rows] == [
        (LABELS[pair.label], LABELS[pair.prediction], pair.n) for pair in pairs
    ]
    for row, pair in zip(rows, pairs):
        assert [int(text) for text in row["rows_of_examples"].split()] == [example.row for example in pair.examples]


def test_samples_and_predictions_have_their_rows_in_the_source(gallery, outputs):
    images = outputs.images
    position = {int(row): index for index, row in enumerate(images.rows)}
    samples = table_of(gallery.folder / "samples.csv")
    assert len(samples) == 70
    for sample in samples:
        assert sample["label"] == LABELS[images.labels[position[int(sample["row"])]]]
    predictions = table_of(gallery.folder / "predictions.csv")
    assert len({row["row"] for row in predictions}) == 50
    for row in predictions:
        index = position[int(row["row"])]
        assert row["prediction"] == LABELS[outputs.logits[index].argmax()]
        assert float(row["confidence"]) == pytest.approx(softmax(outputs.logits[index].astype(np.float64)).max())
        assert row["right"] == str(int(row["label"] == row["prediction"]))


def test_the_curves_csv_contains_the_history_and_its_marks(gallery, finished_run):
    rows, history = table_of(gallery.folder / "curves.csv"), finished_run.history()
    assert len(rows) == len(history)
    for row, epoch in zip(rows, history):
        assert [float(row[name]) for name in vars(epoch)] == list(dataclasses.astuple(epoch))
    assert [row["best"] for row in rows].index("1") == best_epoch(history, finished_run.settings())


@pytest.mark.parametrize("right", [True, False])
def test_plots_of_a_single_image(tmp_path, right):
    logits = 3 * np.eye(7, dtype=np.float32)[[4 if right else 2]]
    write_gallery(small(np.array([4]), logits), tmp_path)
    assert len(table_of(tmp_path / "errors.csv")) == (not right)
    assert [row["right"] for row in table_of(tmp_path / "predictions.csv")] == [str(int(right))]
    shares = table_of(tmp_path / "confusion_shares.csv")
    assert shares[0]["happy"] == ""
    assert shares[4]["sad" if right else "fear"] == "1.0"


@pytest.mark.parametrize("path", ["file", "file/within", "file/within/deep"])
def test_a_file_in_place_of_the_folder_is_an_error(tmp_path, path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="file is a file") as caught:
        require_folder(tmp_path / path)
    assert "--pictures" in caught.value.hint


@pytest.mark.parametrize("path", ["", "new", "new/deep"])
def test_the_check_does_not_create_the_folder(tmp_path, path):
    require_folder(tmp_path / path)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_writable_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("edgefer.workstation.plots.gallery.os.access", lambda path, mode: mode == 0)
    with pytest.raises(DataError, match="cannot write"):
        require_folder(tmp_path)


def test_a_missing_matplotlib_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EdgeferError, match="workstation"):
        require_folder(tmp_path)
