"""benchmarks/ledgers/transfer.py: trainings from the weights of a model as a table."""

import pytest
from ledgers.transfer import read_transfer, transfer_table

from edgefer.errors import DataError
from edgefer.results import schema

TRIAL = {
    "task": "new classes", "classes": ["calm", "pleasant"], "initial_weights": "nano", "faces": 500, "epochs": 10,
    "learning_rate": 0.02, "backbone_lr_factor": 0.1, "correct": 1500, "n": 2000,
}  # fmt: skip


RECOVERED = {"model": "small", "correct": 2501, "int8_correct": 2500, "n": 3589, "correlation": 0.99973}


def record(*trials, **changes):
    content = {"network": "nano", "trials": list(trials), "recovered": [RECOVERED]}
    return {**schema.header("transfer", 1), **content, **changes}


def test_row_has_classes_source_and_accuracy_with_interval():
    text = transfer_table(read_transfer(record(TRIAL, {**TRIAL, "initial_weights": "scratch"}))).markdown()
    row, other = (line for line in text.splitlines() if "calm, pleasant" in line)
    for cell in ("| 500 |", "| nano |", "| 10 |", "75.0 (73.1-76.8)"):
        assert cell in row
    assert "| scratch |" in other
    text = " ".join(text.split())
    assert "the network of nano" in text
    assert "small: 2,501 of 3,589 PublicTest faces correct with the recovered float weights, 2,500 in int8" in text
    assert "0.9997" in text


@pytest.mark.parametrize("change", [{"classes": "calm"}, {"n": 0}, {"correct": 3000}, {"epochs": None}])
def test_damaged_trial_is_refused(change):
    with pytest.raises(DataError):
        read_transfer(record({**TRIAL, **change}))


@pytest.mark.parametrize("change", [{"correct": "all"}, {"correlation": None}])
def test_damaged_recovered_network_is_refused(change):
    with pytest.raises(DataError):
        read_transfer(record(TRIAL, recovered=[{**RECOVERED, **change}]))


def test_record_of_another_kind_is_refused():
    with pytest.raises(DataError):
        read_transfer(record(TRIAL, kind="peers"))
