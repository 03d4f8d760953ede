"""Render a training as text for a terminal: its result, and the phases of its history.

    training_text(record)                           # "demo: PublicTest accuracy 64.07 % ...", best epoch, next step
    phases_text(phases)                             # a table: epochs, learning rate, accuracies, best epoch
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from edgefer.escaping import printable
from edgefer.report.terminal.evaluation import describe
from edgefer.results.evaluation import Evaluation
from edgefer.text_table import table

__all__ = ["phases_text", "training_text"]


class EpochValues(Protocol):
    """The values of an epoch that the table shows; accuracies are fractions."""

    @property
    def epoch(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def accuracy(self) -> float: ...
    @property
    def selection_accuracy(self) -> float: ...


class PhaseValues(Protocol):
    """A phase of a training: its name, its first, its last and its best epoch."""

    @property
    def name(self) -> str: ...
    @property
    def first(self) -> EpochValues: ...
    @property
    def last(self) -> EpochValues: ...
    @property
    def best(self) -> EpochValues: ...


def training_text(record: Mapping[str, Any]) -> str:
    """Render the result of a completed training.

    Args:
        record: a record of kind "training".
    """
    evaluation = Evaluation.from_json(record["evaluation"])
    best = f"best epoch {record['best_epoch']} of {record['epochs']}"
    if record["best_epoch"] == 0:
        best = f"none of {record['epochs']} epochs exceeded the initial weights, which were kept"
    return (
        f"{record['settings']['system']}: {describe(evaluation)},\n"
        f"{best}; results are in {printable(record['run'], kept='')}\n"
        "next: edgefer quantize --int8"
    )


def phases_text(phases: Sequence[PhaseValues]) -> str:
    """Render phases as a table with one row per phase: epochs, learning rate, accuracies and best epoch."""
    rows = [
        [
            phase.name,
            _span(f"{phase.first.epoch}", f"{phase.last.epoch}", "-"),
            _span(f"{phase.first.learning_rate:.2g}", f"{phase.last.learning_rate:.2g}"),
            _span(f"{100 * phase.first.accuracy:.1f}", f"{100 * phase.last.accuracy:.1f}"),
            _span(f"{100 * phase.first.selection_accuracy:.1f}", f"{100 * phase.last.selection_accuracy:.1f}"),
            f"{phase.best.epoch} ({100 * phase.best.selection_accuracy:.1f})",
        ]
        for phase in phases
    ]
    grid = table(["phase", "epochs", "rate", "training", "validation", "best"], rows)
    return f"{grid}\naccuracy in %, on training images with augmentation; best: epoch (validation)"


def _span(first: str, last: str, separator: str = "\N{RIGHTWARDS ARROW}") -> str:
    return first if first == last else f"{first}{separator}{last}"
