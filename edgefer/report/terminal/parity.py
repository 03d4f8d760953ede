"""A Parity for a terminal, at most 80 columns wide, readable by one who sees it for the first time.

    parity_text(parity)
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Callable, Iterator
from typing import TypeVar

from edgefer.results.parity import Divergence, Parity, Row
from edgefer.text_table import WIDTH, percent, table

__all__ = ["parity_text"]

HEADERS = ("runtime", "kernels", "threads", "same", "top-1", "worst", "golden", "parts")
T = TypeVar("T")
KERNELS = "default: XNNPACK for what it knows; builtin: optimized, without it; reference: plain loops"


def parity_text(parity: Parity) -> str:
    """What was run, a row for each configuration, what the columns mean, and where the rows part."""
    blocks = [_head(parity), [table(HEADERS, list(_rows(parity)))], _legend(parity), _findings(parity)]
    return "\n\n".join("\n".join(block) for block in blocks)


def _head(parity: Parity) -> Iterator[str]:
    subject = parity.subject
    yield f"{subject.get('file', 'model')}: {subject['scheme']}, sha256 {str(subject['sha256'])[:12]}"
    drawn = f"the {parity.golden_vectors} golden vectors, which are drawn, for there are no real faces"
    yield from _wrapped(f"faces: {parity.faces:,} of {parity.data}" if parity.data else f"faces: {drawn}")
    for path, about in parity.pythons.items():
        versions = {row.configuration.runtime: row.version for row in parity.rows if row.configuration.python == path}
        known = [f"{name} {version}" for name, version in versions.items() if version]
        if known:
            mark, where = (f"{_marks(parity)[path]}: ", f", {path}") if path else ("", "")
            yield from _wrapped(f"{mark}{', '.join(known)} on {about}{where}", indent="   ")


def _rows(parity: Parity) -> Iterator[list[object]]:
    for number, row in enumerate(parity.rows, 1):
        ran_by = row.configuration
        yield [
            f"{number} {ran_by.runtime}" + (f" {_marks(parity)[ran_by.python]}" if ran_by.python else ""),
            ran_by.kernels,
            ran_by.threads,
            _hundredths(row.identical),
            _hundredths(row.top1_agreement),
            _number(row.largest_difference),
            _number(row.golden_worst),
            f"op {row.parting.op}" if row.parting else None,
        ]


def _legend(parity: Parity) -> Iterator[str]:
    unit, first = parity.unit, next((n for n, row in enumerate(parity.rows, 1) if not row.problem), None)
    if first is not None:
        yield f"Each row is compared with row {first}."
    for name, meaning in (
        ("kernels", KERNELS),
        ("same", f"% of faces with equal outputs{', to the last step' if unit == 'steps' else ''}"),
        ("top-1", "% of faces that get the same label"),
        ("worst", f"largest difference of an output, in {unit}"),
        ("golden", f"how far off the recorded outputs, in {unit}; {parity.golden_tolerance:g} are allowed"),
        ("parts", "the first operator whose result differs; - where the outputs are the same"),
    ):
        yield from _wrapped(f"  {name:<9} {meaning}", indent=" " * 12)


def _findings(parity: Parity) -> Iterator[str]:
    for parting, rows in _alike(parity, lambda row: row.parting):
        yield from _wrapped(_parted(rows, parting))
    for problem, rows in _alike(parity, lambda row: row.problem):
        yield from _wrapped(f"{_named(rows)} did not run: {problem}.")
    for problem, rows in _alike(parity, lambda row: row.parting_problem):
        yield from _wrapped(f"{_named(rows)}: where the difference begins was not found out: {problem}.")
    for _, rows in _alike(parity, lambda row: row.golden_ok is False):
        yield from _wrapped(f"{_named(rows)}: the golden vectors are further off than the contract allows.")
    if parity.least_agreement is None or parity.least_pair is None:
        yield "Fewer than two configurations ran: there is nothing to compare."
    else:
        one, two = parity.least_pair
        least = f"Least top-1 agreement of any two rows: {percent(parity.least_agreement)}"
        yield f"{least}." if parity.least_agreement == 1 else f"{least}, of rows {one + 1} and {two + 1}."


def _alike(parity: Parity, what: Callable[[Row], T | None]) -> list[tuple[T, list[int]]]:
    """Numbers of the rows that have the same ``what``, for each that is not empty."""
    found: dict[T, list[int]] = {}
    for number, row in enumerate(parity.rows, 1):
        value = what(row)
        if value:
            found.setdefault(value, []).append(number)
    return list(found.items())


def _named(rows: list[int]) -> str:
    return f"Row {rows[0]}" if len(rows) == 1 else f"Rows {', '.join(map(str, rows))}"


def _parted(rows: list[int], parting: Divergence) -> str:
    part = "parts" if len(rows) == 1 else "part"
    differing = f"{100 * parting.differing:.2g} % of its values differ"
    unit = parting.unit if parting.largest_difference != 1 else parting.unit[:-1]
    ends = "face that ends apart" if parting.faces == 1 else "faces that end apart"
    by = f"by {_number(parting.largest_difference)} {unit} at most"
    return f"{_named(rows)} {part} at op {parting.op}, {parting.name}: {differing}, {by}, on {parting.faces} {ends}."


def _marks(parity: Parity) -> dict[str, str]:
    """A letter for each other Python."""
    return dict(zip((path for path in parity.pythons if path), string.ascii_lowercase))


def _hundredths(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _wrapped(sentence: str, *, indent: str = "  ") -> list[str]:
    return textwrap.wrap(sentence, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
