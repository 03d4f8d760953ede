"""Render the texts of a folder of plots: the classification report, the phases of the training, the list of plots.

    write_report(evaluation, folder)                # report.txt and report.csv
    gallery_text(folder, ("confusion_counts", "errors"))
"""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from edgefer import files
from edgefer.report.terminal.evaluation import REPORT_COLUMNS, report_rows, report_text
from edgefer.results.evaluation import Evaluation
from edgefer.text_table import WIDTH

__all__ = ["gallery_text", "write_report"]


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Write the classification report to report.txt and report.csv in a folder."""
    files.write_text(folder / "report.txt", report_text(evaluation) + "\n")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REPORT_COLUMNS)
    writer.writerows(report_rows(evaluation))
    files.write_text(folder / "report.csv", text.getvalue())


def gallery_text(folder: Path, plots: Sequence[str]) -> str:
    """List the plots in a folder, each of which has its values in a CSV file of the same name."""
    names = textwrap.fill(", ".join(f"{name}.png" for name in plots), WIDTH)
    return f"{folder} contains report.txt and these plots, each with its values as .csv:\n{names}"
