"""Render a Parity record as text for an 80-column terminal.

    parity_text(parity)
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Callable, Iterator
from typing import TypeVar

from edgefer.data.naming import counted
from edgefer.results.parity import Divergence, Parity, Row
from edgefer.text_table import WIDTH, percent, table

__all__ = ["parity_text"]

HEADERS = ("runtime", "kernels", "threads", "same", "top-1", "worst", "golden", "diverges")
KERNELS = "default: XNNPACK where it applies; builtin: optimized, no XNNPACK; reference: plain loops"
Value = TypeVar("Value")


def parity_text(parity: Parity) -> str:
    """Render the inputs, one row per configuration, a legend, and where configurations diverge."""
    blocks = [_head(parity), [table(HEADERS, list(_rows(parity)))], _legend(parity), _findings(parity)]
    return "\n\n".join("\n".join(block) for block in blocks)


def _head(parity: Parity) -> Iterator[str]:
    subject = parity.subject
    yield f"{subject.get('file', 'model')}: {subject['scheme']}, sha256 {str(subject['sha256'])[:12]}"
    synthetic = f"the {parity.golden_vectors} golden vectors (synthetic), because no real faces are available"
    yield from _wrapped(f"faces: {parity.faces:,} of {parity.data}" if parity.data else f"faces: {synthetic}")
    for path, description in parity.pythons.items():
        versions = {row.configuration.runtime: row.version for row in parity.rows if row.configuration.python == path}
        known = [f"{name} {version}" for name, version in versions.items() if version]
        if known:
            mark, suffix = (f"{_marks(parity)[path]}: ", f", {path}") if path else ("", "")
            yield from _wrapped(f"{mark}{', '.join(known)} on {description}{suffix}", indent="   ")


def _rows(parity: Parity) -> Iterator[list[object]]:
    for number, row in enumerate(parity.rows, 1):
        configuration = row.configuration
        mark = f" {_marks(parity)[configuration.python]}" if configuration.python else ""
        yield [
            f"{number} {configuration.runtime}{mark}",
            configuration.kernels,
            configuration.threads,
            _hundredths(row.identical),
            _hundredths(row.top1_agreement),
            _number(row.largest_difference),
            _number(row.golden_worst),
            f"op {row.divergence.op}" if row.divergence else None,
        ]


def _legend(parity: Parity) -> Iterator[str]:
    unit, first = parity.unit, next((n for n, row in enumerate(parity.rows, 1) if not row.problem), None)
    if first is not None:
        yield f"Each row is compared with row {first}."
    exact = ", to the last step" if unit == "steps" else ""
    for name, meaning in (
        ("kernels", KERNELS),
        ("same", f"% of faces with equal outputs{exact}"),
        ("top-1", "% of faces with the same label"),
        ("worst", f"largest difference of an output, in {unit}"),
        ("golden", f"largest difference from the recorded outputs, in {unit}; tolerance {parity.golden_tolerance:g}"),
        ("diverges", "first operator with a different result; - if all outputs are equal"),
    ):
        yield from _wrapped(f"  {name:<9} {meaning}", indent=" " * 12)


def _findings(parity: Parity) -> Iterator[str]:
    for divergence, rows in _group_rows(parity, lambda row: row.divergence):
        yield from _wrapped(_divergence(rows, divergence))
    for problem, rows in _group_rows(parity, lambda row: row.problem):
        yield from _wrapped(f"{_row_names(rows)} did not run: {problem}.")
    for problem, rows in _group_rows(parity, lambda row: row.divergence_problem):
        yield from _wrapped(f"{_row_names(rows)}: the first different operator is unknown: {problem}.")
    for _, rows in _group_rows(parity, lambda row: row.golden_ok is False):
        yield from _wrapped(f"{_row_names(rows)}: the golden vectors exceed the contract's tolerance.")
    if parity.least_agreement is None or parity.least_pair is None:
        yield "Fewer than two configurations ran, so no comparison is possible."
    else:
        first, second = parity.least_pair
        lowest = f"Lowest top-1 agreement between any two rows: {percent(parity.least_agreement)}"
        yield f"{lowest}." if parity.least_agreement == 1 else f"{lowest}, rows {first + 1} and {second + 1}."


def _group_rows(parity: Parity, key: Callable[[Row], Value | None]) -> list[tuple[Value, list[int]]]:
    """Group row numbers by ``key(row)``, omitting rows where it is empty."""
    groups: dict[Value, list[int]] = {}
    for number, row in enumerate(parity.rows, 1):
        value = key(row)
        if value:
            groups.setdefault(value, []).append(number)
    return list(groups.items())


def _row_names(rows: list[int]) -> str:
    return f"Row {rows[0]}" if len(rows) == 1 else f"Rows {', '.join(map(str, rows))}"


def _divergence(rows: list[int], divergence: Divergence) -> str:
    verb = "diverges" if len(rows) == 1 else "diverge"
    differing = f"{100 * divergence.differing:.2g} % of its values differ"
    unit = divergence.unit if divergence.largest_difference != 1 else divergence.unit[:-1]
    faces = f"{counted(divergence.faces, 'face')} with different outputs"
    largest = f"by at most {_number(divergence.largest_difference)} {unit}"
    return f"{_row_names(rows)} {verb} at op {divergence.op}, {divergence.name}: {differing}, {largest}, on {faces}."


def _marks(parity: Parity) -> dict[str, str]:
    """Return a letter for each other Python interpreter."""
    return dict(zip((path for path in parity.pythons if path), string.ascii_lowercase))


def _hundredths(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _wrapped(sentence: str, *, indent: str = "  ") -> list[str]:
    return textwrap.wrap(sentence, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
