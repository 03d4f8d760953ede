"""edgefer doctor"""

from __future__ import annotations

import dataclasses
import textwrap

import click

from edgefer.errors import IncompatibleError
from edgefer.result import WIDTH, Result

INDENT = 20
MARKS = {"ok": "ok   ", "note": "note ", "broken": "WRONG"}


@click.command(short_help="Say what is missing here, and how to mend it.")
def command() -> Result:
    """Look at Python, numpy, OpenCV, the runtimes, camera, GPU and what holds this machine back.

    Each import is tried in a process of its own, so that a wheel for another processor is a line here and no crash.
    For a board behind SSH: edgefer devices probe.

    \b
    Example:
        edgefer doctor
    """
    from edgefer import records
    from edgefer.board.doctor import examine, is_fit

    checks = list(examine())
    lines = []
    for check in checks:
        head = f"{MARKS[check.status]} {check.name}".ljust(INDENT)
        lines += textwrap.wrap(check.text, WIDTH, initial_indent=head, subsequent_indent=" " * (INDENT))
        if check.fix:
            lines.append(f"{'':{INDENT}}try: {check.fix}")
    failure = None
    if not is_fit(checks):
        broken = [check for check in checks if check.status == "broken"]
        failure = IncompatibleError(
            f"{', '.join(check.name for check in broken)} must be mended before a bench runs here", fix=broken[0].fix
        )
    record = {**records.stamp("doctor", 1), "checks": [dataclasses.asdict(check) for check in checks]}
    return Result(record, "\n".join(lines), failure)
