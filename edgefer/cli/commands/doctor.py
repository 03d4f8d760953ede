"""Check this machine or a board and show how to fix problems."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from edgefer.cli.options import NAME
from edgefer.errors import DataError, IncompatibleError
from edgefer.text_table import WIDTH, Result

INDENT = 21
TIMEOUT_S = 600.0
STDERR_CHARACTERS = 300
MARKS = {"ok": "ok   ", "note": "note ", "broken": "WRONG"}


@click.command()
@click.option("--device", type=NAME, metavar="NAME|USER@HOST", help="Check a board instead of this machine.")
def command(device: str | None) -> Result:
    """Check Python, numpy, OpenCV, the runtimes, the camera, the GPU and thermal throttling.

    Each import runs in a subprocess, so that a wheel for another processor is reported and does not crash this program.

    \b
    Example:
        edgefer doctor
        edgefer doctor --device pi@raspberrypi.local
    """
    import dataclasses

    from edgefer.deploy.environment import check_environment
    from edgefer.results import schema

    checks = _examine_board(device) if device else [dataclasses.asdict(check) for check in check_environment()]
    broken = [check for check in checks if check["status"] == "broken"]
    failure = None
    if broken:
        names = ", ".join(check["name"] for check in broken)
        what = f"benchmarks cannot run {f'on {device}' if device else 'here'}"
        failure = IncompatibleError(what, why=f"failed checks: {names}", hint=broken[0]["fix"])
    return Result({**schema.header("doctor", 1), "checks": checks}, _format(checks), failure)


def _examine_board(name: str) -> list[dict[str, Any]]:
    """Run the doctor command of a bundle on a board, and return its checks."""
    from contextlib import closing

    from edgefer.deploy.bundle import bundle
    from edgefer.fleet.board_errors import describe_failure
    from edgefer.fleet.command_output import CommandOutput
    from edgefer.fleet.connection import connect
    from edgefer.fleet.probe import probe
    from edgefer.fleet.registry import Registry
    from edgefer.fleet.upload import upload
    from edgefer.results.schema import Fields, parse_json

    (device,) = Registry.read().select([name])
    with closing(connect(device)) as connection:
        facts = probe(connection, [device.python] if device.python else [])
        # The Python that would run benchmarks. If none has a runtime, the checks of the default Python show the cause.
        python = facts.select_runtime(device.runtime or None, device=name)[1] if facts.runtimes else connection.python
        program = upload(connection, bundle(), "edgefer.pyz")
        output = connection.run([python, program, "doctor", "--json"], timeout_s=TIMEOUT_S)
    try:
        checks = Fields(parse_json(output.stdout)).objects("checks")
        return [{key: check.text(key) for key in ("name", "status", "text", "fix")} for check in checks]
    except DataError as error:
        message = " ".join(output.stderr.split()).removeprefix("edgefer: ").partition(" try: ")[0]
        why = message[:STDERR_CHARACTERS] or f"{error.what}: {error.why}"
        failed = describe_failure(
            f"{python} on {name} cannot run edgefer", CommandOutput(output.exit_code, b"", why), device=name,
            python=python, hint=f"edgefer devices setup {name}",
        )  # fmt: skip
        raise IncompatibleError(failed.what, why=failed.why, hint=failed.hint) from error


def _format(checks: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for check in checks:
        head = f"{MARKS.get(check['status'], MARKS['note'])} {check['name']}".ljust(INDENT)
        lines += textwrap.wrap(check["text"], WIDTH, initial_indent=head, subsequent_indent=" " * INDENT)
        if check["fix"]:
            lines.append(f"{'':{INDENT}}try: {check['fix']}")
    return "\n".join(lines)
