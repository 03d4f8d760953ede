"""edgefer inspect"""

from __future__ import annotations

from pathlib import Path

import click

from edgefer.cli.options import PATH, say
from edgefer.text_table import Result


@click.command(short_help="Say what a .tflite holds and where it runs.")
@click.argument("model", metavar="[FILE]", required=False, type=PATH)
@click.option(
    "--timeout", type=click.FloatRange(1), metavar="S", default=60, show_default=True, help="Seconds that it may take."
)
@click.option(
    "--memory", type=click.IntRange(512), metavar="MIB", default=1024, show_default=True, help="MiB that it may take."
)
def command(model: Path | None, timeout: float, memory: int) -> Result:
    """Say all that a .tflite FILE tells, whoever made it: operators, memory, what it fits, and its contract.

    Without FILE: the newest artifact, else the model that ships. It is read and run once in a process of its own, with
    a limit of time and memory; a file that crashes the runtime is an error that says so.

    \b
    Example:
        edgefer inspect model.tflite
        edgefer inspect model.tflite --json --out model.inspection.json
    """
    from edgefer.inspection.sandbox import inspect_in_subprocess
    from edgefer.models import find_model
    from edgefer.report.terminal.inspection import inspection_text

    if model is None:
        model, reason = find_model(None)
        say(f"model: {model} ({reason})")
    inspection = inspect_in_subprocess(model, timeout_s=timeout, memory_bytes=memory * 2**20)
    return Result(inspection.to_json(), inspection_text(inspection))
