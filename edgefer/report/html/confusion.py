"""Confusion matrices as tables whose colour says how much: of the float parent, of the model, and the difference.

    confusion_section(evidence)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from edgefer.evaluation import Evaluation
from edgefer.report.html.evidence import Evidence
from edgefer.report.html.markup import Html, choosable, element, scrolling, section

__all__ = ["confusion_section"]


def confusion_section(evidence: Evidence) -> Html | None:
    """Three tables a quantization, one for any other evaluation; None without either."""
    parts = [*_pairs(evidence), *_alone(evidence)]
    if not parts:
        return None
    told = next((index for index, each in enumerate(evidence.quantizations) if each is evidence.telling), 0)
    drawn = [(title, element("div", *tables, class_="charts")) for title, tables in parts]
    note = "Rows are labels, columns what the model says; the colour is the share of the row."
    parts_shown = choosable("confusion", "Confusion of", drawn, shown=told)
    return section("confusion", "Confusion", element("p", note), *parts_shown)


def _pairs(evidence: Evidence) -> Iterator[tuple[str, list[Html]]]:
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


def _alone(evidence: Evidence) -> Iterator[tuple[str, list[Html]]]:
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
