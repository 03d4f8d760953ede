"""A Parity for a terminal, at most 80 columns wide, readable by one who sees it for the first time.

    parity_text(parity)
"""

from __future__ import annotations

import string
import textwrap
from collections.abc import Iterator
from itertools import groupby

from edgefer.parity import Parity, Parting, Row
from edgefer.result import WIDTH, percent, table

__all__ = ["parity_text"]

HEADERS = ("runtime", "kernels", "threads", "same", "top-1", "worst", "golden", "parts")
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
    parted = [(number, row) for number, row in enumerate(parity.rows, 1) if row.parting]

    def key(numbered: tuple[int, Row]) -> tuple[int, str, float, float]:
        parting = numbered[1].parting
        return (parting.op, parting.tensor, parting.differing, parting.largest_difference) if parting else (0, "", 0, 0)

    for _, group in groupby(sorted(parted, key=key), key=key):
        same = list(group)
        if same[0][1].parting:
            yield from _wrapped(_sentence([number for number, _ in same], same[0][1].parting))
    for number, row in enumerate(parity.rows, 1):
        if row.problem:
            yield from _wrapped(f"Row {number} did not run: {row.problem}.")
        if row.parting_problem:
            yield from _wrapped(f"Where row {number} parts was not found out: {row.parting_problem}.")
        if row.golden_ok is False:
            yield from _wrapped(f"Row {number} breaks the contract: its golden vectors are further off than allowed.")
    if parity.least_agreement is None or parity.least_pair is None:
        yield "Fewer than two configurations ran: there is nothing to compare."
    else:
        one, two = parity.least_pair
        least = f"Least top-1 agreement of any two rows: {percent(parity.least_agreement)}"
        yield least if parity.least_agreement == 1 else f"{least}, of rows {one + 1} and {two + 1}."


def _sentence(numbers: list[int], parting: Parting) -> str:
    rows = f"Row {numbers[0]} parts" if len(numbers) == 1 else f"Rows {', '.join(map(str, numbers))} part"
    differing = f"{100 * parting.differing:.2g} % of its values differ"
    unit = parting.unit if parting.largest_difference != 1 else parting.unit[:-1]
    by = f"by {_number(parting.largest_difference)} {unit} at most"
    return f"{rows} at op {parting.op}, {parting.name}: {differing}, {by}, on {parting.faces} faces that end apart."


def _marks(parity: Parity) -> dict[str, str]:
    """A letter for each other Python."""
    return dict(zip((path for path in parity.pythons if path), string.ascii_lowercase))


def _hundredths(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.2f}"


def _number(value: float | None) -> str | None:
    return None if value is None else f"{value:.3g}"


def _wrapped(sentence: str, *, indent: str = "  ") -> list[str]:
    return textwrap.wrap(sentence, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
