"""What was trained, on what, and how the training went.

    training_section(evidence)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgefer.report.html.charts import line_chart
from edgefer.report.html.markup import Html, element, figure, joined, legend_mark, section, table
from edgefer.report.html.page_data import ReportData, Training
from edgefer.report.html.provenance import flattened
from edgefer.report.terminal.evaluation import points
from edgefer.text_table import percent

__all__ = ["training_section"]

CURVES = {"loss": ("loss", "selection_loss"), "accuracy": ("accuracy", "selection_accuracy")}


def training_section(evidence: ReportData) -> Html | None:
    """One part a training; None without any."""
    if not evidence.trainings:
        return None
    return section("training", "What was trained", *(part for each in evidence.trainings for part in _training(each)))


def _training(training: Training) -> Iterator[Html]:
    yield element("h3", f"{training.system} ({training.name})")
    yield table(f"Training of {training.system}", ["what", "value"], list(_facts(training)), text=2)
    if training.history:
        yield element("div", *_curves(training), class_="charts")
    settings = table("Settings", ["setting", "value"], flattened(training.settings), text=2)
    yield element("details", element("summary", "All settings"), settings)


def _facts(training: Training) -> Iterator[tuple[str, object]]:
    data: Mapping[str, Any] = training.environment.get("data") or {}
    yield "data", data.get("layout")
    yield "SHA-256 of the data", element("code", data.get("sha256", "-"))
    if data.get("votes_sha256"):
        yield "SHA-256 of the FER+ votes", element("code", data["votes_sha256"])
    yield "images", ", ".join(f"{name} {count:,}" for name, count in (data.get("images") or {}).items()) or None
    planned = training.settings.get("epochs")
    if training.evaluation is None:
        yield "epochs", f"{training.epochs or 0} of {planned}, not finished"
        return
    yield "epochs", f"{training.epochs}, of which number {training.best_epoch} was kept"
    if training.duration_s is not None:
        yield "duration", f"{training.duration_s / 60:,.1f} min"
    scored = training.evaluation
    yield f"accuracy on {scored.split}", f"{points(scored.accuracy)} of {scored.n:,}"
    if scored.unseen is not None:
        yield "without images that stand in Training too", f"{points(scored.unseen)} of {scored.unseen.n:,}"
    yield "macro-F1", percent(scored.macro_f1)


def _curves(training: Training) -> Iterator[Html]:
    select = training.evaluation.split if training.evaluation else "selection split"
    for name, columns in CURVES.items():
        known = {column: _column(training, column) for column in columns if column in training.history[0]}
        if not known:
            continue
        titles = [select if column.startswith("selection") else "Training" for column in known]
        keys = [legend_mark(f"series series{index}", title) for index, title in enumerate(titles)]
        label = f"{name} by epoch, {' and '.join(titles)}"
        drawing = line_chart(dict(zip(titles, known.values())), label=label, marked=training.best_epoch)
        yield figure(drawing, joined([f"{name} by epoch: ", *keys, legend_mark("marked", "the epoch that was kept")]))
    if "learning_rate" in training.history[0]:
        rates = {"learning rate": _column(training, "learning_rate")}
        yield figure(line_chart(rates, label="learning rate by epoch"), "learning rate by epoch")


def _column(training: Training, name: str) -> list[float]:
    return [each.get(name, float("nan")) for each in training.history]
