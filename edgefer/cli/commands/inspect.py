"""Show the contents of a .tflite and where it runs."""

from __future__ import annotations

from pathlib import Path

import click

from edgefer.cli.options import PATH, FiniteRange, log
from edgefer.text_table import Result


@click.command()
@click.argument("model", metavar="[FILE]", required=False, type=PATH)
@click.option(
    "--timeout", type=FiniteRange(1), metavar="S", default=60, show_default=True, help="Time limit, seconds."
)
@click.option(
    "--memory", type=click.IntRange(512), metavar="MIB", default=1024, show_default=True, help="Memory limit, MiB."
)
def command(model: Path | None, timeout: float, memory: int) -> Result:
    """Show the operators, memory use, compatible runtimes and contract of any .tflite FILE or shipped model.

    The default is the newest .tflite in runs/, or the shipped model small if there is none. FILE is loaded and run once
    in a subprocess with a time and a memory limit, so a file that crashes the runtime results in an error message.

    \b
    Example:
        edgefer inspect model.tflite
        edgefer inspect model.tflite --json --out model.inspection.json
    """
    from edgefer.inspection.sandbox import inspect_in_subprocess
    from edgefer.models import find_model
    from edgefer.report.terminal.inspection import inspection_text

    path, reason = find_model(model)
    if path != model:
        log(f"model: {path} ({reason})")
    inspection = inspect_in_subprocess(path, timeout_s=timeout, memory_bytes=memory * 2**20)
    return Result(inspection.to_json(), inspection_text(inspection))
