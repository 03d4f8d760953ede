"""edgefer doctor"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from edgefer.errors import IncompatibleError
from edgefer.text_table import WIDTH, Result

INDENT = 20
TIMEOUT_S = 600.0
MARKS = {"ok": "ok   ", "note": "note ", "broken": "WRONG"}


@click.command(short_help="Say what is missing here or on a board, and how to mend it.")
@click.option("--device", metavar="NAME|USER@HOST", help="A board, in the place of this machine.")
def command(device: str | None) -> Result:
    """Look at Python, numpy, OpenCV, the runtimes, camera, GPU and what holds a machine back.

    Each import is tried in a process of its own, so that a wheel for another processor is a line here and no crash.

    \b
    Example:
        edgefer doctor
        edgefer doctor --device pi@raspberrypi.local
    """
    import dataclasses

    from edgefer.deploy.environment import examine
    from edgefer.results import schema

    checks = _there(device) if device else [dataclasses.asdict(check) for check in examine()]
    broken = [check for check in checks if check["status"] == "broken"]
    names = ", ".join(check["name"] for check in broken)
    place = f"on {device}" if device else "here"
    what = f"{names} must be mended before a bench runs {place}"
    failure = IncompatibleError(what, hint=broken[0]["fix"]) if broken else None
    return Result({**schema.header("doctor", 1), "checks": checks}, _text(checks), failure)


def _there(name: str) -> list[dict[str, Any]]:
    """The checks of a board, by the same command of a bundle there."""
    import json
    from contextlib import closing

    from edgefer.deploy.bundle import bundle
    from edgefer.fleet.agent import probe, upload
    from edgefer.fleet.connection import connect
    from edgefer.fleet.registry import Registry

    (device,) = Registry.read().select([name])
    with closing(connect(device)) as connection:
        facts = probe(connection, [device.python] if device.python else [])
        # The Python that benches would take, or the board's own, which says what it lacks.
        python = facts.choose(device.runtime or None, device=name)[1] if facts.runtimes else connection.python
        program = upload(connection, bundle(), "edgefer.pyz")
        said = connection.run([python, program, "doctor", "--json"], timeout_s=TIMEOUT_S)
    try:
        checks: list[dict[str, Any]] = json.loads(said.stdout)["checks"]
    except ValueError as error:
        why = " ".join(said.stderr.split()).removeprefix("edgefer: ").partition(" try: ")[0]
        hint = f"edgefer devices setup {name}"
        raise IncompatibleError(f"{python} on {name} cannot run edgefer", why=why[:300], hint=hint) from error
    return checks


def _text(checks: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for check in checks:
        head = f"{MARKS[check['status']]} {check['name']}".ljust(INDENT)
        lines += textwrap.wrap(check["text"], WIDTH, initial_indent=head, subsequent_indent=" " * INDENT)
        if check["fix"]:
            lines.append(f"{'':{INDENT}}try: {check['fix']}")
    return "\n".join(lines)
