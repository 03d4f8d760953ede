"""The trainings of the search, drawn as accuracy against the size of the int8 file.

    trials_svg(trials)                              # an <svg> element, for a file or inside a page
"""

from __future__ import annotations

from collections.abc import Sequence

from edgefer.report.html.markup import Html
from ledgers.scatter import Mark, scatter_svg
from ledgers.trials import Trial

__all__ = ["trials_svg"]


def trials_svg(trials: Sequence[Trial]) -> Html:
    """Draw PublicTest accuracy of the int8 models against file size, with names on shipped models."""
    marks = [
        _mark(trial, trial.bytes / 1024, trial.public_int8_percent)
        for trial in trials
        if trial.bytes is not None and trial.public_int8_percent is not None
    ]
    ships = sum(mark.ships for mark in marks)
    return scatter_svg(
        marks,
        title=f"Accuracy against size of {len(marks)} int8 models; the {ships} that ship are named",
        x_label="int8 file, KiB, logarithmic",
        y_label="int8 PublicTest accuracy, %",
        empty="no trial has an int8 model",
    )


def _mark(trial: Trial, kib: float, percent: float) -> Mark:
    ships = ", ships" if trial.shipped else ""
    tooltip = f"{trial.name}{ships}: {percent:.2f} %, {kib:,.0f} KiB; {trial.description}"
    return Mark(trial.name, kib, percent, tooltip, ships=trial.shipped, named=trial.shipped)
