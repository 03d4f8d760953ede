"""Confusion matrices as tables whose colour says how much: of the float parent, of the model, and the difference.

    confusion_section(evidence)

The .tflite files and what they carry.

    models_section(evidence)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edgefer.report.html.markup import Html, choosable, element, scrolling, section, table
from edgefer.report.html.page_data import Model, ReportData
from edgefer.report.html.provenance import flattened
from edgefer.results.evaluation import Evaluation
from edgefer.results.inspection import Inspection
from edgefer.text_table import percent

__all__ = ["confusion_section", "models_section"]

def confusion_section(evidence: ReportData) -> Html | None:
    """Three tables a quantization, one for any other evaluation; None without either."""
    parts = [*_pairs(evidence), *_alone(evidence)]
    if not parts:
        return None
    told = next((index for index, each in enumerate(evidence.quantizations) if each is evidence.telling), 0)
    drawn = [(title, element("div", *tables, class_="charts")) for title, tables in parts]
    note = "Rows are labels, columns what the model says; the colour is the share of the row."
    parts_shown = choosable("confusion", "Confusion of", drawn, shown=told)
    return section("confusion", "Confusion", element("p", note), *parts_shown)


def _pairs(evidence: ReportData) -> Iterator[tuple[str, list[Html]]]:
    for made in evidence.quantizations:
        before, now = made.parent, made.evaluation
        change = now.confusion - before.confusion
        yield (
            f"{made.system}, {made.scheme} against float",
            [
                _heat(f"{made.system}, float", before.label_names, before.confusion, before.confusion_shares),
                _heat(f"{made.system}, {made.scheme}", now.label_names, now.confusion, now.confusion_shares),
                _difference(f"{made.system}, {made.scheme} minus float", now.label_names, change),
            ],
        )


def _alone(evidence: ReportData) -> Iterator[tuple[str, list[Html]]]:
    """What no quantization has shown yet."""
    shown = [each for made in evidence.quantizations for each in (made.parent, made.evaluation)]
    for each in evidence.evaluations:
        if not any(_same(each, other) for other in shown):
            shown.append(each)
            title = f"{each.model or each.subject.get('system')} on {each.split} of {each.data}"
            yield title, [_heat(title, each.label_names, each.confusion, each.confusion_shares)]


def _same(one: Evaluation, other: Evaluation) -> bool:
    subjects = one.subject.get("sha256") == other.subject.get("sha256")
    return subjects and one.split == other.split and np.array_equal(one.confusion, other.confusion)


def _heat(
    caption: str, names: Sequence[str], counts: npt.NDArray[np.int64], shares: npt.NDArray[np.float64]
) -> Html:
    cells = [
        [_cell(f"{count:,}", 0.0 if share != share else share, "up") for count, share in zip(row, parts)]
        for row, parts in zip(counts.tolist(), shares.tolist())
    ]
    return _grid(caption, names, cells)


def _difference(caption: str, names: Sequence[str], change: npt.NDArray[np.int64]) -> Html:
    most = max(1, int(np.abs(change).max()))
    cells = [
        [_cell(f"{value:+d}" if value else "0", abs(value) / most, "up" if value > 0 else "down") for value in row]
        for row in change.tolist()
    ]
    return _grid(caption, names, cells)


def _cell(text: str, share: float, way: str) -> Html:
    return element("td", text, class_=f"heat {way}", style=f"--share:{100 * share:.0f}%")


def _grid(caption: str, names: Sequence[str], cells: Sequence[Sequence[Html]]) -> Html:
    corner = element("td", "label \\ said")
    head = element("tr", corner, *(element("th", name, scope="col") for name in names))
    rows = [element("tr", element("th", name, scope="row"), *row) for name, row in zip(names, cells)]
    return scrolling(caption, head, rows, class_="matrix")


HEADERS = (
    "model", "scheme", "input", "KiB with contract", "KiB of the model", "parameters", "MMACs", "golden tolerance",
    "accuracy at conversion",
)  # fmt: skip


def models_section(evidence: ReportData) -> Html | None:
    """A row a file, and the whole contract of each behind it; None without any."""
    if not evidence.models:
        return None
    inspected = {each.sha256: each for each in evidence.results.inspections}
    rows = [_row(each, inspected.get(each.artifact.sha256)) for each in evidence.models]
    contracts = [(f"Contract of {each.file}", _contract(each)) for each in evidence.models]
    whole = table("Model files", HEADERS, rows, text=3)
    return section("models", "Models", whole, *choosable("models", "Unfold", contracts))


def _row(model: Model, inspection: Inspection | None) -> list[object]:
    artifact, golden = model.artifact, model.artifact.golden
    spec, scores = artifact.input_spec, artifact.provenance.get("scores") or {}
    accuracy = percent(scores["accuracy"]) if isinstance(scores.get("accuracy"), float) else None
    return [
        model.file,
        artifact.scheme,
        f"grey {spec.width} x {spec.height}",
        f"{model.file_bytes / 1024:,.1f}",
        f"{len(artifact.model) / 1024:,.1f}",
        f"{inspection.parameters:,}" if inspection else None,
        f"{inspection.macs / 1e6:,.1f}" if inspection else None,
        f"{golden.tolerance:.3g} {golden.unit}",
        f"{accuracy} on {scores.get('split')}" if accuracy else None,
    ]


def _contract(model: Model) -> Html:
    artifact = model.artifact
    rows = [
        ("SHA-256 of the flatbuffer", artifact.sha256),
        ("labels", ", ".join(artifact.labels)),
        ("golden vectors", f"{len(artifact.golden.inputs)} drawn faces"),
        ("temperature", f"{artifact.temperature:g}"),
        *flattened(artifact.provenance),
    ]
    return table(f"Contract of {model.file}", ["field", "value"], rows, text=2)
