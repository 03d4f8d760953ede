import numpy as np
import pytest

from edgefer.report.terminal.evaluation import REPORT_COLUMNS, macro_average, report_rows, report_text, weighted_average
from edgefer.results.evaluation import evaluate
from edgefer.statistics import wilson_interval

NAMES = ("angry", "happy", "sad")


def evaluated(labels, predictions, **options):
    labels, predictions = np.array(labels), np.array(predictions)
    logits = np.eye(len(NAMES), dtype=np.float32)[predictions]
    return evaluate(logits, labels, label_names=NAMES, split="PublicTest", model="small", data="patterns", **options)


@pytest.fixture
def evaluation():
    generator = np.random.default_rng(4)
    labels = generator.choice(3, 200, p=[0.6, 0.3, 0.1])
    predictions = np.where(generator.random(200) < 0.7, labels, generator.integers(0, 3, 200))
    return evaluated(labels, predictions, seen_in_training=generator.random(200) < 0.1)


def test_averages_match_numpy(evaluation):
    counts = evaluation.confusion
    right, labelled, predicted = np.diag(counts), counts.sum(axis=1), counts.sum(axis=0)
    columns = {"precision": right / predicted, "recall": right / labelled, "f1": 2 * right / (labelled + predicted)}
    for name, values in columns.items():
        assert getattr(macro_average(evaluation), name) == pytest.approx(values.mean())
        assert getattr(weighted_average(evaluation), name) == pytest.approx((values * labelled).sum() / 200)
    assert macro_average(evaluation).f1 == pytest.approx(evaluation.macro_f1)
    # Weighted recall equals accuracy.
    assert weighted_average(evaluation).recall == pytest.approx(evaluation.accuracy.share)


def test_rows_contain_classes_averages_and_accuracies(evaluation):
    rows = {row[0]: dict(zip(REPORT_COLUMNS, row)) for row in report_rows(evaluation)}
    averages = ["macro average", "weighted average"]
    assert list(rows) == [*NAMES, *averages, "accuracy", "accuracy without duplicates of Training"]
    assert {len(row) for row in report_rows(evaluation)} == {len(REPORT_COLUMNS)}
    right = int(np.trace(evaluation.confusion))
    assert (rows["accuracy"]["low_95"], rows["accuracy"]["high_95"]) == wilson_interval(right, 200)
    assert rows["happy"]["n"] == evaluation.confusion[1].sum()
    assert rows["happy"]["accuracy"] is rows["accuracy"]["f1"] is None


def test_a_class_without_a_score_is_excluded_instead_of_zero():
    evaluation = evaluated([0, 0, 1, 2], [0, 0, 1, 1])
    assert macro_average(evaluation).precision == pytest.approx((1 + 0.5) / 2)
    assert weighted_average(evaluation).precision == pytest.approx((2 * 1 + 0.5) / 3)
    text = report_text(evaluation)
    assert "averages exclude such classes" in text
    assert "averages exclude" not in report_text(evaluated([0, 1, 2], [0, 1, 2]))


def test_the_text_contains_the_same_numbers(evaluation):
    lines = {line[:16].strip(): line for line in report_text(evaluation).splitlines()}
    assert f"{100 * evaluation.macro_f1:.2f} %" in lines["macro average"]
    assert f"{100 * evaluation.accuracy.share:.2f} %" in lines["weighted average"]
    assert "of 200 images" in lines["validation accur"]
