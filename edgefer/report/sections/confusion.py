"""The section on confusion matrices: of the float network, of the quantized model, and their difference.

    confusion_section(data)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edgefer.report.report_data import ReportData
from edgefer.report.sections.blocks import Cell, CellContent, Choice, Columns, DataTable, Details, Paragraph, Section
from edgefer.results.evaluation import Evaluation

__all__ = ["confusion_section"]

NOTE = "Rows are true labels and columns are predictions. The background shows the share of the row."


def confusion_section(data: ReportData) -> Section | None:
    """Build three matrices per quantization and one per other evaluation; return None without either."""
    parts = [*_quantizations(data), *_others(data)]
    if not parts:
        return None
    choice = Choice("confusion", "Confusion matrices of", parts, selected=data.highlighted)
    return Section("confusion", "Confusion matrices", [Paragraph(NOTE), choice])


def _quantizations(data: ReportData) -> Iterator[Details]:
    for quantization in data.quantizations:
        before, now = quantization.float_evaluation, quantization.evaluation
        name = f"{quantization.system}, {quantization.scheme}"
        matrices = [
            _matrix(f"{quantization.system}, float", before),
            _matrix(name, now),
            _difference(f"{name} minus float", now.label_names, now.confusion - before.confusion),
        ]
        yield Details(f"{name} and float", [Columns(matrices)])


def _others(data: ReportData) -> Iterator[Details]:
    """Yield the evaluations that are not part of a quantization."""
    shown = [quantization.float_evaluation for quantization in data.quantizations]
    shown += [quantization.evaluation for quantization in data.quantizations]
    for evaluation in data.evaluations:
        if not any(_same(evaluation, other) for other in shown):
            shown.append(evaluation)
            name = evaluation.model or evaluation.subject.get("system")
            title = f"{name} on {evaluation.images_name}"
            yield Details(title, [Columns([_matrix(title, evaluation)])])


def _same(one: Evaluation, other: Evaluation) -> bool:
    same_model = one.subject.get("sha256") == other.subject.get("sha256")
    return same_model and one.split == other.split and np.array_equal(one.confusion, other.confusion)


def _matrix(caption: str, evaluation: Evaluation) -> DataTable:
    rows = zip(evaluation.confusion.tolist(), evaluation.confusion_shares.tolist())
    cells = [
        # The share of a row without images is NaN.
        [Cell(f"{count:,}", shade=0.0 if share != share else share) for count, share in zip(counts, shares)]
        for counts, shares in rows
    ]
    return _table(caption, evaluation.label_names, cells)


def _difference(caption: str, names: Sequence[str], change: npt.NDArray[np.int64]) -> DataTable:
    largest = max(1, int(np.abs(change).max()))
    cells = [[Cell(f"{value:+d}" if value else "0", shade=value / largest) for value in row] for row in change.tolist()]
    return _table(caption, names, cells)


def _table(caption: str, names: Sequence[str], cells: Sequence[Sequence[Cell]]) -> DataTable:
    rows: list[list[CellContent]] = [[name, *row] for name, row in zip(names, cells)]
    headers = ["label \\ predicted", *names]
    return DataTable(caption, headers, rows, text_columns=len(headers), is_matrix=True)
