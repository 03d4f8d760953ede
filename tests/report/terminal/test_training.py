import numpy as np
import pytest

from edgefer.report.terminal.training import phases_text, training_text
from edgefer.results.evaluation import evaluate
from edgefer.workstation.training.schedule import Epoch, phases
from edgefer.workstation.training.settings import TrainSettings

SETTINGS = TrainSettings(learning_rate=0.1, warmup_epochs=0, factor=0.1)


def phases_of(rates, accuracies):
    epochs = [
        Epoch(number, rate, 1.0, accuracy + 0.1, 1.0 - accuracy, accuracy, 1.0)
        for number, (rate, accuracy) in enumerate(zip(rates, accuracies), start=1)
    ]
    return phases(epochs, SETTINGS)


@pytest.fixture
def record():
    labels = np.arange(20) % 2
    logits = np.eye(2)[np.where(np.arange(20) < 15, labels, 1 - labels)]
    evaluation = evaluate(logits, labels, label_names=("happy", "sad"), split="PublicTest")
    return {
        "settings": {"system": "demo"}, "run": "runs/demo", "best_epoch": 2, "epochs": 3,
        "evaluation": evaluation.to_json(),
    }  # fmt: skip


def test_the_text_names_the_accuracy_the_best_epoch_the_run_and_the_next_step(record):
    first, second, last = training_text(record).splitlines()
    assert first.startswith("demo: validation accuracy 75.00 % (")
    assert second == "best epoch 2 of 3; results are in runs/demo"
    assert last == "next: edgefer quantize --int8"


def test_the_text_names_initial_weights_that_no_epoch_exceeded(record):
    text = training_text({**record, "best_epoch": 0})
    assert "none of 3 epochs exceeded the initial weights, which were kept" in text


def test_the_table_has_one_row_per_phase():
    accuracies = [0.2 + 0.001 * number for number in range(120)]
    text = phases_text(phases_of([0.00096] * 60 + [0.00047] * 60, accuracies))
    header, _, first, second, note = text.splitlines()
    assert header.split() == ["phase", "epochs", "rate", "training", "validation", "best"]
    assert "accuracy in %" in note
    assert first.split() == ["full", "rate", "1-60", "0.00096", "30.0→35.9", "20.0→25.9", "60", "(25.9)"]
    assert second.split()[:3] == ["after", "drop", "1"]


def test_the_widest_table_fits_80_columns_without_folding():
    rates = [0.00096 - 0.00001 * number for number in range(90)] + [0.000012] * 30
    accuracies = [0.2 + 0.003 * number for number in range(120)]
    lines = phases_text(phases_of(rates, accuracies)).splitlines()
    assert [line[:18].strip() for line in lines[2:-1]] == ["initial learning", "steady improvement", "plateau"]
    assert max(map(len, lines)) <= 80
