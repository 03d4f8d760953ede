"""Trainings from the weights of a shipped model beside trainings from scratch, on few labeled faces.

    transfer = read_transfer(fields)                # from benchmarks/transfer.py
    transfer_table(transfer)

A record has ``kind`` "transfer", ``schema_version`` 1, ``network``, ``trials``: one object per training, and
``recovered``: one object per model whose float network was recovered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgefer.errors import DataError
from edgefer.report.tables import Table
from edgefer.results import schema
from ledgers.entries import require
from ledgers.percent import percent_with_interval

__all__ = ["Recovered", "Transfer", "TransferTrial", "read_transfer", "transfer_table"]

KIND = "transfer"
SCHEMA_VERSION = 1
HEADERS = ("classes", "training faces", "initial weights", "epochs", "PublicTest, % (95 % interval)")
LEGEND = (
    "Best epoch on the PublicTest faces of FER2013 with these classes. Every training has the network of {network} and "
    "no teachers. A training from scratch would still improve after so few epochs. {network} was trained on all "
    "Training faces with the labels of FER2013, among them the training faces of this table, so its advantage on faces "
    "of other origin may be smaller."
)


@dataclass(frozen=True)
class TransferTrial:
    """One training.

    Attributes:
        classes: class names.
        initial_weights: name of the model, or "scratch".
        faces: number of training faces.
        epochs: epochs of the training.
        correct, n: correct and all test faces of the best epoch.
    """

    classes: tuple[str, ...]
    initial_weights: str
    faces: int
    epochs: int
    correct: int
    n: int


@dataclass(frozen=True)
class Recovered:
    """A float network recovered from a shipped model.

    Attributes:
        model: name of the model.
        correct, int8_correct: correct PublicTest faces of the network and of the model.
        n: PublicTest faces.
        correlation: correlation of their logits.
    """

    model: str
    correct: int
    int8_correct: int
    n: int
    correlation: float


@dataclass(frozen=True)
class Transfer:
    """A record.

    Attributes:
        network: shipped model, and the system with its network.
        trials: the trainings.
        recovered: the recovered networks.
    """

    network: str
    trials: tuple[TransferTrial, ...]
    recovered: tuple[Recovered, ...]


def read_transfer(fields: Mapping[str, Any]) -> Transfer:
    """Read a record of kind "transfer".

    Raises:
        DataError: the record has another kind, or an entry is invalid.
        IncompatibleError: the schema version is newer than this script supports.
    """
    schema.read(fields, KIND, SCHEMA_VERSION)
    require(fields, network=str, trials=list, recovered=list)
    trials, recovered = map(_trial, fields["trials"]), map(_recovered, fields["recovered"])
    return Transfer(fields["network"], tuple(trials), tuple(recovered))


def _trial(entry: Mapping[str, Any]) -> TransferTrial:
    require(entry, classes=list, initial_weights=str, faces=int, epochs=int, correct=int, n=int)
    if not 0 <= entry["correct"] <= entry["n"] or not entry["n"]:
        raise DataError(f"a trial has {entry['correct']} correct faces of {entry['n']}")
    return TransferTrial(
        tuple(map(str, entry["classes"])), entry["initial_weights"], entry["faces"], entry["epochs"],
        entry["correct"], entry["n"],
    )  # fmt: skip


def _recovered(entry: Mapping[str, Any]) -> Recovered:
    require(entry, model=str, correct=int, int8_correct=int, n=int, correlation=float)
    return Recovered(*(entry[name] for name in ("model", "correct", "int8_correct", "n", "correlation")))


def transfer_table(transfer: Transfer) -> Table:
    """Tabulate the trainings, one row each, in the order of the record."""
    rows = [
        [
            ", ".join(trial.classes),
            f"{trial.faces:,}",
            trial.initial_weights,
            str(trial.epochs),
            percent_with_interval(trial.correct, trial.n, digits=1),
        ]
        for trial in transfer.trials
    ]
    sentences = [
        f"{network.model}: {network.correct:,} of {network.n:,} PublicTest faces correct with the recovered float "
        f"weights, {network.int8_correct:,} in int8; the correlation of the logits is {network.correlation:.4f}."
        for network in transfer.recovered
    ]
    legend = " ".join([LEGEND.format(network=transfer.network), *sentences])
    return Table(HEADERS, rows, legend, text_columns=1, is_markdown=True)
