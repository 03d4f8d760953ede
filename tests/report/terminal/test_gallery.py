import csv
from pathlib import Path

import numpy as np
import pytest

from edgefer.report.terminal.evaluation import report_text
from edgefer.report.terminal.gallery import gallery_text, write_report
from edgefer.results.evaluation import evaluate

NAMES = ("angry", "happy", "sad")


@pytest.fixture
def scores():
    generator = np.random.default_rng(3)
    return generator.normal(0, 2, (90, 3)), generator.integers(0, 3, 90)


def test_both_report_files_have_the_values_of_the_evaluation(scores, tmp_path):
    logits, labels = scores
    evaluation = evaluate(logits, labels, label_names=NAMES, split="PublicTest", model="small", data="synthetic")
    write_report(evaluation, tmp_path)
    assert (tmp_path / "report.txt").read_text() == report_text(evaluation) + "\n"
    with (tmp_path / "report.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    predictions = logits.argmax(axis=1)
    accuracy = (labels == predictions).mean()
    assert float(rows["accuracy"]["accuracy"]) == accuracy
    assert float(rows["accuracy"]["low_95"]) < accuracy < float(rows["accuracy"]["high_95"])
    happy = NAMES.index("happy")
    assert float(rows["happy"]["recall"]) == (predictions[labels == happy] == happy).mean()
    assert int(rows["macro average"]["n"]) == len(labels)


def test_the_text_lists_the_plots_within_80_columns():
    plots = [f"plot_number_{number}" for number in range(12)]
    text = gallery_text(Path("plots"), plots)
    assert text.startswith("plots contains report.txt")
    assert all(f"{name}.png" in text for name in plots)
    assert max(map(len, text.splitlines())) <= 80
