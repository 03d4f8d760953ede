"""edgefer quantize"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgefer import catalogue
from edgefer.commands._options import PATH, data_options, open_data_of, say
from edgefer.errors import UsageError
from edgefer.result import Result

SCHEMES = "edgefer.workstation.schemes"


@click.command()
@click.argument("run_folder", metavar="[RUN]", required=False, type=PATH)
@data_options
@click.option("--scheme", metavar="NAME", help="The scheme; --int8 is short for --scheme int8.")
@click.option("--calibration-size", type=click.IntRange(1), default=500, show_default=True, help="Faces for ranges.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Which faces those are.")
def command(run_folder: Path | None, scheme: str | None, calibration_size: int, seed: int, **options: Any) -> Result:
    """Turn a trained RUN (default: the newest) into a .tflite that carries its contract.

    The artefact is scored against its float parent on the same images before it is written, into the run folder.

    \b
    Example:
        edgefer quantize --int8
        edgefer quantize --int8 runs/latest --calibration-size 1000
    """
    from edgefer.progress import shown
    from edgefer.workstation.quantize import quantize, summary
    from edgefer.workstation.runs import find_run

    data = {name: options.pop(name) for name in ("data", "ferplus", "skip_bad_rows")}
    chosen = _one_scheme(scheme, [name for name, given in options.items() if given])
    run = find_run(run_folder)
    run.require_weights()
    say(f"run: {run.folder} ({'as named' if run_folder else 'the newest'}), scheme {chosen}; {run.progress_note()}")
    dataset = open_data_of(run, **data)
    with shown("quantizing") as progress:
        quantized = quantize(run, chosen, dataset, calibration_size=calibration_size, seed=seed, progress=progress)
    path = run.artefact(chosen)
    quantized.artefact.save(path)
    return summary(quantized, path)


def _one_scheme(scheme: str | None, flags: list[str]) -> str:
    named = [*flags, *([scheme] if scheme else [])]
    if len(named) != 1:
        raise UsageError(f"{len(named)} schemes were named", why="one is needed", fix="edgefer quantize --int8")
    return named[0]


for _name in catalogue.names(SCHEMES):
    command.params.append(click.Option([f"--{_name.replace('_', '-')}", _name], is_flag=True, help=f"Scheme {_name}."))
