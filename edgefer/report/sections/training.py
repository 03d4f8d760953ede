"""The section on training: data, duration, scores, learning curves and settings.

    training_section(data)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgefer.contract.split_names import split_title
from edgefer.report.commands import imported_from
from edgefer.report.report_data import ReportData
from edgefer.report.sections.blocks import (
    Block,
    Cell,
    CellContent,
    Columns,
    DataTable,
    Details,
    Heading,
    LineChart,
    Section,
)
from edgefer.report.sections.provenance import flattened
from edgefer.report.terminal.evaluation import accuracy_text
from edgefer.report.training_record import Training
from edgefer.text_table import percent

__all__ = ["training_section"]

CURVES = {"loss": ("loss", "selection_loss"), "accuracy": ("accuracy", "selection_accuracy")}


def training_section(data: ReportData) -> Section | None:
    """Build one part per training; return None without any."""
    if not data.trainings:
        return None
    return Section("training", "Training", [block for training in data.trainings for block in _training(training)])


def _training(training: Training) -> Iterator[Block]:
    yield Heading(f"{training.system} ({training.name})")
    if imported := imported_from(training.environment):
        facts = [("file", imported.get("file")), ("format", imported.get("kind")), *_data_facts(training)]
        yield DataTable(f"Import of {training.system}", ["property", "value"], facts, text_columns=2)
        return
    yield DataTable(f"Training of {training.system}", ["property", "value"], list(_facts(training)), text_columns=2)
    if training.history:
        yield Columns(list(_curves(training)))
    settings = DataTable("Settings", ["setting", "value"], flattened(training.settings), text_columns=2)
    yield Details("All settings", [settings])


def _data_facts(training: Training) -> Iterator[tuple[str, CellContent]]:
    data: Mapping[str, Any] = training.environment.get("data") or {}
    yield "data", data.get("layout")
    yield "SHA-256 of the data", Cell(str(data.get("sha256", "-")), "code")
    if data.get("votes_sha256"):
        yield "SHA-256 of the FER+ votes", Cell(str(data["votes_sha256"]), "code")
    yield "images", _images(data)


def _facts(training: Training) -> Iterator[tuple[str, CellContent]]:
    yield from _data_facts(training)
    planned = training.settings.get("epochs")
    if training.evaluation is None:
        yield "epochs", f"{training.epochs or 0} of {planned}, not finished"
        return
    yield "epochs", f"{training.epochs}; best epoch: {training.best_epoch}"
    if training.duration_s is not None:
        yield "duration", f"{training.duration_s / 60:,.1f} min"
    scored = training.evaluation
    yield f"accuracy on {scored.split_phrase}", f"{accuracy_text(scored.accuracy)} of {scored.n:,}"
    if scored.deduplicated is not None:
        deduplicated = f"{accuracy_text(scored.deduplicated)} of {scored.deduplicated.n:,}"
        yield "excluding duplicates of Training images", deduplicated
    yield "macro-F1", percent(scored.macro_f1)


def _images(data: Mapping[str, Any]) -> str | None:
    """Return the number of images in each split."""
    layout = str(data.get("layout"))
    counts = (data.get("images") or {}).items()
    return ", ".join(f"{split_title(name, data=layout)} {count:,}" for name, count in counts) or None


def _curves(training: Training) -> Iterator[LineChart]:
    validation = training.evaluation.split_name if training.evaluation else "validation"
    for name, columns in CURVES.items():
        known = [column for column in columns if column in training.history[0]]
        if not known:
            continue
        titles = [validation if column.startswith("selection") else "Training" for column in known]
        yield LineChart(
            label=f"{name} by epoch, {' and '.join(titles)}",
            caption=f"{name} by epoch: ",
            series={title: _column(training, column) for title, column in zip(titles, known)},
            marked=training.best_epoch,
            marked_name="best epoch",
        )
    if "learning_rate" in training.history[0]:
        title = "learning rate by epoch"
        yield LineChart(title, title, {"learning rate": _column(training, "learning_rate")})


def _column(training: Training, name: str) -> list[float]:
    return [epoch.get(name, float("nan")) for epoch in training.history]
